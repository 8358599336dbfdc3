"""Rows of tables: delimited text, JSON, Parquet, workbooks; what the columns mean is for others to say."""

import codecs
import csv
import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from suffice.data.zipped import refuse_bomb, refuse_growth
from suffice.errors import InputError, nearest, reason

JSON_LINES = frozenset({".jsonl", ".ndjson"})
DELIMITED = frozenset({".csv", ".tsv", ".txt"})
TABLES = DELIMITED | JSON_LINES | {".json", ".parquet", ".xlsx"}

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Those that are looked for, and what they are called."""

BY_NAME = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
"""Delimiters that are hard to type."""

HEADER = frozenset({"label", "labels", "class", "category", "target", "y", "sentiment", "rating", "stars", "score"})
"""Words in the column of labels that make the first line a header, where columns are given by number."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, the longer first where one begins as another."""

LOOKED_AT = 1 << 16
"""Bytes from which the delimiter is told."""

LONGEST_FIELD = 1 << 24
MANY_ROWS, ROWS_A_BYTE = 1_000_000, 10
"""Rows of Parquet that may take no bytes, as equal rows do; more of them take a byte for ten at least."""

TEXT = "BYTE_ARRAY"
"""The type of texts in Parquet."""

TOGETHER = 10_000
"""Rows of Parquet that are decoded at a time."""

Key = int | str
Row = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table that is read row by row.

    Attributes:
        path: of the file.
        names: of the columns, for JSON those of the first row; None without a header.
        width: number of columns.
        rows: numbers of lines or rows, and the rows: lists, or objects of JSON.
        unit: what the numbers count, "line" or "row".
        notes: what was detected.
    """

    path: Path
    names: Sequence[str] | None
    width: int
    rows: Iterator[tuple[int, Any]]
    unit: str = "line"
    notes: Sequence[str] = ()

    def where(self, number: int) -> str:
        """Where a row is, for messages."""
        return f"{self.path}, {self.unit} {number:,}"

    def key(self, column: str, flag: str) -> Key:
        """What finds a column in a row.

        Raises:
            InputError: no such column, or several.
        """
        if self.names is None:
            if not column.isdecimal() or not 1 <= (number := _index(column)) <= self.width:
                raise InputError(
                    f"{self.path}: no column {column[:30]}; the first line has {self.width}, counted from 1; give one "
                    f"with --{flag}-column"
                )
            return number - 1
        if column not in self.names:
            is_delimited = self.path.suffix.lower() in DELIMITED
            numbered = "; a file without a header takes numbers, from 1 on" if is_delimited else ""
            raise InputError(f"{self.path}: {none_called(column, self.names, flag)}{numbered}")
        if self.names.count(column) > 1:
            raise InputError(f"{self.path}: {self.names.count(column)} columns are named {column!r}; rename one")
        return column if self.path.suffix.lower() in JSON_LINES else self.names.index(column)

    def value(self, number: int, row: Any, key: Key, flag: str) -> Any:
        """The value of a row.

        Raises:
            InputError: an object that has no such key.
        """
        try:
            return row[key]
        except KeyError:
            raise InputError(f"{self.where(number)}: {none_called(str(key), list(row), flag)}") from None

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows as mappings from the names of the columns, without blanks around the values.

        Raises:
            InputError: two columns of one name.
        """
        names = list(self.names or ())
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise InputError(f"{self.path}: {names.count(doubled)} columns are named {doubled!r}; rename one")
        for number, row in self.rows:
            record = row if isinstance(row, dict) else dict(zip(names, row, strict=True))
            yield number, {name: value.strip() if isinstance(value, str) else value for name, value in record.items()}


