"""One cell of a study: a training on k samples by one method with one seed, and how good the model is."""

import io
import math
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from safetensors.torch import load, save
from sklearn.metrics import f1_score, roc_auc_score

from suffice.configuration import StudyConfig
from suffice.problem import norm
from suffice.results import Cell
from suffice.results.value import Value
from suffice.storage import Pieces, Place
from suffice.training import DivergedError, Learner, Parts, Predictions, Rows, Series, fine_tune, predict, training_of

Kind = TypeVar("Kind", bound=Value)


class Cells(Generic[Kind]):
    """The cells of a study in a folder: each is stored whole, or not at all.

    Args:
        folder: of the cells.
        identity: hash of all that decides them.
        kind: their type.
        tasks: the names of all tasks.
    """

    def __init__(self, folder: Place, identity: str, kind: type[Kind], tasks: Sequence[str]) -> None:
        self._pieces = Pieces(folder, identity)
        self._kind = kind
        self._tasks = list(tasks)

    def has(self, series: Series, size: int) -> bool:
        return self._pieces.has(self._name(series, size))

    def read(self, series: Series, size: int) -> Kind:
        return self._kind.model_validate(self._pieces.read(self._name(series, size)))

    def tested(self, series: Series, size: int) -> Float64[np.ndarray, "quantities samples"]:
        """What was measured of each test sample: the loss and, of a classifier, whether it is right (1 or 0)."""
        held = io.BytesIO(self._pieces.file(self._name(series, size), ".npy"))
        values: Float64[np.ndarray, "quantities samples"] = np.load(held, allow_pickle=False)
        return values

    def weights(self, series: Series, size: int) -> dict[str, torch.Tensor]:
        """The weights that moved, and the buffers."""
        return load(self._pieces.file(self._name(series, size), ".safetensors"))

    def write(
        self,
        series: Series,
        size: int,
        cell: Kind,
        tested: Float64[np.ndarray, "quantities samples"] | None,
        weights: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Stores a cell."""
        files = {}
        if tested is not None:
            held = io.BytesIO()
            np.save(held, tested, allow_pickle=False)
            files[".npy"] = held.getvalue()
        if weights is not None:
            files[".safetensors"] = save({name: value.contiguous() for name, value in weights.items()})
        self._pieces.write(self._name(series, size), cell.model_dump(mode="json"), files)

    def _name(self, series: Series, size: int) -> str:
        return f"{self._tasks.index(series.task)}-{series.method}-{size}-{series.seed}"


def train_cell(
    config: StudyConfig, learner: Learner, parts: Parts, order: Rows, series: Series, size: int
) -> tuple[Cell, Predictions | None]:
    """Trains on the first samples of an order, and measures on all parts; the learner is left as it was trained.

    Args:
        config: how to train.
        learner: put back to its initial weights first.
        parts: of the task.
        order: the pool in the order of the seed.
        series: task, method and seed.
        size: k, samples to train on.

    Returns:
        The cell, and the predictions on the test part; none of a training that diverged.
    """
    learner.load(learner.initial)
    train, validation, test = (learner.problem(rows) for rows in (order[:size], parts.validation, parts.test))
    before = train.center()
    moving = sum(value.numel() for value in before.values())
    diverged = Cell(**series._asdict(), size=size, status="diverged", moving_parameters=moving)

    def validate() -> float:
        return float(predict(validation, size, config.batch_size).losses.mean())

    start = time.perf_counter()
    settings = training_of(config, config.of_method(series.method), series, config.patience)
    try:
        fine_tune(train, settings, validate=None if config.patience is None else validate)
    except DivergedError:
        return diverged, None
    seconds = time.perf_counter() - start
    trained, chosen, tested = (predict(part, size, config.batch_size) for part in (train, validation, test))
    if not math.isfinite(trained.losses.sum() + chosen.losses.sum() + tested.losses.sum()):
        return diverged, None
    after = train.center()
    cell = Cell(
        **series._asdict(),
        size=size,
        status="finished",
        moving_parameters=moving,
        train_loss=trained.losses.mean(),
        train_accuracy=trained.right.mean(),
        validation_loss=chosen.losses.mean(),
        validation_accuracy=chosen.right.mean(),
        test_loss=tested.losses.mean(),
        test_loss_error=tested.losses.std(ddof=1) / math.sqrt(len(tested.losses)),
        test_accuracy=tested.right.mean(),
        test_f1=_f1(tested) if "f1" in config.metrics else None,
        test_auroc=_auroc(tested) if "auroc" in config.metrics else None,
        distance=norm({name: after[name] - before[name] for name in after}),
        seconds=seconds,
    )
    return cell, tested


def _f1(tested: Predictions) -> float:
    """The mean over classes of 2 precision recall / (precision + recall)."""
    return float(f1_score(tested.labels, tested.outputs.argmax(1), average="macro"))


def _auroc(tested: Predictions) -> float | None:
    """The mean over classes of the area under the curve of each class against the rest."""
    present = np.unique(tested.labels)
    if len(present) < 2:
        return None
    return float(np.mean([roc_auc_score(tested.labels == label, tested.probabilities[:, label]) for label in present]))
