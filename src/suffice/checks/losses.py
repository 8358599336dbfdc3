"""Guard: a loss is a function of a sample and the weights alone."""

import copy

import torch
from torch import Tensor

from suffice.checks.comparison import TOGETHER, Comparison, FirstSamples
from suffice.checks.diagnosis import diagnose
from suffice.checks.measured import batch_at, evaluating, same, tensors_in
from suffice.checks.passed import passed_by
from suffice.checks.precise import FLOAT32, in_float64, lowest_dtype, rounding
from suffice.checks.registry import READING, Finding
from suffice.problem import Batch, Problem


def check_losses(problem: Problem, batch_size: int = TOGETHER) -> None:
    """Stops where the loss of a sample changes from run to run, or depends on its batch.

    The first samples are run twice, alone, and in other company. It is done once for each use of a model, see
    `suffice.checks.passed`. Where the data set gives other samples at each reading nothing can be said.

    Args:
        problem: what is to be measured.
        batch_size: samples that will be run at a time; with 1, a sample has no company and no padding.

    Raises:
        InputError: SUF001, SUF002 or SUF003, with the first module that differs.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.randn(9, 2), torch.randint(3, (9,)))
        >>> check_losses(Problem(torch.nn.Linear(2, 3), data))
        >>> model = torch.nn.Sequential(torch.nn.BatchNorm1d(2, track_running_stats=False), torch.nn.Linear(2, 3))
        >>> check_losses(Problem(model, data, order="source"))
        Traceback (most recent call last):
        suffice.errors.InputError: SUF002: the loss of data set row ... depends on the samples beside it in the batch; \
module 0 (BatchNorm1d) uses batch statistics in evaluation mode. Set track_running_stats=True and train again, ...
    """
    passed = passed_by(problem)
    guard = "losses" if batch_size > 1 else "losses alone"
    if not problem.checks or passed.has("losses") or passed.has(guard):
        return
    if not _reads_alike(problem):  # a training may go on; `check_samples` stops measurements
        return
    found = _compared(problem, min(batch_size, TOGETHER))
    if found is not None:
        with evaluating(found.problem):
            finding = diagnose(found)
        finding.report()
    passed.add(guard)


def check_outputs(problem: Problem, batch_size: int = TOGETHER) -> None:
    """As `check_losses`, for outputs that are used without their loss: their mean square stands for it.

    Raises:
        InputError: SUF001, SUF002 or SUF003, with the first module that differs.
    """
    squares = copy.copy(problem)
    squares.loss = _mean_square
    check_losses(squares, batch_size)


def check_samples(problem: Problem) -> None:
    """Stops where the data set gives another sample at the second reading.

    Raises:
        InputError: SUF004.
    """
    if problem.checks and not _reads_alike(problem):
        what = f"{problem.describe(0)} and others are other samples at their second reading"
        Finding(READING, what, "Measure on a data set without random augmentation").report()


def _reads_alike(problem: Problem) -> bool:
    passed = passed_by(problem)
    if passed.has("samples"):
        return True
    for position in range(min(TOGETHER, len(problem))):
        first, second = (tensors_in(batch_at(problem, [position])) for _ in range(2))
        if len(first) != len(second) or not all(map(_same, first, second)):
            return False
    passed.add("samples")
    return True


def _mean_square(outputs: Tensor, batch: Batch) -> Tensor:
    return outputs.double().flatten(1).square().mean(1)


def _same(left: Tensor, right: Tensor) -> bool:
    return left.shape == right.shape and bool(same(left, right).all())


def _compared(problem: Problem, most: int) -> Comparison | None:
    """The comparison in which losses differ by more than rounding, or None."""
    dtype = next(iter(problem.moving.values())).dtype
    with evaluating(problem):
        samples = FirstSamples(problem, most)
        found = Comparison(problem, samples, rounding(dtype))
        if dtype.itemsize >= torch.float32.itemsize and not found.is_off:
            return None
        lowest = lowest_dtype(problem, samples.together)
        if rounding(lowest) > found.tolerance:  # a part of the model runs in a lower precision
            found = Comparison(problem, samples, rounding(lowest))
    if dtype != torch.float64:
        found = _in_copy(found) or found
    return found if found.is_off else None


def _in_copy(original: Comparison) -> Comparison | None:
    """The comparison in a float64 copy of the model; None where there is none, it cannot be run, or it is unlike."""
    copied = in_float64(original.problem)
    if copied is None:
        return None
    try:
        with evaluating(copied):
            lowest = lowest_dtype(copied, original.samples.together)
            found = Comparison(copied, original.samples, max(FLOAT32, rounding(lowest)))
    except Exception:  # an input that does not fit the copy, whatever it says
        return None
    return found if found.is_like(original) else None
