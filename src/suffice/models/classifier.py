"""Classifiers of images or texts, as a problem uses them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from suffice.data import LabelledSamples, TaskKind
from suffice.models.checkpoint import Checkpoint
from suffice.problem import Batch, Loss


def binary_cross_entropy(logits: Float[Tensor, "batch labels"], batch: Batch) -> Float[Tensor, " batch"]:
    r"""The mean over labels of the binary cross-entropy of a sample, in float64.

    .. math:: l_i = \frac1C \sum_c \log(1 + e^{z_{ic}}) - y_{ic} z_{ic}

    with 1 for each of the C labels that a sample has, and 0 for the others.

    Args:
        logits: z.
        batch: holds y, as "labels" or as the second part of a pair.

    Example:
        >>> binary_cross_entropy(torch.tensor([[0.0, 2.0]]), {"labels": torch.tensor([[1.0, 0.0]])})
        tensor([1.4100], dtype=torch.float64)
    """
    targets: Tensor = (batch["labels"] if isinstance(batch, Mapping) else batch[1]).double()
    z = logits.double()
    return (nn.functional.softplus(z) - targets * z).mean(1)


@runtime_checkable
class Inputs(Protocol):
    """Samples as the inputs of a classifier: dictionaries with "labels"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the samples were read, to be shown."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> dict[str, Any]: ...

    def describe(self, row: int, /) -> str:
        """The source of a sample, such as a file or a line, for messages."""

    def fingerprint(self) -> str:
        """A hash of the contents as the model takes them: it changes with any sample, label or preprocessing."""


@dataclass(frozen=True)
class Classifier(ABC):
    """A checkpoint with its preprocessing.

    Attributes:
        checkpoint: the model, and how it was read.
        notes: remarks on the checkpoint and its preprocessing, to be shown.
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
        """Whether labels were matched by name or by a label map; otherwise they were matched in order."""
        return self.checkpoint.matched_by_name

    @property
    def has_new_head(self) -> bool:
        """Whether the head is new and random, because the checkpoint has none for these classes and this loss."""
        return self.checkpoint.has_new_head

    @property
    def task(self) -> TaskKind:
        """What the head is for."""
        return self.checkpoint.task

    @property
    def loss(self) -> Loss:
        """The loss of a sample: the cross-entropy of a softmax, the squared error, or `binary_cross_entropy`."""
        losses: dict[TaskKind, Loss] = {
            "classification": "cross_entropy",
            "regression": "mse",
            "multi-label": binary_cross_entropy,
        }
        return losses[self.task]

    def target(self, samples: LabelledSamples, row: int) -> int | float | Tensor:
        """What the outputs for a sample are compared with: a label of the model, a number, or 0 or 1 for each label."""
        label = samples.labels[row]
        if self.task == "regression":
            return float(label)
        if self.task == "classification":
            return self.labels[int(label)]
        target = torch.zeros(len(self.labels))
        target[list(self.labels)] = torch.from_numpy(label).float()
        return target

    @property
    @abstractmethod
    def collate(self) -> Callable[[list[Any]], Batch] | None:
        """Makes a batch of inputs; None for torch's ``default_collate``."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """The logits of a batch; ``model`` is the classifier's, or a copy or part of it."""

    @abstractmethod
    def inputs(self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"]) -> Inputs:
        """The samples at some rows, as inputs of the model."""
