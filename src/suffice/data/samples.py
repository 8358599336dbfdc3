"""Labelled samples, images or texts, and subsets by class."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

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


class ClassSubset:
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
        self.classes = list(names)
        self.rows = np.flatnonzero(relabelled >= 0)
        self.labels = relabelled[self.rows]
        if empty := set(range(len(names))) - set(self.labels.tolist()):
            raise InputError(f"the class {names[min(empty)]!r} has no samples: leave it out")
        self._samples = samples

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Sample:
        return self._samples[int(self.rows[row])]

    def describe(self, row: int) -> str:
        return self._samples.describe(int(self.rows[row]))

    def fingerprint(self) -> str:
        """The hash of all samples, those of other classes too, and of the names."""
        return digest(self._samples.fingerprint(), self.classes)


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return f"; there are: {shown}{', …' if len(names) > 10 else ''}"
