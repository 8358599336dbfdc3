"""Two data sets of the same classes as one."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int64

from suffice.data.samples import LabelledSamples, Sample, contents_of, groups_of
from suffice.digest import digest
from suffice.errors import InputError


class Joined:
    """The samples of one data set followed by those of another, such as a separate test set.

    Raises:
        InputError: their classes differ.

    Example:
        >>> from suffice.data import load_samples
        >>> digits = load_samples("builtin:digits")
        >>> both = Joined(digits, digits)
        >>> len(both), both.describe(1797)
        (3594, 'image 0 of builtin:digits')
    """

    def __init__(self, first: LabelledSamples, second: LabelledSamples) -> None:
        if list(first.classes) != list(second.classes):
            raise InputError(
                f"the test data have the classes {', '.join(second.classes)}, and the data have "
                f"{', '.join(first.classes)}: give test data of the same classes"
            )
        self.classes = first.classes
        self.labels = np.concatenate([first.labels, second.labels])
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Sample:
        samples, row = self._at(row)
        return samples[row]

    @property
    def groups(self) -> Int64[np.ndarray, " samples"] | None:
        """Those of each data set by themselves; a sample without one is a group of its own."""
        first, second = groups_of(self._first), groups_of(self._second)
        if first is None and second is None:
            return None
        first = np.arange(len(self._first)) if first is None else first
        second = np.arange(len(self._second)) if second is None else second
        return np.concatenate([first, second + int(first.max(initial=-1)) + 1])

    def contents(self) -> Sequence[Hashable]:
        return [*contents_of(self._first), *contents_of(self._second)]

    def describe(self, row: int) -> str:
        samples, row = self._at(row)
        return samples.describe(row)

    def fingerprint(self) -> str:
        """The hash of both."""
        return digest(self._first.fingerprint(), self._second.fingerprint())

    def _at(self, row: int) -> tuple[LabelledSamples, int]:
        start = len(self._first)
        return (self._first, row) if row < start else (self._second, row - start)
