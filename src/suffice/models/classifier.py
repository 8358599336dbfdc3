"""What a problem needs of a classifier, whatever its samples are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64
from torch import Tensor, nn

from suffice.data import LabelledSamples
from suffice.models.checkpoint import Checkpoint
from suffice.problem import Batch


@runtime_checkable
class Inputs(Protocol):
    """Some of the samples as a classifier takes them: dictionaries with "labels"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how these samples were read."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> dict[str, Any]: ...

    def describe(self, row: int, /) -> str:
        """Where a sample comes from."""

    def fingerprint(self) -> str:
        """A hash of the contents as the model takes them: it changes with any sample, label or preprocessing."""


@dataclass(frozen=True)
class Classifier(ABC):
    """A checkpoint with what is needed to use it.

    Attributes:
        checkpoint: the model, and how it was read.
        notes: what a person should know of the checkpoint and of how it is used.
    """

    checkpoint: Checkpoint
    notes: tuple[str, ...]

    @property
    def model(self) -> nn.Module:
        """The module, in evaluation mode, in float32."""
        return self.checkpoint.model

    @property
    def labels(self) -> tuple[int, ...]:
        """The model's label for each class of the data."""
        return self.checkpoint.labels

    @property
    def matched_by_name(self) -> bool:
        """Whether the checkpoint names these classes; else they were matched in order."""
        return self.checkpoint.matched_by_name

    @property
    def has_new_head(self) -> bool:
        """Whether the checkpoint had no head for these classes; the one here is random."""
        return self.checkpoint.has_new_head

    @property
    @abstractmethod
    def collate(self) -> Callable[[list[Any]], Batch] | None:
        """Makes a batch of inputs; None where the default of torch does."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits of a batch, by the classifier's model or one of the same kind."""

    @abstractmethod
    def inputs(self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"]) -> Inputs:
        """Some of the samples as the model takes them."""
