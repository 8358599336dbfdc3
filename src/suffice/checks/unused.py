"""Guard: parameters that autograd gives no gradient are truly without influence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from suffice.checks.comparison import FirstSamples
from suffice.checks.measured import batch_at, evaluating, losses_of
from suffice.checks.moves import far_from
from suffice.checks.passed import passed_by
from suffice.checks.registry import UNREACHED, UNUSED, Finding
from suffice.problem import Batch, Problem

POINTS = 3
"""Far points at which a parameter is looked for in vain before it counts as left out.

An expert that gets no sample at the weights as they are gets some at others.
"""

TRIED = 4
"""Samples on which a parameter must have no gradient."""

NAMED = 3
"""Parameters that a warning names."""


def check_unused(problem: Problem) -> None:
    """Warns, once for each use of a model, of parameters without a gradient.

    Those that forward leaves out have none, and that is right; those that move the loss all the same are not trained.

    Warns:
        UserWarning: SUF010 or SUF011, with the parameters.
    """
    passed = passed_by(problem)
    if not problem.checks or passed.has("unused"):
        return
    with evaluating(problem):
        samples = FirstSamples(problem)
        some, batch = samples.positions[:TRIED], samples.together
        without = _without_gradient(problem, some, list(problem.moving))
        reached = (
            [name for name in without if _moves(problem, batch, [name])] if _moves(problem, batch, without) else []
        )
        left_out = [name for name in without if name not in reached]
        for seed in range(POINTS if left_out else 0):
            with problem.at(far_from(problem, list(problem.moving), seed)):
                left_out = _without_gradient(problem, some, left_out)
    passed.add("unused")
    if left_out:
        what = f"forward leaves {_named(left_out)} out: the gradient is taken as zero"
        Finding(UNUSED, what, "Exclude with parameters= what shall not count among the moving parameters").report()
    if reached:
        what = (
            f"autograd gives no gradient for {_named(reached)}, but the loss depends on it: training leaves it as it is"
        )
        Finding(UNREACHED, what, "Let forward record gradients, or exclude it with parameters=").report()


def _without_gradient(problem: Problem, positions: Sequence[int], names: Sequence[str]) -> list[str]:
    """Those of some parameters that autograd finds in the loss of none of some samples; none where it fails."""
    left = list(names)
    with _requiring_gradients(problem), torch.enable_grad():
        for position in positions:
            loss = problem.losses(batch_at(problem, [position])).sum()
            if not left or not loss.requires_grad:
                continue
            try:
                found = torch.autograd.grad(loss, [problem.moving[name] for name in left], allow_unused=True)
            except RuntimeError:  # such as that of reentrant checkpointing
                return []
            left = [name for name, gradient in zip(left, found, strict=True) if gradient is None]
    return left


def _moves(problem: Problem, batch: Batch, names: Sequence[str]) -> bool:
    """Whether the losses of a batch change when some parameters are moved far away."""
    before = losses_of(problem, batch)
    with problem.at(far_from(problem, names)):
        return not np.array_equal(losses_of(problem, batch), before, equal_nan=True)


def _named(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


@contextmanager
def _requiring_gradients(problem: Problem) -> Iterator[None]:
    before = {name: parameter.requires_grad for name, parameter in problem.moving.items()}
    for parameter in problem.moving.values():
        parameter.requires_grad_()
    try:
        yield
    finally:
        for name, parameter in problem.moving.items():
            parameter.requires_grad_(before[name])
