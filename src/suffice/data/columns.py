"""Labelled texts and images from the columns of a table."""

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from suffice.data.collection import Collection, Skipped
from suffice.data.images import SUFFIXES, ImageFiles, shown
from suffice.data.labels import MISSING, about_numbers, classes_of, refuse_many_numbers, sides_of
from suffice.data.reading import Reading
from suffice.data.samples import LabelledSamples
from suffice.data.splits import NAMES, split_named
from suffice.data.tables import TABLES, Key, Table, has_formula, none_called, open_table
from suffice.data.texts import LabelledTexts
from suffice.errors import InputError

IMAGE_COLUMNS = ("image", "file_name", "image_path", "path")
"""Columns of image files that are looked for where there is no column of texts."""

NAMED = 3
"""Rows that a message names."""


def holds_table(path: Path) -> bool:
    """Whether a path is a table, by its suffix."""
    return path.is_file() and path.suffix.lower() in TABLES


def read_texts(
    path: Path, text_column: str = "text", label_column: str = "label", threshold: float | None = None
) -> LabelledTexts:
    r"""The texts and labels in two columns of a table, see `read_columns`.

    Raises:
        InputError: as `read_columns`; a table of images.

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
    samples = read_columns(path, Reading(text_column, label_column=label_column, threshold=threshold)).at_hand
    if not isinstance(samples, LabelledTexts):
        raise InputError(f"{path}: a table of images, and texts are needed; give their column with --text-column")
    return samples


def read_columns(path: Path, reading: Reading) -> Collection:
    """The samples of a table: texts, or images by the names of their files, with labels, groups and splits.

    The first line names the columns. Columns given as numbers, from 1 on, mean that the file has no such line. By
    default each distinct label is a class. Rows of a split that is neither train, validation nor test are left out,
    unless it is chosen.

    Raises:
        InputError: a file that cannot be read, an unknown column, a row with too few or too many fields, an empty text
        or label, a label that is not a number although there is a threshold, fewer than two classes, or as many classes
        as samples.
    """
    asked = [reading.image_column or reading.text_column, reading.label_column]
    more = [column for column in (reading.group_column, reading.split_column) if column is not None]
    table = open_table(path, [*asked, *more], reading.delimiter, reading.encoding)
    are_images = reading.image_column is not None
    content = asked[0]
    if not are_images and content == "text" and table.names is not None and content not in table.names:
        found = next((name for name in IMAGE_COLUMNS if name in table.names), None)
        are_images, content = found is not None, found or content
        if found is None:
            raise InputError(f"{path}: {none_called(content, table.names, 'text')}, or images with --image-column")
    rows = Rows.of(table, content, reading, "image" if are_images else "text")
    notes = [*table.notes, *rows.notes]
    if not rows.contents:
        raise InputError(f"{path}: holds no samples")
    files = _files(path, table, rows, reading) if are_images else []
    codes, names = rows.label_codes, rows.label_names
    if reading.task != "classification":
        labels, classes = codes, names
    elif reading.threshold is None:
        if reading.classes is None:
            refuse_many_numbers(names, len(codes), str(path))
        labels, classes = classes_of(codes, names, str(path))
    else:
        labels, classes = sides_of(
            codes, names, reading.threshold, str(path), lambda row: table.where(rows.numbers[row])
        )
        notes += about_numbers(names)
    samples: LabelledSamples
    if are_images:
        samples = ImageFiles(files, labels, classes, path.parent, rows.groups)
    else:
        samples = LabelledTexts(rows.contents, labels, classes, rows.numbers, str(path), rows.groups, table.unit)
    return Collection(str(path), samples, rows.split_of, rows.skipped, notes, chosen_split(reading.split))


def _number_of(group: str) -> int:
    """The number of a group, the same in every source: 63 bits of the hash of its name."""
    return int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest()) >> 1


def chosen_split(name: str | None) -> str | None:
    """A split by one of its names."""
    return name if name is None else split_named(name) or name


@dataclass
class Rows:
    """The columns that are needed, row by row.

    Attributes:
        contents: texts, or names of image files.
        numbers: of the lines or rows.
        label_codes: which of ``label_names`` each row has.
        label_names: in the order in which they come.
        groups: of the rows; None without a column of groups.
        split_of: of the rows; None without a column of splits.
        skipped: rows that are left out.
        notes: what was detected.
    """

    contents: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    label_codes: Int64[np.ndarray, " rows"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    label_names: list[str] = field(default_factory=list)
    groups: Int64[np.ndarray, " rows"] | None = None
    split_of: np.ndarray | None = None
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, content: str, reading: Reading, kind: str) -> "Rows":
        """Reads a table to its end.

        Args:
            table: is used up.
            content: the column of texts or of image files.
            reading: the other columns.
            kind: "text" or "image".

        Raises:
            InputError: an unknown column, a value that is missing or of another kind.
        """
        keys: dict[str, tuple[Key, str]] = {
            kind: (table.key(content, kind), kind),
            "label": (table.key(reading.label_column, "label"), "label"),
        }
        if reading.group_column is not None:
            keys["group"] = (table.key(reading.group_column, "group"), "group")
        split = _split_key(table, reading)
        if split is not None:
            keys["split"] = (split, "split")
        return _Collector(cls(), table, keys, reading, kind).collect()


@dataclass
class _Collector:
    rows: Rows
    table: Table
    keys: dict[str, tuple[Key, str]]
    reading: Reading
    kind: str
    missing: list[tuple[int, str, str]] = field(default_factory=list)

    def collect(self) -> Rows:
        rows, table = self.rows, self.table
        codes: dict[str, dict[str, int]] = {name: {} for name in ("label", "group", "split")}
        columns: dict[str, list[int]] = {name: [] for name in codes if name in self.keys}
        stand_ins = MISSING - set(self.reading.classes or ())
        padded = False
        for number, row in table.rows:
            values = {name: table.value(number, row, key, flag) for name, (key, flag) in self.keys.items()}
            lost = next((name for name, value in values.items() if _is_missing(value)), None)
            if lost is not None:
                self.missing.append((number, lost, ""))
                continue
            words = {name: self._word(number, name, values[name]) for name in columns}
            lost = next((name for name, word in words.items() if word in stand_ins and name != "split"), None)
            if lost is not None:
                self.missing.append((number, lost, words[lost]))
                continue
            text = values[self.kind]
            if not isinstance(text, str):
                raise InputError(f"{table.where(number)}: {self._column(self.kind)!r} is not a text{_of_bytes(text)}")
            self._check_unicode(number, text, words)
            padded = padded or (isinstance(values["label"], str) and values["label"] != words["label"])
            rows.contents.append(text)
            rows.numbers.append(number)
            for name, word in words.items():
                known = codes[name]
                columns[name].append(known.setdefault(word, len(known)))
        self._refuse_missing()
        rows.label_codes = np.array(columns["label"], dtype=np.int64)
        rows.label_names = list(codes["label"])
        if padded:
            rows.notes.append("Blanks around labels are left out.")
        if "group" in columns:
            numbers = np.array([_number_of(name) for name in codes["group"]], dtype=np.int64)
            rows.groups = numbers[columns["group"]]
        if "split" in columns:
            self._divide(list(codes["split"]), np.array(columns["split"], dtype=np.int64))
        return rows

    def _column(self, name: str) -> str:
        key = self.keys[name][0]
        return key if isinstance(key, str) else str(key + 1 if self.table.names is None else self.table.names[key])

    def _word(self, number: int, name: str, value: Any) -> str:
        """A label, group or split as it is written; 2.0 is 2."""
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, list) and name == "label" and self.reading.task == "multi-label":
            return self.reading.label_delimiter.join(map(str, value)) or self.reading.label_delimiter
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, int | float):
            return str(value)
        raise InputError(
            f"{self.table.where(number)}: {self._column(name)!r} is neither a text nor a number, but "
            f"{type(value).__name__}"
        )

    def _check_unicode(self, number: int, text: str, words: dict[str, str]) -> None:
        try:
            text.encode()
            "".join(words.values()).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{self.table.where(number)}: a \\u in it stands for half a character") from error

    def _refuse_missing(self) -> None:
        if not self.missing:
            return
        if self.reading.drop_missing:
            self.rows.skipped += [
                Skipped(f"{self.table.unit} {number:,}", f"the {name} is missing") for number, name, _ in self.missing
            ]
            return
        (first, name, word), *others = self.missing
        where = ", ".join(f"{number:,}" for number, _, _ in others[: NAMED - 1])
        unit = self.table.unit
        more = (
            f"; so it is in {len(others):,} more ({unit} {where}{', …' if len(others) >= NAMED else ''})"
            if others
            else ""
        )
        what = f"is {word!r}, which stands for a missing one" if word else "is empty"
        remedy = f"fill it in, remove the {unit}, or give --drop-missing"
        if word and name == "label" and self.reading.task == "classification" and self.reading.threshold is None:
            remedy += "; if it is a class, list all classes with --classes"
        if not word and has_formula(self.table.path, first):
            remedy = (
                "it has a formula without a stored value: open and save the workbook in a spreadsheet program, or save "
                "it as .csv"
            )
        raise InputError(f"{self.table.where(first)}: the {name} {what}{more}; {remedy}")

    def _divide(self, names: list[str], codes: Int64[np.ndarray, " rows"]) -> None:
        """Splits under their names here; rows of others are left out, unless theirs is chosen."""
        rows, chosen = self.rows, chosen_split(self.reading.split)
        if not names:
            return
        known = [split_named(name) or (name if name == chosen else None) for name in names]
        strange = np.array([name is None for name in known])[codes]
        if strange.all() and self.reading.split_column is None:
            rows.notes.append("The column 'split' names no train, validation or test, and is not used.")
            return
        if strange.all():
            held = ", ".join(repr(name[:30]) for name in names[:3])
            raise InputError(
                f"{self.table.path}: the column {self._column('split')!r} has {held}; the "
                f"splits are {', '.join(dict.fromkeys(NAMES.values()))}; choose another with --split"
            )
        if strange.any():
            rows.skipped += [
                Skipped(f"{self.table.unit} {rows.numbers[row]}", f"of the split {names[codes[row]]!r}")
                for row in np.flatnonzero(strange)
            ]
            kept = np.flatnonzero(~strange)
            rows.contents = [rows.contents[row] for row in kept]
            rows.numbers = [rows.numbers[row] for row in kept]
            rows.groups = None if rows.groups is None else rows.groups[kept]
            present, rows.label_codes = np.unique(rows.label_codes[kept], return_inverse=True)
            rows.label_names = [rows.label_names[code] for code in present]
            codes = codes[kept]
        rows.split_of = np.array([name or "" for name in known])[codes]


def _split_key(table: Table, reading: Reading) -> Key | None:
    """The column of splits: the one that is named, or one called "split"."""
    if reading.split_column is not None:
        return table.key(reading.split_column, "split")
    is_there = (
        table.names is not None
        and list(table.names).count("split") == 1
        and "split"
        not in (
            reading.text_column,
            reading.label_column,
            reading.group_column,
        )
    )
    return table.key("split", "split") if is_there else None


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _of_bytes(value: Any) -> str:
    is_image = isinstance(value, bytes) or (isinstance(value, dict) and "bytes" in value)
    return "; images within a table are read from a datasets folder (save_to_disk)" if is_image else " in quotes"


def _files(path: Path, table: Table, rows: Rows, reading: Reading) -> list[Path]:
    """The image files that a column names, from the folder of the table on.

    Raises:
        InputError: files that are not there, or no images by their suffix.
    """
    files = [path.parent / name.strip() for name in rows.contents]
    wrong = [row for row, file in enumerate(files) if file.suffix.lower() not in SUFFIXES or not _is_file(file)]
    if not wrong:
        return files
    first = wrong[0]
    name = rows.contents[first].strip()[:200]
    if "://" in name:
        what = f"{name!r} is a web address; download the images first"
    elif files[first].suffix.lower() not in SUFFIXES:
        what = f"{name!r} is no image by its suffix ({', '.join(sorted(SUFFIXES))})"
    else:
        what = f"no file {name!r} in {shown(path.parent)}"
    more = f"; {len(wrong) - 1:,} more rows are like this" if len(wrong) > 1 else ""
    raise InputError(f"{table.where(rows.numbers[first])}: {what}{more}; names are from the table's folder on")


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a name that is too long, or with a zero
        return False
