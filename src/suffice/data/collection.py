"""All samples of a source, with its splits and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from suffice.data.samples import LabelledSamples, RowSubset
from suffice.data.splits import TEST, TRAIN, VALIDATION
from suffice.errors import InputError, nearest


class Skipped(NamedTuple):
    """A file or row that is no sample, or a class that is left out, and why."""

    name: str
    reason: str
    samples: int = 1


@dataclass(frozen=True)
class Collection:
    """What a source holds.

    Attributes:
        source: its name.
        samples: of all splits, in the order of the source.
        split_of: the split of each sample; None where the source is not divided.
        skipped: what of the source is no sample.
        notes: what was detected, a sentence each.
        chosen: the split to use; by default that to train on.

    Raises:
        InputError: a chosen split that is not there.
    """

    source: str
    samples: LabelledSamples
    split_of: np.ndarray | None = None
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    chosen: str | None = None

    def __post_init__(self) -> None:
        names = self.splits
        if self.chosen is not None and self.chosen not in names:
            there = f"there are {', '.join(names)}" if names else "the data are not divided"
            raise InputError(f"{self.source}: no split {self.chosen!r}{nearest(self.chosen, names)}; {there}")

    @property
    def splits(self) -> list[str]:
        """The names of the splits: train, validation and test first."""
        if self.split_of is None:
            return []
        known = [TRAIN, VALIDATION, TEST]
        held = set(self.split_of.tolist())
        return [name for name in known if name in held] + sorted(held - set(known))

    @property
    def at_hand(self) -> LabelledSamples:
        """The samples of the chosen split, else those to train on.

        Raises:
            InputError: no split to train on.
        """
        names = self.splits
        if names and self.chosen is None and TRAIN not in names:
            raise InputError(
                f"{self.source}: no split to train on, there {'is' if len(names) == 1 else 'are'} "
                f"{', '.join(names)}; choose one with --split"
            )
        return self.part(self.chosen or TRAIN) if self.splits else self.samples

    @property
    def unseen(self) -> str | None:
        """The split to test on: test, else validation; None where there is none, or one was chosen."""
        if self.chosen not in (None, TRAIN):
            return None
        return next((name for name in (TEST, VALIDATION) if name in self.splits), None)

    def part(self, split: str) -> LabelledSamples:
        """The samples of a split.

        Raises:
            InputError: no such split.
        """
        if split not in self.splits:
            raise InputError(f"{self.source}: no split {split!r}; there are {', '.join(self.splits) or 'none'}")
        return RowSubset(self.samples, np.flatnonzero(self.split_of == split))