def open_table(path: Path, columns: Sequence[str], delimiter: str | None = None, encoding: str | None = None) -> Table:
    """A table by its suffix: .csv, .tsv, .txt, .jsonl, .ndjson, .json, .parquet or .xlsx.

    In .tsv and .txt files with tabs, quotes are part of the text, unless all names of columns are in quotes; elsewhere
    they follow RFC 4180.

    Args:
        path: the file.
        columns: those that are needed, by which the delimiter and the header are told; by number, from 1 on, where
            there is no header.
        delimiter: of delimited text; detected by default.
        encoding: of text; detected by default.

    Raises:
        InputError: a file that cannot be read; also later, at a row that cannot.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "reviews.csv"
        >>> _ = file.write_text("text;label\\nGood, but long;1\\n")
        >>> table = open_table(file, ["text", "label"])
        >>> table.names, list(table.rows), list(table.notes)
        (['text', 'label'], [(2, ['Good, but long', '1'])], ['reviews.csv is separated by semicolons.'])
    """
    suffix = path.suffix.lower()
    if suffix not in DELIMITED and delimiter is not None:
        raise InputError(f"{path}: --delimiter is for {', '.join(sorted(DELIMITED))}; leave it out")
    if suffix in (".parquet", ".xlsx") and encoding is not None:
        raise InputError(f"{path}: --encoding is for tables that are text; leave it out")
    if suffix == ".parquet":
        return _parquet(path, columns)
    if suffix == ".xlsx":
        return _workbook(path, columns)
    content = _content(path)
    found = _encoding(path, content, encoding)
    notes = [] if found in ("utf-8", "utf-8-sig") else [f"{path.name} is read as {found}."]
    if suffix in JSON_LINES:
        return _objects(path, objects_of(path, content.decode(found)), notes)
    if suffix == ".json":
        return _json(path, content.decode(found), notes)
    return _delimited(path, content, found, columns, delimiter, notes)


def read_table(path: Path, encoding: str | None = None) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, told by its first bytes, or in a given encoding.

    Raises:
        InputError: it cannot be read, has another encoding, or is empty.
    """
    content = _content(path)
    return content.decode(_encoding(path, content, encoding))


def objects_of(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object in each line of JSON lines, with the number of the line.

    Raises:
        InputError: a line that is not JSON, or no object.
    """
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not JSON ({_short(error)})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: not an object in braces, such as {{...}}")
        yield number, row


def none_called(column: str, names: Sequence[str], flag: str) -> str:
    """What to say where a column is not there."""
    shown = ", ".join(repr(name if len(name) <= 30 else f"{name[:30]}…") for name in names[:10])
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    close = nearest(column, names)
    there = f"{' There' if close else '; there'} are {shown or 'none'}{more}"
    return f"no column {column[:50]!r}{close}{there}; give one with --{flag}-column"


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not content.strip():
        raise InputError(f"{path}: is empty")
    return content


def _encoding(path: Path, content: bytes, asked: str | None) -> str:
    """The encoding, by the byte order mark or by the zeros that UTF-16 has in most texts.

    Raises:
        InputError: the content is of another.
    """
    encoding = asked or next((name for mark, name in MARKS if content.startswith(mark)), None)
    if encoding is None:
        start = content[:1000]
        most = 0.4 * len(start) / 2
        zeros = {"utf-16-be": start[0::2].count(0), "utf-16-le": start[1::2].count(0)}
        likely = max(zeros, key=zeros.__getitem__)
        encoding = likely if zeros[likely] > most and len(start) > 1 else "utf-8"
    try:
        if not content.decode(encoding).strip():
            raise InputError(f"{path}: is empty")
    except LookupError:
        raise InputError(f"--encoding {encoding}: no such encoding; give one such as utf-8, utf-16 or cp1252") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        if asked is not None or encoding != "utf-8":
            raise InputError(f"{path}, line {line}: not {encoding}; give the right --encoding") from error
        word = content[max(0, error.start - 10) : error.start + 10].decode("cp1252", "replace").split("\n")[-1]
        raise InputError(
            f"{path}, line {line}: not UTF-8; save the file in this encoding, or give its --encoding, such as cp1252, "
            f"in which this reads {word.strip()!r}"
        ) from error
    except UnicodeError as error:
        raise InputError(f"{path}: not {encoding} ({_short(error)}); give the right --encoding") from error
    return encoding


