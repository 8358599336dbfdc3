"""Labelled texts: tables with one column of texts and one of labels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from suffice.data.order import in_order
from suffice.data.tables import JSON_LINES, TABLES, fields_of, objects_of, read_table
from suffice.digest import digest
from suffice.errors import InputError, nearest

LABEL_DELIMITER = "|"
"""Stands between the labels of a sample that has a list of them."""


class LabelledTexts:
    """Texts in memory.

    Args:
        texts: one per sample.
        labels: indices into ``classes``.
        classes: the name of each class.
        lines: the line of the file in which each text starts.
        source: the name of the file.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Int64[np.ndarray, " samples"],
        classes: Sequence[str],
        lines: Sequence[int],
        source: str,
    ) -> None:
        self.texts = texts
        self.labels = labels
        self.classes = list(classes)
        self.lines = lines
        self.source = source

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> str:
        return self.texts[row]

    def describe(self, row: int) -> str:
        return f"line {self.lines[row]} of {self.source}"

    def fingerprint(self) -> str:
        """The hash of the texts, the labels and the names of the classes."""
        return digest(list(self.texts), self.labels, self.classes)


def holds_texts(path: Path) -> bool:
    """Whether a path is a table of texts, by its suffix."""
    return path.is_file() and path.suffix.lower() in TABLES


def read_texts(
    path: Path,
    text_column: str = "text",
    label_column: str = "label",
    threshold: float | None = None,
    are_classes: bool = True,
) -> LabelledTexts:
    r"""The texts and labels in two columns of a table: .csv (commas), .tsv or .txt (tabs), or .jsonl (JSON lines).

    The first line names the columns. Columns given as numbers, from 1 on, mean that the file has no such line. In .csv
    files, quotes follow RFC 4180; in .tsv and .txt files they are part of the text.

    Args:
        path: the table, in UTF-8.
        text_column: name or number of the column of texts.
        label_column: name or number of the column of labels.
        threshold: makes two classes of labels that are numbers: below it, and equal or above. By default each distinct
            label is a class; classes are sorted by value if all are whole numbers, else alphabetically.
        are_classes: refuse labels that can be none: fewer than two, or as many as samples.

    Raises:
        InputError: a file that cannot be read, an unknown column, a row with too few or too many fields, an empty text
        or label, a label that is not a number although there is a threshold, fewer than two classes, or as many classes
        as samples.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "reviews.csv"
        >>> _ = file.write_text('text,stars\n"Good, but long.",4\nBad.,1\nFine.,4\n')
        >>> texts = read_texts(file, label_column="stars")
        >>> texts.classes, texts.labels.tolist(), texts[0], texts.describe(1)[:6]
        (['1', '4'], [1, 0, 1], 'Good, but long.', 'line 3')
        >>> read_texts(file, label_column="stars", threshold=3).classes
        ['< 3', '>= 3']
    """
    content = read_table(path)
    rows = [
        _complete(row, path)
        for row in (_json_rows if path.suffix.lower() == JSON_LINES else _table_rows)(
            path, content, text_column, label_column
        )
    ]
    if not rows:
        raise InputError(f"{path}: holds no samples")
    if are_classes and threshold is None:
        _check_classes(rows, path)
    labels, classes = _classes(rows) if threshold is None else _sides(rows, path, threshold)
    return LabelledTexts([row.text for row in rows], labels, classes, [row.line for row in rows], str(path))


@dataclass(frozen=True)
class _Row:
    text: str
    label: str
    line: int


def _complete(row: _Row, path: Path) -> _Row:
    for name, value in (("text", row.text), ("label", row.label)):
        if not value.strip():
            raise InputError(f"{path}, line {row.line}: the {name} is empty; fill it in or remove the line")
    return row


