"""The losses of the same samples in several runs of one model: twice, alone, and in other company."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.utils.data import default_collate

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

ALIKE = 0.2
"""Most losses of a copy of a model differ by less than this share from those of the model."""

DRAWS = 3
"""Random changes of the outputs that show what their rounding does to a loss."""


class FirstSamples:
    """Some of the first samples, of as many lengths as there are: the effect of padding is not the same for each.

    Attributes:
        sizes: numbers in the batch of each of the first samples alone.
        positions: the samples that are run, in the problem's order.
        together: the batch of these.
        alone: the batches of the first of these.
    """

    def __init__(self, problem: Problem, most: int = TOGETHER) -> None:
        self._problem = problem
        self.sizes = _sizes(problem)
        first_of_size = {size: self.sizes.index(size) for size in sorted(set(self.sizes))}
        spread = np.linspace(0, len(first_of_size) - 1, min(most, len(first_of_size))).round().astype(int)
        chosen = [list(first_of_size.values())[step] for step in spread]
        self.positions = list(dict.fromkeys([*chosen, *range(len(self.sizes))]))[:most]
        self.together = self.batch(self.positions)
        self.alone = [self.batch([position]) for position in self.positions[: max(ALONE, len(chosen))]]

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


class Comparison:
    """How the losses of the samples differ from run to run and from batch to batch.

    Attributes:
        problem: its model is run.
        samples: what it is run on.
        tolerance: a difference relative to the loss that is taken for rounding.
        unstable: the row of a sample whose loss differs between two runs of the same batch, or None.
        in_company: the row of one whose loss depends on its batch, or None.
    """

    def __init__(self, problem: Problem, samples: FirstSamples, tolerance: float) -> None:
        self.problem, self.samples, self.tolerance = problem, samples, tolerance
        self._first = losses_of(problem, samples.together)
        self._alone = np.full(len(samples.positions), np.nan)
        elsewhere = self._alone.copy()
        if len(self._first) == len(samples.positions) > 1:
            self._alone[: len(samples.alone)] = [
                self._loss_alone(batch, seed) for seed, batch in enumerate(samples.alone, 2)
            ]
            elsewhere[1::-1] = losses_of(problem, samples.batch(samples.in_other_company), 2 + ALONE)[:2]
        self.unstable = self._worst(losses_of(problem, samples.together, seed=1))
        rows = [self._worst(self._alone), self._worst(elsewhere)]
        self.in_company = next((row for row in rows if row is not None), None)

    @property
    def is_off(self) -> bool:
        """Whether any loss differs."""
        return self.unstable is not None or self.in_company is not None

    @property
    def takes_one(self) -> bool:
        """Whether the model runs a batch of one sample."""
        return bool(np.isfinite(self._alone).any())

    def is_like(self, other: "Comparison") -> bool:
        """Whether a copy of a model has about the losses of the model; masks of its own dtype may make it useless."""
        known = np.isfinite(other._first)
        mine, theirs = self._first[known], other._first[known]
        if not np.isfinite(mine).all():
            return False
        apart = np.abs(mine - theirs) <= ALIKE * np.maximum(np.abs(mine), np.abs(theirs))
        return self.unstable is not None or other.unstable is not None or bool(2 * apart.sum() >= len(apart))

    def differs_again(self, seed: int) -> bool:
        """Whether the losses of the batch differ from those of its first run when it is run with another seed."""
        return self._worst(losses_of(self.problem, self.samples.together, seed)) is not None

    def differs(self, one: Batch, other: Batch, row: int) -> bool:
        """Whether the loss of the first sample of two batches differs; it is the one in a row of the samples."""
        try:
            left, right = (float(losses_of(self.problem, batch)[0]) for batch in (one, other))
        except Exception:  # some models do not take a batch of one
            return False
        return abs(left - right) > max(self.tolerance * max(abs(left), abs(right)), float(self._by_outputs[row]))

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
        if losses.shape != self._first.shape:
            return None
        gaps = np.abs(losses - self._first)
        gaps[~np.isfinite(gaps)] = 0
        off = gaps > self.tolerance * np.maximum(np.abs(self._first), np.abs(losses))
        if off.any():
            off &= gaps > self._by_outputs
        return int(np.where(off, gaps, 0).argmax()) if off.any() else None

    @cached_property
    def _by_outputs(self) -> Float64[np.ndarray, " batch"]:
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


def _sizes(problem: Problem) -> list[int]:
    """Samples that are collated by default are of one size."""
    count = min(len(problem), LOOKED_AT)
    if problem.collate is default_collate:
        return [1] * count
    return [sum(tensor.numel() for tensor in tensors_in(batch_at(problem, [position]))) for position in range(count)]


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
