"""Data sets of the library ``datasets``: folders that `save_to_disk` wrote, and those of the hub."""

import functools
import re
import socket
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64
from PIL import Image

from suffice.data.collection import Collection
from suffice.data.columns import IMAGE_COLUMNS, Rows, chosen_split
from suffice.data.images import read_header, read_image
from suffice.data.labels import about_numbers, classes_of, refuse_many_numbers, sides_of
from suffice.data.reading import Reading
from suffice.data.samples import Header, LabelledSamples
from suffice.data.splits import TRAIN, split_named
from suffice.data.tables import Table
from suffice.data.texts import LabelledTexts
from suffice.digest import digest
from suffice.errors import InputError, reason

if TYPE_CHECKING:
    from datasets import Dataset

MARKS = ("dataset_dict.json", "dataset_info.json", "state.json")
"""Files that `save_to_disk` leaves in its folder."""

HUB = "huggingface.co"
PATIENCE = 3
"""Seconds in which the hub has to answer."""


class EncodedImages:
    """Images that a data set holds as bytes of image files; read from disk and decoded when asked for.

    Args:
        dataset: with a column ``image`` that is not decoded.
        column: the column.
        labels: indices into ``classes``.
        classes: the name of each class.
        source: the name of the folder.
        groups: the group of each sample, see `suffice.data.groups_of`.

    Raises:
        InputError: when an image is used, one that is missing or broken.
    """

    def __init__(
        self,
        dataset: "Dataset",
        column: str,
        labels: Int64[np.ndarray, " samples"],
        classes: Sequence[str],
        source: str,
        groups: Int64[np.ndarray, " samples"] | None = None,
    ) -> None:
        self.labels = labels
        self.classes = list(classes)
        self.groups = groups
        self.source = source
        self._dataset, self._column = dataset, column

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Image.Image:
        if "_contents" not in vars(self):
            return read_image(self._encoded(row), self.describe(row))
        held = self._read(row)
        if digest(held) != self._contents[row]:
            raise InputError(
                f"{self.describe(row)} has changed since suffice read it: restore it, or run the same command again"
            )
        return read_image(held, self.describe(row))

    def header(self, row: int) -> Header:
        """Mode and size of an image, without decoding it."""
        return read_header(self._encoded(row), self.describe(row))

    def describe(self, row: int) -> str:
        return f"row {row + 1} of {self.source}"

    def contents(self) -> Sequence[Hashable]:
        """The hash of each image's bytes."""
        return self._contents

    @functools.cached_property
    def _contents(self) -> list[str]:
        return [digest(self._read(row)) for row in range(len(self))]

    def fingerprint(self) -> str:
        """The hash of all images, labels, classes and groups."""
        return digest(self._contents, self.labels, self.classes, self.groups)

    def _read(self, row: int) -> bytes:
        encoded = self._encoded(row)
        try:
            return encoded if isinstance(encoded, bytes) else encoded.read_bytes()
        except OSError as error:
            raise InputError(f"{self.describe(row)}: {encoded!r} cannot be read ({error.strerror})") from error

    def _encoded(self, row: int) -> bytes | Path:
        held = self._dataset[int(row)][self._column]
        if not held or (held.get("bytes") is None and held.get("path") is None):
            raise InputError(f"{self.describe(row)}: the image is missing; fill it in or remove the row")
        return bytes(held["bytes"]) if held.get("bytes") is not None else Path(held["path"])


def holds_dataset(path: Path) -> bool:
    """Whether a path is a folder that `save_to_disk` wrote."""
    return path.is_dir() and any((path / mark).is_file() for mark in MARKS)


def is_hub_name(source: str) -> bool:
    """Whether a word could be the name of a data set on the hub: owner/name.

    Example:
        >>> is_hub_name("stanfordnlp/imdb"), is_hub_name("./images"), is_hub_name("data/images.csv")
        (True, False, False)
    """
    return re.fullmatch(r"[A-Za-z0-9][\w-]*/[A-Za-z0-9][\w-]*(\.\d+)*", source) is not None


def read_dataset(path: Path, reading: Reading) -> Collection:
    """The samples of a folder of ``datasets``, of all its splits.

    Raises:
        InputError: a folder that cannot be read, or columns that are not there or of another kind.
    """
    with _told(str(path)):
        from datasets import load_from_disk  # noqa: PLC0415 - slow, and few sources need it

        held = load_from_disk(str(path))
    return _collection(str(path), held, reading)


def read_hub(name: str, reading: Reading) -> Collection:
    """The samples of a data set of the hub; no code of it is run.

    Raises:
        InputError: the hub does not answer, or has no such data set; or as `read_dataset`.
    """
    _check_hub(name)
    with _told(name):
        from datasets import load_dataset  # noqa: PLC0415 - slow, and few sources need it

        held = load_dataset(name)
    return _collection(name, held, reading)


def table_of_dataset(source: str, split: str | None) -> Table:
    """The rows of a folder or hub name of ``datasets``: of the split that is chosen, else of the one to train on.

    Raises:
        InputError: as `read_dataset`.
    """
    if not Path(source).exists():
        _check_hub(source)
    with _told(source):
        from datasets import load_dataset, load_from_disk  # noqa: PLC0415 - slow, and few sources need it

        held = load_from_disk(source) if Path(source).exists() else load_dataset(source)
    if hasattr(held, "keys"):
        chosen = chosen_split(split) or TRAIN
        found = next((name for name in held if (split_named(name) or name) == chosen), None)
        if found is None:
            raise InputError(f"{source}: no split {chosen!r}; there are {', '.join(map(str, held)) or 'none'}")
        held = held[found]
    names = list(held.column_names)
    rows = ((number, [row[name] for name in names]) for number, row in enumerate(held.with_format(None), 1))
    return Table(Path(source), names, len(names), rows, "row")


