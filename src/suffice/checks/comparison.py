"""The losses of the same samples in several runs of one model: twice, alone, and in other company."""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from suffice.checks.measured import batch_at, losses_of, tensors_in
from suffice.problem import Batch, Problem

LOOKED_AT = 32
"""From so many first samples, those of different lengths are taken."""

TOGETHER = 8
"""Samples in the largest batch."""

ALONE = 4
"""Samples that are run one by one, where all are of one length."""

REPEATS = 8
"""Further runs that tell a random loss from one that depends on its batch."""

DRAWS = 3
"""Random changes of the outputs that show what their rounding does to a loss."""


class FirstSamples:
    """Some of the first samples, of as many lengths as there are: the effect of padding is not the same for each.

    Attributes:
        sizes: numbers in the batch of each of the first samples alone.
        positions: the samples that are run, in the problem's order.
        rows_alone: rows of that batch that are also run one by one.
        alone: the batches of these.
    """

    def __init__(self, problem: Problem, most: int = TOGETHER) -> None:
        problem = read_once(problem)
        self._problem = problem
        self.sizes = _sizes(problem, min(len(problem), LOOKED_AT))
        first_of_size = {size: self.sizes.index(size) for size in sorted(set(self.sizes))}
        spread = np.linspace(0, len(first_of_size) - 1, min(most, len(first_of_size))).round().astype(int)
        chosen = [list(first_of_size.values())[step] for step in spread]
        self.positions = list(dict.fromkeys([*chosen, *range(min(len(problem), most))]))[:most]
        self.rows_alone = list(range(len(self.positions)))[: max(ALONE, len(chosen))]
        self.alone = [self.batch([self.positions[row]]) for row in self.rows_alone]

    @cached_property
    def together(self) -> Batch:
        """The batch of the samples that are run; not made before it is asked for, as not all samples make one."""
        return self.batch(self.positions)

    @property
    def differ(self) -> bool:
        """Whether some are longer than others."""
        return max(self.sizes) > min(self.sizes)

    @property
    def in_other_company(self) -> list[int]:
        """The first two, the other way round, with fewer samples, of which some are new where there are such."""
        others = [position for position in range(len(self._problem)) if position not in self.positions[:2]]
        return [*self.positions[1::-1], *others[::-1][: max(0, len(self.positions) - 4)]]

    def batch(self, positions: Sequence[int]) -> Batch:
        """The collated samples at some positions."""
        return batch_at(self._problem, positions)


class WholeBatch(FirstSamples):
    """All samples of a problem as one batch, in their order; one of them is also run alone."""

    def __init__(self, problem: Problem, row: int) -> None:
        problem = read_once(problem)
        self._problem = problem
        self.sizes = _sizes(problem, len(problem))
        self.positions = list(range(len(problem)))
        self.rows_alone, self.alone = [row], [self.batch([row])]


