"""What is trained on and what is tested on: the parts of the samples, the classes that are told apart, one series."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from suffice.data import LabelledSamples, groups_of

Rows = Int64[np.ndarray, " _"]
"""Rows of a data set; as many as there are."""

ALL = "all"
"""The task with all classes."""


class Series(NamedTuple):
    """One learning curve's trainings, which differ in their size alone: the task, the method and the seed."""

    task: str
    method: str
    seed: int


@dataclass(frozen=True)
class Parts:
    """Rows to train on, to choose by and to test on, in ascending order."""

    pool: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class Task:
    """Which classes are told apart.

    Attributes:
        name: "all", or the names of the classes.
        samples: those of these classes.
        rows: where they stand among all samples.
        parts: of these rows.
    """

    name: str
    samples: LabelledSamples
    rows: Rows
    parts: Parts

    def groups(self, rows: Rows) -> Rows | None:
        """The group of each of some samples, numbered from 0 on; None where the data have no groups."""
        groups = groups_of(self.samples)
        return None if groups is None else np.unique(groups[rows], return_inverse=True)[1]

    @property
    def used(self) -> Rows:
        """Rows of those in any part, ascending."""
        used: Rows = np.sort(np.concatenate(list(vars(self.parts).values())))
        return used