def _check_hub(name: str) -> None:
    """Fails at once where there is no hub, and not after many tries."""
    from huggingface_hub import constants  # noqa: PLC0415

    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        socket.create_connection((HUB, 443), PATIENCE).close()
    except OSError as error:
        raise InputError(
            f"{name}: no such file or folder, and the hub cannot be asked for a data set of this name ({error}); give "
            "a folder or a file, or download it with save_to_disk where there is a network"
        ) from error


@contextmanager
def _told(source: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a damaged folder fails in every part of the library
        raise InputError(f"{source}: cannot be read by datasets ({reason(error)})") from error


def _collection(source: str, held: Any, reading: Reading) -> Collection:
    chosen = chosen_split(reading.split)
    parts: dict[str, Any] = {}
    notes = []
    if hasattr(held, "keys"):
        for name, part in held.items():
            split = split_named(name) or str(name)
            if split_named(name) is None and split != chosen:
                notes.append(
                    f"The split {name!r} ({len(part):,} rows) is neither train, validation nor test: left out."
                )
            elif split in parts:
                raise InputError(f"{source}: two splits are called {split}; rename one")
            else:
                parts[split] = part
    if hasattr(held, "keys") and not parts:
        raise InputError(f"{source}: the splits are {', '.join(map(str, held)) or 'none'}; choose one with --split")
    with _told(source):
        from datasets import ClassLabel, concatenate_datasets  # noqa: PLC0415
        from datasets import Image as ImageFeature  # noqa: PLC0415

        dataset = concatenate_datasets(list(parts.values())) if parts else held
        content, are_images = _content_column(source, dataset, reading)
        if are_images:  # they stay as they are in their files
            dataset = dataset.cast_column(content, ImageFeature(decode=False))
        rows = _rows(source, dataset, content, are_images, reading)
        feature = dataset.features.get(reading.label_column)
        names: list[str] | None = feature.names if isinstance(feature, ClassLabel) else None
    if not rows.contents:
        raise InputError(f"{source}: holds no samples")
    labels, classes = _classes(source, rows, names, reading)
    if reading.threshold is not None:
        notes += about_numbers(rows.label_names)
    kept = np.array(rows.numbers) - 1
    samples: LabelledSamples
    if are_images:
        samples = EncodedImages(dataset.select(kept), content, labels, classes, source, rows.groups)
    else:
        samples = LabelledTexts(rows.contents, labels, classes, rows.numbers, source, rows.groups, "row")
    split_of = rows.split_of
    if parts:
        lengths = list(accumulate(len(part) for part in parts.values()))
        split_of = np.array(list(parts))[np.searchsorted(lengths, kept, side="right")]
    return Collection(source, samples, split_of, rows.skipped, [*notes, *rows.notes], chosen)


def _content_column(source: str, dataset: "Dataset", reading: Reading) -> tuple[str, bool]:
    """The column of texts or images, and which of both it is; images stay encoded."""
    from datasets import Image as ImageFeature  # noqa: PLC0415

    images = [name for name, feature in dataset.features.items() if isinstance(feature, ImageFeature)]
    if reading.image_column is not None:
        if reading.image_column not in images:
            raise InputError(
                f"{source}: {reading.image_column!r} is no column of images; there are {', '.join(images) or 'none'}"
            )
        return reading.image_column, True
    if reading.text_column in dataset.features and reading.text_column not in images:
        return reading.text_column, False
    if images and reading.text_column == "text":
        return next((name for name in IMAGE_COLUMNS if name in images), images[0]), True
    return reading.text_column, False


def _rows(source: str, dataset: "Dataset", content: str, are_images: bool, reading: Reading) -> Rows:
    names = list(dataset.features)
    wanted = {reading.label_column, reading.group_column, reading.split_column, "split"} & set(names)
    wanted |= set() if are_images else {content} & set(names)
    columns = {name: iter(dataset.with_format(None)[name][:]) for name in wanted}

    def rows() -> Iterator[tuple[int, list[Any]]]:
        for number in range(1, len(dataset) + 1):
            # an image is looked at when it is used
            yield (
                number,
                [next(columns[name]) if name in columns else "image" if name == content else None for name in names],
            )

    table = Table(Path(source), names, len(names), rows(), "row")
    return Rows.of(table, content, reading, "image" if are_images else "text")


def _classes(
    source: str, rows: Rows, names: Sequence[str] | None, reading: Reading
) -> tuple[Int64[np.ndarray, " samples"], list[str]]:
    """Classes in the order of the data set, if it names them."""
    found = rows.label_names
    if names is not None:
        strange = [word for word in found if not word.isdecimal() or int(word) >= len(names)]
        if strange:
            row = rows.numbers[int((rows.label_codes == found.index(strange[0])).argmax())]
            raise InputError(
                f"{source}, row {row:,}: the label {strange[0]} is none of the {len(names)} classes, as where labels "
                "are hidden; choose another --split"
            )
        return classes_of(rows.label_codes, [names[int(word)] for word in found], source, names)
    if reading.threshold is not None:
        return sides_of(
            rows.label_codes, found, reading.threshold, source, lambda row: f"{source}, row {rows.numbers[row]:,}"
        )
    if reading.classes is None:
        refuse_many_numbers(found, len(rows.label_codes), source)
    return classes_of(rows.label_codes, found, source)
