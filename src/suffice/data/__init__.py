"""From files to labelled images and texts, and to scores of trainings."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from suffice.data.arrays import read_arrays
from suffice.data.collection import Collection, Skipped
from suffice.data.columns import chosen_split, holds_table, read_columns, read_texts
from suffice.data.dataset_folders import EncodedImages, holds_dataset, is_hub_name, read_dataset, read_hub
from suffice.data.idx import holds_idx, read_idx, read_idx_images
from suffice.data.images import SUFFIXES, ImageArray, ImageFiles, ImageFolder, read_folder, shown
from suffice.data.joined import Joined, check_groups
from suffice.data.labels import about_numbers, counts_of, look_of, refuse_alike
from suffice.data.reading import Reading
from suffice.data.samples import ClassSubset, Header, LabelledSamples, RowSubset, contents_of, groups_of, header_of
from suffice.data.scores import Score, Scores, load_scores
from suffice.data.splits import TEST, TRAIN, VALIDATION
from suffice.data.synthetic import SyntheticRegression, Target
from suffice.data.tables import TABLES
from suffice.data.tasks import Numbers, Sets, TaskKind, as_task, label_in_words, task_of
from suffice.data.texts import LabelledTexts
from suffice.errors import InputError, shortened

__all__ = [
    "DIGITS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "ClassSubset",
    "Collection",
    "EncodedImages",
    "Header",
    "ImageArray",
    "ImageFiles",
    "ImageFolder",
    "Joined",
    "LabelledSamples",
    "LabelledTexts",
    "Numbers",
    "Reading",
    "RowSubset",
    "Score",
    "Scores",
    "Sets",
    "Skipped",
    "SyntheticRegression",
    "Target",
    "TaskKind",
    "as_task",
    "check_groups",
    "contents_of",
    "groups_of",
    "header_of",
    "label_in_words",
    "load_collection",
    "load_samples",
    "load_scores",
    "load_unseen",
    "look_of",
    "read_idx",
    "read_idx_images",
    "read_texts",
    "task_of",
]

DIGITS = "builtin:digits"
"""Names scikit-learn's 1,797 real handwritten digits, 8 x 8 pixels (E. Alpaydin, C. Kaynak, UCI, 1998)."""

CLASS_LEFT_OUT = "of classes that are left out"
"""Why samples are left out that are named by their class."""

AS_IT_IS = Reading()
"""Everything by default."""

KINDS = (
    f"a folder of images, IDX files, an NPZ, a table ({', '.join(sorted(TABLES))}), a folder of datasets, or {DIGITS}"
)


def load_samples(source: str, reading: Reading = AS_IT_IS) -> LabelledSamples:
    """The samples at hand of a source: those to train on, where it is divided into splits.

    Args:
        source: see `load_collection`.
        reading: columns, splits, and what to leave out.

    Raises:
        InputError: as `load_collection`.

    Example:
        >>> digits = load_samples("builtin:digits")
        >>> len(digits), digits[0].size, int(digits.labels[0])
        (1797, (8, 8), 0)
        >>> load_samples("builtin:digits", Reading(classes=["3", "8"])).classes
        ['3', '8']
    """
    return load_collection(source, reading).at_hand


def load_unseen(source: str, reading: Reading, classes: Sequence[str]) -> LabelledSamples:
    """Samples to test on: the test split of a source, else its validation split, else all.

    Args:
        source: see `load_collection`.
        reading: of the samples at hand; where it leaves classes out, these are left out here too.
        classes: those of the samples at hand.

    Raises:
        InputError: as `load_collection`.
    """
    has_filter = reading.classes is not None or reading.exclude or reading.min_per_class > 1
    test = replace(reading, split=None, min_per_class=1, classes=list(classes) if has_filter else None)
    data = load_collection(source, test)
    return data.samples if data.unseen is None else data.part(data.unseen)


