"""What labels are: one class for each sample, a number, or a set of labels."""

from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from suffice.data.labels import as_numbers
from suffice.data.order import in_order
from suffice.data.samples import LabelledSamples, Sample
from suffice.digest import digest
from suffice.errors import InputError, shortened

TaskKind: TypeAlias = Literal["classification", "regression", "multi-label"]
"""One class out of several, a number, or any of several labels at once."""


class _Relabelled:
    """The same samples with other labels; all else is that of the samples as they were read."""

    def __init__(self, samples: LabelledSamples, task: TaskKind) -> None:
        self._samples = samples
        self._task = task

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, row: int) -> Sample:
        return self._samples[row]

    def __getattr__(self, name: str) -> Any:
        if name == "_samples":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._samples, name)

    def describe(self, row: int) -> str:
        return self._samples.describe(row)

    def fingerprint(self) -> str:
        """The hash of the samples, and of what their labels are taken for."""
        return digest(self._samples.fingerprint(), self._task)


class Numbers(_Relabelled):
    """Samples whose labels are numbers, from samples whose classes are the numbers as they are written.

    There are no classes, and ``labels`` are in float64.

    Raises:
        InputError: a label that is no finite number, or labels that are all the same.

    Example:
        >>> from suffice.data import load_samples
        >>> digits = Numbers(load_samples("builtin:digits"))
        >>> digits.labels[:4], digits.classes
        (array([0., 1., 2., 3.]), [])
    """

    def __init__(self, samples: LabelledSamples) -> None:
        super().__init__(samples, "regression")
        numbers = as_numbers(samples.classes, "--task regression")
        self.classes: list[str] = []
        self.labels: Float64[np.ndarray, " samples"] = numbers[samples.labels]
        strange = np.flatnonzero(~np.isfinite(self.labels))
        if len(strange):
            first = int(strange[0])
            more = f", nor are those of {len(strange) - 1:,} more" if len(strange) > 1 else ""
            raise InputError(
                f"{samples.describe(first)}: the label {shortened(samples.classes[samples.labels[first]])!r} is no "
                f"finite number{more}: --task regression takes numbers"
            )
        if len(samples) and np.ptp(self.labels) == 0:
            raise InputError(f"all labels are {self.labels[0]:g}: there is nothing to learn")


class Sets(_Relabelled):
    """Samples with any number of labels each, from samples whose classes are sets with a delimiter between labels.

    ``labels`` are 1 for each label that a sample has and 0 for the others, (samples, classes). The delimiter alone is
    the empty set.

    Args:
        samples: as they were read.
        delimiter: stands between the labels of a sample.

    Raises:
        InputError: no sample with the delimiter, or fewer than two labels.

    Example:
        >>> from suffice.data.texts import LabelledTexts
        >>> texts = LabelledTexts(["a", "b", "c"], np.array([0, 1, 2]), ["x|y", "y", "|"], [1, 2, 3], "films.csv")
        >>> sets = Sets(texts, "|")
        >>> sets.classes, sets.labels.tolist()
        (['x', 'y'], [[1, 1], [0, 1], [0, 0]])
    """

    def __init__(self, samples: LabelledSamples, delimiter: str) -> None:
        super().__init__(samples, "multi-label")
        if not any(delimiter in name for name in samples.classes):
            raise InputError(
                f"no label has {delimiter!r} in it, and --task multi-label takes labels with it in between: give "
                "--label-delimiter, or leave --task out if each sample has one label"
            )
        sets = [{part.strip() for part in name.split(delimiter)} - {""} for name in samples.classes]
        self.classes = in_order(set().union(*sets))
        has = np.array([[int(name in held) for name in self.classes] for held in sets], dtype=np.int64)
        self.labels: Int64[np.ndarray, "samples classes"] = has.reshape(len(sets), -1)[samples.labels]
        if len(self.classes) < 2:
            raise InputError(f"labels: {', '.join(map(repr, self.classes)) or 'none'}; at least two are needed")

    def fingerprint(self) -> str:
        """The hash of the samples, and of the sets of labels."""
        return digest(super().fingerprint(), self.classes, self.labels)


def as_task(samples: LabelledSamples, task: TaskKind, delimiter: str) -> LabelledSamples:
    """Samples that were read as of classes, as those of a task.

    Raises:
        InputError: labels that do not fit the task.
    """
    if task == "classification":
        return samples
    return Numbers(samples) if task == "regression" else Sets(samples, delimiter)


def task_of(samples: LabelledSamples) -> TaskKind:
    """What the labels of samples are.

    Example:
        >>> from suffice.data import load_samples
        >>> task_of(load_samples("builtin:digits")), task_of(Numbers(load_samples("builtin:digits")))
        ('classification', 'regression')
    """
    if samples.labels.dtype.kind == "f":
        return "regression"
    return "multi-label" if samples.labels.ndim == 2 else "classification"


def label_in_words(samples: LabelledSamples, row: int) -> str:
    """What a sample is labelled with, as it is written.

    Example:
        >>> from suffice.data import load_samples
        >>> label_in_words(load_samples("builtin:digits"), 3)
        '3'
    """
    label = samples.labels[row]
    kind = task_of(samples)
    if kind == "regression":
        return f"{label:.6g}"
    if kind == "classification":
        return samples.classes[int(label)]
    return ", ".join(samples.classes[int(place)] for place in np.flatnonzero(label)) or "none"
