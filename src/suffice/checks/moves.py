"""Guard: moving the parameters moves the losses."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from suffice.checks.measured import evaluating, same, tensors_in
from suffice.checks.registry import ROUNDED, UNMOVED, Finding
from suffice.problem import Batch, Problem, State, norm, wide

FAR = 10.0
"""A step that changes the outputs of whatever reads the parameters, relative to their size."""

FAR_POINTS = 3
"""Steps of that kind that are tried."""

PRECISE = 100
"""A distance of so many units in the last place of the weights is met within a percent."""

OFF = 0.1
"""By so much, relative to it, the distance of a point may be off."""


def check_distance(problem: Problem, state: State, distance: float) -> None:
    """Stops where the rounding of the weights puts a point elsewhere than it should be.

    Args:
        problem: its model is at the centre.
        state: the point.
        distance: how far from the centre it should be.

    Raises:
        InputError: SUF006.
    """
    center = {name: parameter.detach() for name, parameter in problem.moving.items()}
    eps = max(torch.finfo(parameter.dtype).eps for parameter in center.values())
    if not problem.checks or distance > PRECISE * eps * norm(center):
        return
    actual = norm({name: wide(state[name]) - wide(value) for name, value in center.items()})
    if abs(actual - distance) > OFF * distance:
        dtype = str(next(iter(center.values())).dtype).removeprefix("torch.")
        what = f"a probe at distance {distance:.3g} from the weights is at {actual:.3g} after rounding to {dtype}"
        Finding(ROUNDED, what, "Choose a larger radius or sigma, or convert the model to float64").report()


def check_moves(problem: Problem, state: State, batches: Iterable[tuple[object, Batch]], name: str) -> None:
    """Stops where the outputs for all samples are the same at another point; to be called if their losses are.

    Losses alone do not tell: errors of 0 and 1 may well be the same.

    Args:
        problem: its model is at the centre.
        state: the other point.
        batches: all samples, as `Problem.batches` gives them.
        name: what to call the point.

    Raises:
        InputError: SUF005 or SUF006.
    """
    if not problem.checks or all(torch.equal(state[key], value.detach()) for key, value in problem.moving.items()):
        return
    with evaluating(problem):
        for _, batch in batches:
            if not _same_outputs(problem, state, batch):
                return
        nothing = nothing_moves(problem, batch)
    if not nothing:
        what = f"at {name} all outputs equal those at the centre to the bit, although the weights differ"
        Finding(ROUNDED, what, "Choose a larger radius or sigma, or convert the model to float64").report()
    unmoved(problem).report()


def nothing_moves(problem: Problem, batch: Batch) -> bool:
    """Whether the outputs of a batch stay the same to the bit wherever the parameters are moved."""
    names = list(problem.moving)
    return all(_same_outputs(problem, far_from(problem, names, seed), batch) for seed in range(FAR_POINTS))


def unmoved(problem: Problem) -> Finding:
    """That nothing moves the losses."""
    names = list(problem.moving)
    some = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    what = f"moving the parameters ({some}) does not change any output"
    return Finding(UNMOVED, what, "Choose parameters that forward reads with parameters=, or unmerge the adapter")


def far_from(problem: Problem, names: Sequence[str], seed: int = 0) -> dict[str, Tensor]:
    """A point in which some parameters are moved by ten times their size, at random; the others are where they are."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: parameter.detach() for name, parameter in problem.moving.items()}
    for name in names:
        value = state[name]
        size = norm({name: value}) / math.sqrt(value.numel()) or 1.0
        step = torch.randn(value.shape, generator=generator, dtype=torch.float32).to(value)
        state[name] = value + FAR * size * step
    return state


def _same_outputs(problem: Problem, state: State, batch: Batch) -> bool:
    here = tensors_in(problem.outputs(batch))
    with problem.at(state):
        there = tensors_in(problem.outputs(batch))
    # outputs of a kind that holds no tensors cannot be compared, and are not refused
    return bool(here) and all(bool(same(some, other).all()) for some, other in zip(here, there, strict=True))
