"""From files to labelled images and texts, and to scores of trainings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from suffice.data.idx import holds_idx, read_idx, read_idx_images
from suffice.data.images import ImageArray, ImageFolder
from suffice.data.joined import Joined
from suffice.data.samples import ClassSubset, LabelledSamples
from suffice.data.scores import Score, Scores, load_scores
from suffice.data.synthetic import SyntheticRegression, Target
from suffice.data.tables import TABLES
from suffice.data.tasks import Numbers, Sets, TaskKind, as_task, task_of
from suffice.data.texts import LabelledTexts, holds_texts, read_texts
from suffice.errors import InputError

__all__ = [
    "DIGITS",
    "ClassSubset",
    "ImageArray",
    "ImageFolder",
    "Joined",
    "LabelledSamples",
    "LabelledTexts",
    "Numbers",
    "Score",
    "Scores",
    "Sets",
    "SyntheticRegression",
    "Target",
    "TaskKind",
    "as_task",
    "load_images",
    "load_samples",
    "load_scores",
    "read_idx",
    "read_idx_images",
    "read_texts",
    "task_of",
]

DIGITS = "builtin:digits"
"""Names scikit-learn's 1,797 real handwritten digits, 8 x 8 pixels (E. Alpaydin, C. Kaynak, UCI, 1998)."""


def load_samples(
    source: str,
    text_column: str = "text",
    label_column: str = "label",
    threshold: float | None = None,
    classes: Sequence[str] | None = None,
    task: TaskKind = "classification",
    label_delimiter: str = "|",
) -> LabelledSamples:
    """Labelled images (see `load_images`), or labelled texts from a table.

    Args:
        source: a folder with one sub-folder of images per class, IDX files, ``builtin:digits``, or a .csv, .tsv, .txt
            or .jsonl file.
        text_column: the column of texts of a table, see `read_texts`.
        label_column: the column of labels of a table.
        threshold: makes two classes of the labels of a table that are numbers.
        classes: keep the samples of these classes only.
        task: what the labels are: classes, numbers, or sets of labels.
        label_delimiter: stands between the labels of a sample, for the task multi-label.

    Raises:
        InputError: no usable data, a threshold for images, unknown classes, or labels that do not fit the task.

    Example:
        >>> digits = load_samples("builtin:digits")
        >>> len(digits), digits[0].size, int(digits.labels[0])
        (1797, (8, 8), 0)
    """
    if task != "classification" and (threshold is not None or classes is not None):
        raise InputError(f"--task {task} has no classes that --threshold or --classes could choose: leave them out")
    if holds_texts(Path(source)):
        samples: LabelledSamples = read_texts(
            Path(source), text_column, label_column, threshold, task == "classification"
        )
    elif threshold is not None:
        raise InputError(f"{source}: --threshold is for tables of texts whose labels are numbers")
    else:
        samples = load_images(source)
    return as_task(samples, task, label_delimiter) if classes is None else ClassSubset(samples, classes)


def load_images(source: str) -> ImageArray | ImageFolder:
    """Labelled images from a folder with one sub-folder per class, IDX files, or ``builtin:digits``.

    Raises:
        InputError: no usable images.
    """
    if source == DIGITS:
        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return ImageArray(pixels, digits.target.astype(np.int64), source)
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"{source}: no such file or folder; data are a folder of images, IDX files, a table of texts "
            f"({', '.join(sorted(TABLES))}), or {DIGITS}"
        )
    if holds_texts(path):
        raise InputError(
            f"{source}: a table of texts, and images are needed here: give a folder of images, IDX files, or {DIGITS}"
        )
    if holds_idx(path):
        return read_idx_images(path)
    if path.is_file():
        raise InputError(
            f"{source}: neither an IDX file (*images-idx3-ubyte) nor a table of texts ({', '.join(sorted(TABLES))})"
        )
    return ImageFolder(path)