def load_collection(source: str, reading: Reading = AS_IT_IS) -> Collection:
    """Labelled images or texts, all splits together, and what of the source was left out.

    Args:
        source: a folder with one sub-folder of images for each class, which may be in folders train, val and test; IDX
            files; an NPZ; a .csv, .tsv, .txt, .jsonl, .json, .parquet or .xlsx file; a folder that ``save_to_disk`` of
            ``datasets`` wrote; the name of a data set on the hub; or ``builtin:digits``.
        reading: columns, splits, and what to leave out.

    Raises:
        InputError: no usable data, settings that are not for this source, unknown classes, or labels that do not fit
        the task.
    """
    if reading.task == "classification":
        return _of_classes(_read(source, reading), reading)
    if reading.threshold is not None or reading.classes is not None or reading.min_per_class > 1:
        raise InputError(
            f"--task {reading.task} has no classes to be chosen by --threshold, --classes or --min-per-class: leave "
            "these out"
        )
    data = _read(source, reading)
    notes = [*data.notes, *about_numbers(data.samples.classes)] if reading.task == "regression" else data.notes
    return replace(data, samples=as_task(data.samples, reading.task, reading.label_delimiter), notes=notes)


def _read(source: str, reading: Reading) -> Collection:
    path = Path(source)
    if source == DIGITS:
        reading.refuse_columns(source)
        return Collection(source, _digits(), chosen=chosen_split(reading.split))
    if "\0" in source or not _exists(path):
        if is_hub_name(source):
            reading.refuse_dialect(source)
            return read_hub(source, reading)
        if source.startswith("builtin:"):
            raise InputError(f"{source[:100]}: the only data of this kind are {DIGITS}")
        raise InputError(f"{shown(path)}: no such file or folder; data are {KINDS}")
    if holds_dataset(path):
        reading.refuse_dialect(source)
        return read_dataset(path, reading)
    if holds_table(path):
        return read_columns(path, reading)
    reading.refuse_columns(source)
    return _without_columns(path, reading)


def _without_columns(path: Path, reading: Reading) -> Collection:
    chosen = chosen_split(reading.split)
    if holds_idx(path):
        images = read_idx_images(path)
        return Collection(str(path), images, notes=images.notes, chosen=chosen)
    if path.suffix.lower() == ".npz":
        return read_arrays(path, reading)
    if path.is_file():
        one = "one image; give the folder with a sub-folder for each class" if path.suffix.lower() in SUFFIXES else ""
        raise InputError(f"{shown(path)}: {one or 'neither an IDX file (*images-idx3-ubyte) nor ' + KINDS}")
    return read_folder(path, reading.exclude, chosen)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or a link to itself
        return False


def _digits() -> ImageArray:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow, and most sources do not need it

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return ImageArray(pixels, digits.target.astype(np.int64), DIGITS)


def _of_classes(read: Collection, reading: Reading) -> Collection:
    """Without the classes that are left out.

    Raises:
        InputError: unknown classes, or names that differ only by case or blanks.
    """
    samples = read.samples
    at_hand = read.at_hand if read.chosen is not None or TRAIN in read.splits else samples
    counts = counts_of(at_hand.labels, samples.classes)
    excluded = {name for name in samples.classes if any(fnmatch(name, pattern) for pattern in reading.exclude)}
    names = [
        name
        for name in (samples.classes if reading.classes is None else reading.classes)
        if name not in excluded
        # a class that is not there is refused by its name below
        and (reading.min_per_class == 1 or counts[name] >= reading.min_per_class or name not in samples.classes)
    ]
    if reading.classes is None:
        left_out = any(one.reason.startswith("left out by") for one in read.skipped)
        if reading.exclude and not excluded and not left_out:
            shown_names = ", ".join(name[:30] for name in samples.classes[:10])
            raise InputError(
                f"--exclude {' '.join(reading.exclude)}: no class and no file of {read.source} is called so; the "
                f"classes are {shown_names}{', …' if len(samples.classes) > 10 else ''}"
            )
        refuse_alike({name: counts[name] for name in names}, read.source)
    if len(names) < min(2, len(reading.classes or samples.classes)):
        raise InputError(
            f"{read.source}: {len(names)} of {len(samples.classes)} classes are left by --exclude and "
            f"--min-per-class {reading.min_per_class}; at least two are needed"
        )
    if names == list(samples.classes):
        return read
    subset = ClassSubset(samples, names)
    dropped = [name for name in samples.classes if name not in names]
    all_counts = counts_of(samples.labels, samples.classes)
    return Collection(
        read.source,
        subset,
        None if read.split_of is None else read.split_of[subset.rows],
        [
            *read.skipped,
            *(
                Skipped(f"{shortened(name)} ({all_counts[name]:,})", CLASS_LEFT_OUT, all_counts[name])
                for name in dropped
            ),
        ],
        read.notes,
        read.chosen,
    )
