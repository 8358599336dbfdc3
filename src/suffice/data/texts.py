"""Labelled texts."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from suffice.digest import digest


class LabelledTexts:
    """Texts in memory.

    Args:
        texts: one per sample.
        labels: indices into ``classes``.
        classes: the name of each class.
        lines: the line or row of the source in which each text starts.
        source: the name of the file.
        groups: the group of each sample, see `suffice.data.groups_of`.
        unit: what ``lines`` count.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Int64[np.ndarray, " samples"],
        classes: Sequence[str],
        lines: Sequence[int],
        source: str,
        groups: Int64[np.ndarray, " samples"] | None = None,
        unit: str = "line",
    ) -> None:
        self.texts = texts
        self.labels = labels
        self.classes = list(classes)
        self.lines = lines
        self.source = source
        self.groups = groups
        self.unit = unit

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> str:
        return self.texts[row]

    def describe(self, row: int) -> str:
        return f"{self.unit} {self.lines[row]} of {self.source}"

    def contents(self) -> Sequence[str]:
        """The texts."""
        return self.texts

    def fingerprint(self) -> str:
        """The hash of the texts, the labels, the names of the classes, and the groups if there are any."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        # in parts, whose hashes take little memory
        texts = [digest(list(self.texts[start : start + PART])) for start in range(0, len(self.texts), PART)]
        held = [list(self.texts) if len(texts) <= 1 else texts, self.labels, self.classes]
        return digest(*held) if self.groups is None else digest(*held, self.groups)


PART = 100_000
"""Texts that are hashed at a time."""
