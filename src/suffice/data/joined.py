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
        InputError: their classes differ, or both have samples of one group.

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
        check_groups(first, second)
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
        """Those of both, which have none in common; a sample without one is a group of its own."""
        first, second = groups_of(self._first), groups_of(self._second)
        if first is None and second is None:
            return None
        # numbers of groups are not negative
        first = -1 - np.arange(len(self._first)) if first is None else first
        second = -1 - np.arange(len(self._second)) if second is None else second
        return np.concatenate([first, second])

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


def check_groups(training: LabelledSamples, test: LabelledSamples) -> None:
    """Whether a model that is tested would know no group, such as a patient, from its training.

    Raises:
        InputError: groups with samples in both.
    """
    first, second = groups_of(training), groups_of(test)
    if first is None or second is None:
        return
    both = np.intersect1d(first, second)
    if not len(both):
        return
    rows = [int(np.flatnonzero(of == both[0])[0]) for of in (first, second)]
    raise InputError(
        f"{len(both):,} of {len(np.unique(second)):,} groups of the test samples are among the training samples, such "
        f"as that of {training.describe(rows[0])} and {test.describe(rows[1])}: their test loss "
        "would be too low; divide the data by groups, and give groups that differ names that differ"
    )