class Comparison:
    """How the losses of the samples differ from run to run and from batch to batch.

    Attributes:
        problem: its model is run.
        samples: what it is run on.
        first: the losses of the first run.
        tolerance: a difference relative to the loss that is taken for rounding.
        unstable: the row of a sample whose loss differs between two runs of the same batch, or None.
        in_company: the row of one whose loss depends on its batch, or None.
    """

    def __init__(self, problem: Problem, samples: FirstSamples, tolerance: float) -> None:
        self.problem, self.samples, self.tolerance = problem, samples, tolerance
        self.first = losses_of(problem, samples.together)
        self._alone = np.full(len(samples.positions), np.nan)
        self._elsewhere = self._alone.copy()
        if len(self.first) == len(samples.positions) > 1:
            self._alone[samples.rows_alone] = [
                self._loss_alone(batch, seed) for seed, batch in enumerate(samples.alone, 2)
            ]
            self._elsewhere[1::-1] = losses_of(problem, samples.batch(samples.in_other_company), 2 + ALONE)[:2]
        self.unstable = self._worst(losses_of(problem, samples.together, seed=1))
        rows = [self._worst(self._alone), self._worst(self._elsewhere)]
        self.in_company = next((row for row in rows if row is not None), None)

    @property
    def is_off(self) -> bool:
        """Whether any loss differs."""
        return self.unstable is not None or self.in_company is not None

    @property
    def takes_one(self) -> bool:
        """Whether the model runs a batch of one sample."""
        return bool(np.isfinite(self._alone).any())

    def is_like(self, other: "Comparison", share: float) -> bool:
        """Whether the losses are finite and, up to a share of them, those of another comparison of the same samples.

        Only a copy of the same function can tell what is rounding in the model itself.
        """
        if self.first.shape != other.first.shape or not np.isfinite(self.first).all():
            return False
        allowed = np.maximum(self.by_outputs, other.by_outputs)
        for mine, theirs in zip(self._runs, other._runs, strict=True):
            both = np.isfinite(mine) & np.isfinite(theirs)
            gaps = np.abs(mine - theirs)[both]
            if (gaps > (share * np.maximum(np.abs(mine), np.abs(theirs)) + allowed)[both]).any():
                return False
        return True

    @property
    def _runs(self) -> list[Float64[np.ndarray, " batch"]]:
        return [self.first, self._alone, self._elsewhere]

    def differs_after_others(self) -> bool:
        """Whether the losses of the batch differ from those of its first run after another batch, with its seed."""
        try:
            losses_of(self.problem, self.samples.alone[-1])
        except Exception:  # some models do not take a batch of one
            losses_of(self.problem, self.samples.batch(self.samples.in_other_company))
        return self.differs_again(seed=0)

    def differs_again(self, seed: int) -> bool:
        """Whether the losses of the batch differ from those of its first run when it is run with another seed."""
        return self._worst(losses_of(self.problem, self.samples.together, seed)) is not None

    def differs(self, one: Batch, other: Batch, row: int) -> bool:
        """Whether the loss of the first sample of two batches differs; it is the one in a row of the samples."""
        try:
            left, right = (float(losses_of(self.problem, batch)[0]) for batch in (one, other))
        except Exception:  # some models do not take a batch of one
            return False
        return abs(left - right) > max(self.tolerance * max(abs(left), abs(right)), float(self.by_outputs[row]))

    def _loss_alone(self, batch: Batch, seed: int) -> float:
        try:
            losses = losses_of(self.problem, batch, seed)
        except Exception:  # some models do not take a batch of one; the other batches count then
            return np.nan
        return float(losses[0]) if losses.shape == (1,) else np.nan

    def _worst(self, losses: Float64[np.ndarray, " batch"]) -> int | None:
        """The sample whose loss differs most from the first run, if that is more than rounding.

        Losses that are not finite are left to the measurement, which names the sample.
        """
        if losses.shape != self.first.shape:
            return None
        gaps = np.abs(losses - self.first)
        gaps[~np.isfinite(gaps)] = 0
        off = gaps > self.tolerance * np.maximum(np.abs(self.first), np.abs(losses))
        if off.any():
            off &= gaps > self.by_outputs
        return int(np.where(off, gaps, 0).argmax()) if off.any() else None

    @cached_property
    def by_outputs(self) -> Float64[np.ndarray, " batch"]:
        """What a relative change of the outputs, as large as rounding may be, does to each loss.

        A cross-entropy that is nearly zero, or one of large logits, changes by many times as much.
        """
        outputs = self.problem.outputs(self.samples.together)
        still = self._losses_of(outputs)
        found = np.zeros_like(still)
        for seed in range(DRAWS):
            shaken = _shaken(outputs, self.tolerance, torch.Generator().manual_seed(seed))
            try:
                losses = self._losses_of(shaken)
            except Exception:  # outputs of a kind that only the user's loss knows
                return found
            found = np.maximum(found, 2 * np.nan_to_num(np.abs(losses - still), nan=np.inf))
        return found

    def _losses_of(self, outputs: Any) -> Float64[np.ndarray, " batch"]:
        torch.manual_seed(0)
        return np.asarray(self.problem.losses_of(outputs, self.samples.together).double().cpu().numpy())


class _ReadOnce:
    """A data set of which each row is read once: random augmentation is no fault of the model."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._known: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, row: int) -> Any:
        if row not in self._known:
            several = getattr(self._dataset, "__getitems__", None)
            self._known[row] = self._dataset[row] if several is None else several([row])[0]
        return self._known[row]

    def describe(self, row: int) -> str:
        """As the data set describes it."""
        return str(self._dataset.describe(row)) if hasattr(self._dataset, "describe") else f"data set row {row}"


def read_once(problem: Problem) -> Problem:
    """The problem with samples that are the same at each reading, as far as the data set decides."""
    if isinstance(problem.dataset, _ReadOnce) or type(problem.dataset) is TensorDataset:
        return problem
    once = copy.copy(problem)
    once.dataset = _ReadOnce(problem.dataset)
    return once


def size_of(problem: Problem, position: int) -> int:
    """Numbers in the batch of one sample."""
    return sum(tensor.numel() for tensor in tensors_in(batch_at(problem, [position])))


def _sizes(problem: Problem, count: int) -> list[int]:
    """Of the first samples; those that are collated by default are of one size."""
    if problem.collate is default_collate:
        return [size_of(problem, 0)] * count
    return [size_of(problem, position) for position in range(count)]


def _shaken(outputs: Any, relative: float, generator: torch.Generator) -> Any:
    """Each number moved up or down by a share of the largest."""
    if isinstance(outputs, Tensor) and outputs.is_floating_point() and outputs.numel():
        largest = float(torch.nan_to_num(outputs, 0.0, 0.0, 0.0).abs().max())
        signs = torch.randint(2, outputs.shape, generator=generator).to(outputs) * 2 - 1
        return outputs + relative * largest * signs
    if isinstance(outputs, dict):
        changed = {key: _shaken(value, relative, generator) for key, value in outputs.items()}
        return changed if type(outputs) is dict else type(outputs)(**changed)
    if type(outputs) in (list, tuple):
        return type(outputs)(_shaken(value, relative, generator) for value in outputs)
    return outputs