def _delimited(
    path: Path, content: bytes, encoding: str, columns: Sequence[str], asked: str | None, notes: Sequence[str]
) -> Table:
    sample = content[:LOOKED_AT].decode(encoding, "ignore")
    lines = sample.splitlines()[: -1 if len(content) > LOOKED_AT else None] or [sample]
    first_line = 1
    said = []
    if lines[0].lower().startswith("sep=") and len(lines[0]) == 5:  # as Excel writes it
        asked = asked or lines[0][4]
        lines, first_line = lines[1:], 2
    delimiter = _delimiter(lines[:20], path.suffix.lower(), columns) if asked is None else BY_NAME.get(asked, asked)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(f"--delimiter {asked!r}: give one character, or tab")
    if asked is None and delimiter != _usual(path.suffix.lower()):
        said.append(f"{path.name} is separated by {DELIMITERS[delimiter]}.")
    names = lines[0].split("\t") if lines else []
    are_quoted = all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)
    if delimiter == "\t" and path.suffix.lower() != ".csv" and not are_quoted:
        numbered = _plain_rows(content, encoding, delimiter, "\n" if "\n" in sample else "\r")
    else:
        numbered = _quoted_rows(path, content, encoding, delimiter)
    rows = (entry for entry in numbered if entry[0] >= first_line)
    try:
        number, first = next(rows)
    except StopIteration:
        raise InputError(f"{path}: is empty") from None
    by_number = [column.isdecimal() for column in columns]
    if any(by_number) and not all(by_number):
        named = ", ".join(map(repr, columns))
        raise InputError(
            f"{path}: columns {named}: give both by name, or both by number (no header), with --text-column and "
            "--label-column"
        )
    checked = _of_width(path, rows, len(first))
    if all(by_number) and columns:
        label = _index(columns[1]) - 1 if len(columns) > 1 else -1
        if 0 <= label < len(first) and first[label].strip().lower() in HEADER:
            said.append(f"the first line of {path.name} is a header and no sample.")
        else:
            checked = _after((number, first), checked)
        return Table(path, None, len(first), checked, notes=[*notes, *said])
    names = [name.strip() for name in first]
    return Table(path, names, len(first), checked, notes=[*notes, *said])


