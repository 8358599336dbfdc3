"""Labelled samples, images or texts, and subsets by class."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Int64
from PIL import Image

from suffice.digest import digest
from suffice.errors import InputError, nearest

Sample: TypeAlias = Image.Image | str
"""An image or a text, as a model's processor or tokenizer takes it."""


@runtime_checkable
class LabelledSamples(Protocol):
    """A map-style data set of images, or of texts, with their labels."""

    @property
    def classes(self) -> Sequence[str]:
        """The name of each class; a label is an index into this list."""

    @property
    def labels(self) -> Int64[np.ndarray, " samples"]:
        """The label of each sample; no sample is opened."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Sample: ...

    def describe(self, row: int, /) -> str:
        """The source of a sample, such as a file or a line, for messages."""

    def fingerprint(self) -> str:
        """A hash of the contents: it changes with any sample, label or class name."""


def groups_of(samples: Any) -> Int64[np.ndarray, " samples"] | None:
    """The group of each sample, such as a patient or a document; None where the data have no groups.

    Samples of one group stay in one part: they are all trained on, or all tested on.
    """
    groups: Int64[np.ndarray, " samples"] | None = getattr(samples, "groups", None)
    return groups


def contents_of(samples: LabelledSamples) -> Sequence[Hashable]:
    """For each sample a value that is equal for equal contents, whatever the label.

    Images in files are compared by the bytes of these, so that no image is decoded.
    """
    own = getattr(samples, "contents", None)
    if own is not None:
        contents: Sequence[Hashable] = own()
        return contents
    return [digest(samples[row]) for row in range(len(samples))]


class Header(NamedTuple):
    """What the head of an image file says."""

    mode: str
    width: int
    height: int


def header_of(samples: Any, row: int) -> Header | None:
    """Mode and size of an image, which is not decoded; None for a text.

    Raises:
        InputError: a file that is missing or no image.
    """
    own = getattr(samples, "header", None)
    header: Header | None = None if own is None else own(row)
    return header


class RowSubset:
    """Some samples of a data set, with all its classes.

    Args:
        samples: all samples.
        rows: those to keep, in this order.

    Example:
        >>> from suffice.data import load_samples
        >>> some = RowSubset(load_samples("builtin:digits"), np.array([3, 5]))
        >>> len(some), some.labels.tolist(), some.describe(0)
        (2, [3, 5], 'image 3 of builtin:digits')
    """

    def __init__(self, samples: LabelledSamples, rows: Int64[np.ndarray, " rows"]) -> None:
        self.classes = list(samples.classes)
        self.rows = rows
        self.labels = samples.labels[rows]
        self._samples = samples

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Sample:
        return self._samples[int(self.rows[row])]

    @property
    def groups(self) -> Int64[np.ndarray, " samples"] | None:
        groups = groups_of(self._samples)
        return None if groups is None else groups[self.rows]

    def contents(self) -> Sequence[Hashable]:
        all_contents = contents_of(self._samples)
        return [all_contents[int(row)] for row in self.rows]

    def header(self, row: int) -> Header | None:
        return header_of(self._samples, int(self.rows[row]))

    def describe(self, row: int) -> str:
        return self._samples.describe(int(self.rows[row]))

    def fingerprint(self) -> str:
        """The hash of all samples, and of which are kept."""
        return digest(self._samples.fingerprint(), self.rows)


class ClassSubset(RowSubset):
    """The samples of some classes, in the order of the data. A label is an index into ``names``.

    Args:
        samples: the samples of all classes.
        names: the classes to keep.

    Raises:
        InputError: a class that is unknown, has no samples or is named twice, or fewer than two classes.

    Example:
        >>> from suffice.data import load_samples
        >>> digits = load_samples("builtin:digits")
        >>> some = ClassSubset(digits, ["8", "3"])
        >>> len(some), some.classes, some.labels[:4].tolist(), some.describe(0)
        (357, ['8', '3'], [1, 0, 1, 0], 'image 3 of builtin:digits')
    """

    def __init__(self, samples: LabelledSamples, names: Sequence[str]) -> None:
        known = list(samples.classes)
        for name in names:
            if name not in known:
                raise InputError(f"no class {name!r} in the data{nearest(name, known) or _listing(known)}")
        if len(set(names)) < max(2, len(names)):
            raise InputError(f"classes = {', '.join(names)}: name at least two classes, each once")
        new_labels = np.full(len(known), -1)
        new_labels[[known.index(name) for name in names]] = np.arange(len(names))
        relabelled = new_labels[samples.labels]
        super().__init__(samples, np.flatnonzero(relabelled >= 0))
        self.classes = list(names)
        self.labels = relabelled[self.rows]
        if empty := set(range(len(names))) - set(self.labels.tolist()):
            raise InputError(f"the class {names[min(empty)]!r} has no samples: leave it out")

    def fingerprint(self) -> str:
        """The hash of all samples, those of other classes too, and of the names."""
        return digest(self._samples.fingerprint(), self.classes)


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return f"; there are: {shown}{', …' if len(names) > 10 else ''}"
