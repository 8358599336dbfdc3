"""Frozen features: the outputs of the frozen part of a model, computed once for all sizes and seeds, kept on disk."""

import functools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from suffice.checks import check_losses, check_samples
from suffice.models import Split
from suffice.problem import Problem, fastest_batch_size
from suffice.storage import RowShards, atomic_write

SHARD_SAMPLES = 256
"""Samples of a shard, which is what a kill loses."""


@dataclass(frozen=True)
class _Layout:
    """How many samples there are, the shape of the features of one, and how many are run at a time."""

    samples: int
    shape: list[int]
    batch_size: int


class FrozenFeatures:
    """The features of some samples in a folder, (samples, ...) in float32, filled shard by shard.

    ``layout.json`` has their shape and the batch size, ``features.zarr`` the shards.
    """

    def __init__(self, folder: Path) -> None:
        self._layout = folder / "layout.json"
        self._array = folder / "features.zarr"

    @property
    def is_planned(self) -> bool:
        return self._layout.exists()

    def plan(self, problem: Problem, cut: Split) -> list[slice]:
        """Makes room for the features of a problem's samples, as `run` writes them; the shards that are missing."""
        if not self.is_planned:
            with problem.measuring():
                shape = list(cut.features(problem.batch(slice(0, 2))).shape[1:])
                batch_size = fastest_batch_size(problem)
            check_samples(problem)
            check_losses(problem, batch_size)
            if "input_ids" in problem.dataset[0] and len(shape) > 1:
                shape[0] = max(len(problem.dataset[row]["input_ids"]) for row in range(len(problem)))
            self._layout.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._layout) as file:
                file.write(json.dumps(asdict(_Layout(len(problem), shape, batch_size))).encode())
        return self._shards().missing()

    def run(self, problem: Problem, cut: Split, rows: slice) -> None:
        """Runs the frozen part on a shard, and stores it; texts of a batch are filled up to the longest of all."""
        layout = self._read_layout()
        found = []
        with problem.measuring():
            for start in range(rows.start, rows.stop, layout.batch_size):
                features = cut.features(problem.batch(slice(start, min(start + layout.batch_size, rows.stop))))
                if features.ndim == 3:
                    features = nn.functional.pad(features, (0, 0, 0, layout.shape[0] - features.shape[1]))
                found.append(features.reshape(len(features), -1).float().cpu().numpy())
        self._shards().write(rows, np.concatenate(found))

    @functools.cached_property
    def tensor(self) -> Float[Tensor, "samples *shape"]:
        """All of them."""
        return torch.from_numpy(self._shards().read()).reshape(-1, *self._read_layout().shape)

    def _read_layout(self) -> _Layout:
        return _Layout(**json.loads(self._layout.read_bytes()))

    def _shards(self) -> RowShards:
        layout = self._read_layout()
        return RowShards.resume(
            self._array, (layout.samples, math.prod(layout.shape)), SHARD_SAMPLES, {}, dtype="float32"
        )