def _json_rows(path: Path, content: str, text_column: str, label_column: str) -> Iterator[_Row]:
    for number, row in objects_of(path, content):
        for flag, column in (("text", text_column), ("label", label_column)):
            if column not in row:
                raise InputError(f"{path}, line {number}: {_no_column(column, list(row), flag)}")
        text, label = row[text_column], row[label_column]
        if not isinstance(text, str):
            raise InputError(f"{path}, line {number}: {text_column!r} is not a text in quotes")
        if isinstance(label, list):
            label = LABEL_DELIMITER.join(map(str, label)) or LABEL_DELIMITER
        if not isinstance(label, (str, int, float)):
            raise InputError(f"{path}, line {number}: {label_column!r} is neither a text nor a number")
        try:
            f"{text}{label}".encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{path}, line {number}: a \\u in it stands for half a character") from error
        yield _Row(text, str(label).strip(), number)


def _table_rows(path: Path, content: str, text_column: str, label_column: str) -> Iterator[_Row]:
    lines = fields_of(path, content)
    start, first = next(lines)
    if text_column.isdecimal() != label_column.isdecimal():
        raise InputError(
            f"{path}: columns {text_column!r} and {label_column!r}: give both by name, or both by number (no "
            "header), with --text-column and --label-column"
        )
    if text_column.isdecimal():
        text, label = (_numbered(path, column, first) for column in (text_column, label_column))
        yield _Row(first[text], first[label].strip(), start)
    else:
        text, label = (
            _named(path, column, first, flag) for flag, column in (("text", text_column), ("label", label_column))
        )
    for line, fields in lines:
        if len(fields) != len(first):
            raise InputError(f"{path}, line {line}: has {len(fields)} fields, and the first line {len(first)}")
        yield _Row(fields[text], fields[label].strip(), line)


def _named(path: Path, column: str, header: list[str], flag: str) -> int:
    names = [name.strip() for name in header]
    if column not in names:
        raise InputError(f"{path}: {_no_column(column, names, flag)}; a file without a header takes numbers, from 1 on")
    if names.count(column) > 1:
        raise InputError(f"{path}: {names.count(column)} columns are named {column!r}; rename one")
    return names.index(column)


def _no_column(column: str, names: list[str], flag: str) -> str:
    shown = ", ".join(repr(name if len(name) <= 30 else f"{name[:30]}…") for name in names[:10])
    return f"no column {column!r}{nearest(column, names)}; there are {shown}; give one with --{flag}-column"


def _numbered(path: Path, column: str, first: list[str]) -> int:
    if not 1 <= int(column) <= len(first):
        raise InputError(f"{path}: no column {column}; the first line has {len(first)}, counted from 1")
    return int(column) - 1


def _check_classes(rows: list[_Row], path: Path) -> None:
    names = {row.label for row in rows}
    if len(names) < 2:
        raise InputError(f"{path}: the only label is {rows[0].label!r}; at least two classes are needed")
    if len(names) == len(rows):
        raise InputError(
            f"{path}: all {len(rows)} labels differ; if they are numbers, predict them with --task regression, or make "
            "two classes of them with --threshold"
        )


def _classes(rows: list[_Row]) -> tuple[Int64[np.ndarray, " samples"], list[str]]:
    names = {row.label for row in rows}
    classes = in_order(names)
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[row.label] for row in rows], dtype=np.int64), classes


def _sides(rows: list[_Row], path: Path, threshold: float) -> tuple[Int64[np.ndarray, " samples"], list[str]]:
    numbers = np.array([_number(row, path) for row in rows])
    labels = (numbers >= threshold).astype(np.int64)
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"{path}: all labels lie between {numbers.min():.15g} and {numbers.max():.15g}, on one side of "
            f"--threshold {threshold:.15g}; give one between them"
        )
    return labels, [f"< {threshold:.15g}", f">= {threshold:.15g}"]


def _number(row: _Row, path: Path) -> float:
    try:
        number = float(row.label)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{path}, line {row.line}: the label {row.label!r} is no number; --threshold needs numbers")
    return number
