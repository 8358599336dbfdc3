"""Frozen features: the outputs of the frozen part of a model, computed once for all sizes and seeds, kept on disk."""

import functools
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from suffice.checks import check_kept, check_outputs, check_samples
from suffice.digest import digest, digest_of_samples
from suffice.models import Split
from suffice.problem import Problem, fastest_batch_size
from suffice.storage import METADATA, DamagedArrayError, Place, RowShards, exists

SHARD_SAMPLES = 256
"""Samples of a shard, which is what a kill loses."""


class FrozenFeatures:
    """The frozen features of some samples in a folder, (samples, ...) in float32, filled shard by shard.

    The array keeps hashes of the samples and of the frozen weights, the shape of one sample's features, and the batch
    size.
    """

    def __init__(self, folder: Place) -> None:
        self._folder = folder / "features.zarr"

    @property
    def is_planned(self) -> bool:
        return exists(self._folder / METADATA)

    @property
    def bytes(self) -> int:
        """What all shards take."""
        return RowShards.open(self._folder).bytes

    def plan(self, problem: Problem, cut: Split) -> list[slice]:
        """Makes the array for the features of a problem's samples; returns the shards that `run` has to compute.

        Raises:
            InputError: the folder holds the features of other samples or weights.
        """
        try:
            layout = RowShards.open(self._folder).identity if self.is_planned else _layout(problem, cut)
        except DamagedArrayError:  # it is begun anew below
            layout = _layout(problem, cut)
        shape = (len(problem), math.prod(layout["sample_shape"]))
        identity = layout | {
            "weights": digest(_frozen(problem)),
            "samples": digest_of_samples(problem.dataset),
        }
        return RowShards.resume(self._folder, shape, SHARD_SAMPLES, identity, dtype="float32").missing()

    def run(self, problem: Problem, cut: Split, rows: slice) -> None:
        """Computes and stores one shard; texts are padded to the longest of all."""
        shards = RowShards.open(self._folder)
        shape, batch_size = shards.identity["sample_shape"], shards.identity["batch_size"]
        found = []
        with problem.measuring():
            for _, batch in problem.batches(batch_size, rows):
                features = cut.features(batch)
                if features.ndim == 3:
                    features = nn.functional.pad(features, (0, 0, 0, shape[0] - features.shape[1]))
                found.append(features.reshape(len(features), -1).float().cpu().numpy())
        shards.write(rows, np.concatenate(found))

    @functools.cached_property
    def tensor(self) -> Float[Tensor, "samples *shape"]:
        """All of them.

        Raises:
            InputError: a shard is missing or damaged.
        """
        shards = RowShards.open(self._folder)
        return torch.from_numpy(shards.read()).reshape(-1, *shards.identity["sample_shape"])


def _layout(problem: Problem, cut: Split) -> dict[str, Any]:
    """The shape of one sample's features, and how many samples are run at a time."""
    check_samples(problem)
    check_kept(problem)
    with problem.measuring():
        shape = list(cut.features(problem.batch(slice(0, 2))).shape[1:])
        batch_size = fastest_batch_size(problem)
    check_outputs(problem, batch_size)
    if "input_ids" in problem.dataset[0] and len(shape) > 1:
        shape[0] = max(len(problem.dataset[row]["input_ids"]) for row in range(len(problem)))
    return {"sample_shape": shape, "batch_size": batch_size}


def _frozen(problem: Problem) -> dict[str, Any]:
    """The weights that do not move; those behind the cut move, or do not change the features."""
    return {name: value for name, value in problem.model.state_dict().items() if name not in problem.moving}