def _after(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _of_width(path: Path, rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    for number, fields in rows:
        if len(fields) != width:
            more = 0
            with suppress(InputError):  # of a line further on, which is no matter yet
                more = sum(len(others) != width for _, others in rows)
            is_short = len(fields) < width
            remedy = (
                "fill in those that are missing" if is_short else "put quotes around fields that contain the delimiter"
            )
            raise InputError(
                f"{path}, line {number:,}: has {len(fields)} field{'s' * (len(fields) != 1)}, and the first line "
                f"{width}{_more_lines(more)}; {remedy}"
            )
        yield number, fields


def _more_lines(count: int) -> str:
    return f"; {count:,} more line{'s have' if count > 1 else ' has'} another number of fields" if count else ""


def _usual(suffix: str) -> str:
    return "," if suffix == ".csv" else "\t"


def _delimiter(lines: Sequence[str], suffix: str, columns: Sequence[str]) -> str:
    """The one by which the first line has the columns, else by which all lines have as many fields; else the usual."""
    usual = _usual(suffix)
    candidates = [usual, *(other for other in DELIMITERS if other != usual)]
    found = {delimiter: _fields(lines, delimiter) for delimiter in candidates}
    for delimiter, rows in found.items():
        if columns and rows and set(columns) <= {name.strip() for name in rows[0]}:
            return delimiter
    numbers = [_index(column) for column in columns if column.isdecimal()]
    least = max(2, *numbers) if numbers else 2
    for delimiter, rows in found.items():
        if rows and len(rows[0]) >= least and all(len(fields) == len(rows[0]) for fields in rows):
            return delimiter
    return max(candidates, key=lambda delimiter: len(found[delimiter][0]) if found[delimiter] else 0)


def _fields(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [fields for fields in csv.reader([f"{line}\n" for line in lines], delimiter=delimiter) if fields]
    except csv.Error:
        return []


def _lines(content: bytes, encoding: str, newline: str) -> Iterator[str]:
    """Line by line, so that a large table is not held several times."""
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline=newline)


def _plain_rows(content: bytes, encoding: str, delimiter: str, newline: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_lines(content, encoding, newline), 1):
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r").split(delimiter)


def _quoted_rows(path: Path, content: bytes, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(_lines(content, encoding, ""), strict=True, delimiter=delimiter)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {start:,}: not {_kind(delimiter)}-separated values ({error})") from error


def _kind(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, repr(delimiter)).removesuffix("s")


def _objects(path: Path, rows: Iterator[tuple[int, dict[str, Any]]], notes: Sequence[str]) -> Table:
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: is empty")

    def all_rows() -> Iterator[tuple[int, dict[str, Any]]]:
        yield first
        yield from rows

    return Table(path, list(first[1]), len(first[1]), all_rows(), notes=notes)


def _json(path: Path, content: str, notes: Sequence[str]) -> Table:
    """A list of objects, an object of columns, or objects line by line."""
    try:
        held = json.loads(content)
    except (ValueError, RecursionError) as error:
        if "Extra data" not in str(error):
            raise InputError(f"{path}: not JSON ({_short(error)})") from error
        lines = _objects(path, objects_of(path, content), notes)
        return Table(path, lines.names, lines.width, _listed(lines.names or [], lines), notes=notes)
    if isinstance(held, dict) and isinstance(held.get("data"), list) and len(held) <= 2:
        held = held["data"]
    if isinstance(held, dict):
        held = _of_columns(path, held)
    if not isinstance(held, list) or not all(isinstance(row, dict) for row in held):
        raise InputError(f"{path}: give a list of objects, such as [{{...}}], or an object of columns")
    if not held:
        raise InputError(f"{path}: holds no samples")
    names = list(held[0])
    objects = Table(path, names, len(names), enumerate(held, 1), "object", notes)
    return Table(path, names, len(names), _listed(names, objects), "object", notes)


def _listed(names: Sequence[str], table: Table) -> Iterator[tuple[int, list[Any]]]:
    """Objects as lists, with None where an object has no such key."""
    for number, row in table.rows:
        yield number, [row.get(name) for name in names]


def _of_columns(path: Path, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Objects from columns, which are lists, or objects of rows as pandas writes them."""
    lists = {name: list(held.values()) if isinstance(held, dict) else held for name, held in columns.items()}
    if not all(isinstance(held, list) for held in lists.values()):
        raise InputError(f"{path}: give a list of objects, such as [{{...}}], or an object of columns")
    lengths = {name: len(held) for name, held in lists.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} {length:,}" for name, length in list(lengths.items())[:5])
        raise InputError(f"{path}: columns of different lengths ({shown})")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _parquet(path: Path, columns: Sequence[str]) -> Table:
    import pyarrow as pa  # noqa: PLC0415 - slow, and few sources need it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        about = parquet.read_metadata(path)
        leaves = [about.schema.column(number) for number in range(about.num_columns)]
        # texts as what they are in the file: different ones, and which of them each row has
        file = parquet.ParquetFile(path, read_dictionary=[leaf.path for leaf in leaves if leaf.physical_type == TEXT])
        names = list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file ({_short(error)})") from error
    refuse_growth(path, sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups)))
    if about.num_rows > max(MANY_ROWS, ROWS_A_BYTE * path.stat().st_size):
        raise InputError(
            f"{path}: says that it has {about.num_rows:,} rows in {path.stat().st_size:,} bytes, which no real data "
            "have; give a file that you trust, as .csv"
        )
    wanted = [name for name in names if name in columns or name in OTHERS]

    def rows() -> Iterator[tuple[int, list[Any]]]:
        number = unpacked = 0
        empty = [None] * len(names)
        places = [names.index(name) for name in wanted]
        try:
            for batch in file.iter_batches(batch_size=TOGETHER, columns=wanted):
                unpacked += sum(map(_unpacked, batch.columns))
                refuse_growth(path, unpacked)
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    row = empty.copy()
                    for place, value in zip(places, values, strict=True):
                        row[place] = value
                    yield number, row
        except InputError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path}, row {number + 1:,}: cannot be read ({_short(error)})") from error

    return Table(path, names, len(names), rows(), "row")


def _unpacked(column: Any) -> int:
    """Bytes of the texts and numbers of a column of Arrow, each as often as rows have it, before any is made."""
    import pyarrow as pa  # noqa: PLC0415 - as above
    from pyarrow import compute  # noqa: PLC0415

    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = compute.cast(compute.binary_length(column.dictionary), pa.int64())
        return compute.sum(compute.take(lengths, column.indices)).as_py() or 0
    if pa.types.is_map(kind):
        return _unpacked(column.keys) + _unpacked(column.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _unpacked(column.flatten())
    if pa.types.is_struct(kind):
        return sum(map(_unpacked, column.flatten()))
    return int(column.nbytes)


OTHERS = frozenset({"split", "image", "file_name", "image_path", "path"})
"""Columns that are used where they are there, besides those asked for."""


def _workbook(path: Path, columns: Sequence[str]) -> Table:
    import openpyxl  # noqa: PLC0415 - slow, and few sources need it

    refuse_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles that are missing
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # they may promise a billion cells that are not there
            cells = enumerate(sheet.iter_rows(values_only=True), 1)
            start = list(islice(cells, 1))
    except InputError:
        raise
    except Exception as error:  # a damaged workbook fails in every part of its reader
        raise InputError(f"{path}: not a workbook in .xlsx ({_short(error)})") from error
    if not start or all(value is None for value in start[0][1]):
        raise InputError(f"{path}: the first line of the sheet {sheet.title!r} is empty")
    first = start[0][1]
    others = [other.title for other in book.worksheets[1:]]
    notes = [f"{path.name}: the sheet {sheet.title!r} is read, not {', '.join(map(repr, others))}."] if others else []

    def rows() -> Iterator[tuple[int, list[Any]]]:
        if by_number:
            yield 1, list(first)
        try:
            for number, values in cells:
                if any(value is not None for value in values):
                    yield number, [*values, *[None] * (len(first) - len(values))][: len(first)]
        except Exception as error:  # as above
            raise InputError(f"{path}: the sheet {sheet.title!r} is damaged ({_short(error)})") from error

    by_number = bool(columns) and all(column.isdecimal() for column in columns)
    names = None if by_number else ["" if value is None else str(value).strip() for value in first]
    return Table(path, names, len(first), rows(), "row", notes)


def has_formula(path: Path, row: int) -> bool:
    """Whether a row of a workbook has a formula; programs that write workbooks often store no values of them."""
    if path.suffix.lower() != ".xlsx":
        return False
    import openpyxl  # noqa: PLC0415 - as above

    sheet = openpyxl.load_workbook(path, read_only=True).worksheets[0]
    cells = next(sheet.iter_rows(row, row, values_only=True), ())
    return any(isinstance(value, str) and value.startswith("=") for value in cells)


def _index(column: str) -> int:
    """The number that a column is given by; one that is too long is none."""
    return int(column) if column.isdecimal() and len(column) < 10 else 0


def _short(error: BaseException) -> str:
    return reason(error).partition(": ")[2][:120] or reason(error)
