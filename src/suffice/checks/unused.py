"""Guard: parameters that autograd gives no gradient are truly without influence."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from suffice.checks.comparison import TOGETHER, FirstSamples
from suffice.checks.measured import evaluating, losses_of, random_numbers_of_its_own
from suffice.checks.moves import far_from
from suffice.checks.passed import passed_by
from suffice.checks.precise import in_float64
from suffice.checks.registry import UNREACHED, UNUSED, Finding
from suffice.problem import Batch, Problem

POINTS = 16
"""Far points at which a parameter of one of several like modules is looked for.

An expert that gets no sample at the weights as they are gets some at others; a layer that forward skips never does.
"""

TRIED = 4
"""Samples on which a parameter must have no gradient."""

NAMED = 3
"""Parameters that a warning names."""


def check_unused(problem: Problem, batch_size: int = TOGETHER) -> None:
    """Warns, once for each use of a model, of parameters without a gradient.

    Those that forward leaves out have none, and that is right; those that move the loss all the same are not trained.

    Args:
        problem: what is differentiated or trained.
        batch_size: samples that are run at a time.

    Warns:
        UserWarning: SUF010 or SUF011, with the parameters.
    """
    passed = passed_by(problem)
    if not problem.checks or passed.has("unused"):
        return
    with evaluating(problem):
        samples = FirstSamples(problem)
        batch = samples.together if batch_size > 1 else samples.alone[0]
        without = _without_gradient(problem, samples.alone[:TRIED], list(problem.moving))
        reached = (
            [name for name in without if _moves(problem, batch, [name])] if _moves(problem, batch, without) else []
        )
        left_out = [name for name in without if name not in reached]
        left_out = [name for name in left_out if not _is_used_elsewhere(problem, batch, name, without)]
    left_out = _left_out_of_training(problem, batch, left_out)
    passed_by(problem).add("unused")  # the first forward pass may have set flags
    merged = [name for name in left_out if _is_merged(problem, name)]
    if merged:
        what = f"moving {_named(merged)} does not move the loss: they are merged into other weights"
        Finding(UNUSED, what, "Unmerge the adapter first, with PEFT by model.unmerge_adapter()").report()
    left_out = [name for name in left_out if name not in merged]
    if left_out:
        what = f"forward does not use {_named(left_out)}: the gradient is taken as zero"
        Finding(UNUSED, what, "Exclude with parameters= what shall not count among the moving parameters").report()
    if reached:
        it = "it" if len(reached) == 1 else "them"
        what = f"autograd gives no gradient for {_named(reached)}, although the loss depends on {it}: not trained"
        Finding(UNREACHED, what, f"Let forward record gradients, or exclude {it} with parameters=").report()


def _left_out_of_training(problem: Problem, batch: Batch, names: list[str]) -> list[str]:
    """Those of some parameters that have no gradient in training mode either; what is merged at eval() has.

    It is looked at in a copy, as a run in training mode moves running statistics.
    """
    copied = in_float64(problem) if names else None
    if copied is None:
        return names
    try:
        with random_numbers_of_its_own(problem):
            copied.model.train()
            return _without_gradient(copied, [batch], names)
    except Exception:  # what cannot be run in the copy is left at what evaluation mode says
        return names


def _is_used_elsewhere(problem: Problem, batch: Batch, name: str, without: Sequence[str]) -> bool:
    """Whether a parameter, one of several alike of which some have gradients, has one at other weights."""
    kind = _without_numbers(name)
    if kind == name or all(other in without for other in problem.moving if _without_numbers(other) == kind):
        return False
    for seed in range(POINTS):
        with problem.at(far_from(problem, list(problem.moving), seed)):
            if not _without_gradient(problem, [batch], [name]):
                return True
    return False


def _without_numbers(name: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _without_gradient(problem: Problem, batches: Iterable[Batch], names: Sequence[str]) -> list[str]:
    """Those of some parameters that autograd finds in the losses of no batch; none where it fails."""
    left = list(names)
    with _requiring_gradients(problem), torch.enable_grad():
        for batch in batches:
            try:
                loss = problem.losses(batch).sum()
                if not left or not loss.requires_grad:
                    continue
                found = torch.autograd.grad(loss, [problem.moving[name] for name in left], allow_unused=True)
            except Exception:  # such as that of reentrant checkpointing, or of a model that takes no batch of one
                return []
            left = [name for name, gradient in zip(left, found, strict=True) if gradient is None]
    return left


def _is_merged(problem: Problem, name: str) -> bool:
    """Whether a module that the parameter belongs to says, as PEFT's layers do, that it is merged."""
    modules = dict(problem.model.named_modules())
    parts = name.split(".")
    owners = (modules[".".join(parts[:length])] for length in range(len(parts)))
    return any(getattr(owner, "merged", False) is True for owner in owners)


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
