"""Guard: a loss is a function of a sample and the weights alone."""

import copy

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.utils.data import default_collate

from suffice.checks.comparison import TOGETHER, Comparison, FirstSamples, WholeBatch, read_once, size_of
from suffice.checks.diagnosis import diagnose
from suffice.checks.kept import check_kept
from suffice.checks.measured import batch_at, evaluating, losses_of, same, tensors_in
from suffice.checks.passed import passed_by
from suffice.checks.precise import FLOAT32, in_float64, lowest_dtype, rounding
from suffice.checks.registry import READING, UNSTABLE, Finding
from suffice.problem import Batch, Problem

ALIKE = 0.1
"""A copy of a model has the same losses, up to this share."""

BEYOND = 10
"""Times the rounding that the same batch may differ from its recorded losses."""

SPREAD = 64
"""Recorded samples of which the shortest and the longest are looked for."""

AGAIN = 4
"""Recorded samples that are run again alone, besides these."""

REPEATED, REPEATED_SHARE = 256, 0.02
"""A batch of so many samples, or of that share of all losses, is run again."""


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
    if not problem.checks:
        return
    check_kept(problem, batch_size)
    samples = FirstSamples(problem, min(batch_size, TOGETHER))
    if passed.covers("losses", samples.sizes) or passed.covers(guard, samples.sizes):
        return
    # where samples are random a training may go on, `check_samples` stops measurements; a model is compared on samples
    # that were read once, which a collate function that draws random numbers does not give
    if _agree(samples.together, samples.batch(samples.positions)):
        _report(_compared(problem, samples))
    passed_by(problem).add_sizes(guard, samples.sizes)


def _report(found: Comparison | None) -> None:
    if found is not None:
        with evaluating(found.problem):
            finding = diagnose(found)
        finding.report()


def check_recorded(problem: Problem, losses: Float64[np.ndarray, " samples"], batch_size: int, measured: int) -> None:
    """Stops where losses that were recorded are not those of each sample alone, or of the same batch again.

    `check_losses` sees small batches of the first samples; this sees the batches that were run.

    Args:
        problem: its model is at the centre.
        losses: of the first samples of the problem, at the centre.
        batch_size: samples that were run at a time.
        measured: losses that are recorded in all.

    Raises:
        InputError: SUF001, SUF002 or SUF003.
    """
    if not problem.checks:
        return
    once = read_once(problem)
    rows = _looked_at(once, len(losses), batch_size)
    off = _off_alone(once, rows, losses, batch_size)
    last = _batch_of(rows[-1], batch_size, len(losses))
    if len(last) <= max(REPEATED, REPEATED_SHARE * measured):
        with evaluating(problem):
            off += [(last[0], last)] if _differ(once, batch_at(once, last), losses[last]) else []
    for row, batch in off[:2]:
        _report_batch(problem, row, batch, losses)


def check_batches(
    problem: Problem,
    positions: Int64[np.ndarray, " samples"],
    losses: Float64[np.ndarray, " samples"],
    batch_size: int,
) -> None:
    """Stops where losses that derivatives were taken of are not those of each sample alone.

    It is done once for each use of a model and each size of a batch: `check_losses` sees smaller batches.

    Args:
        problem: its model is where it was.
        positions: of the samples, in the order in which they were run.
        losses: theirs.
        batch_size: samples that were run at a time.

    Raises:
        InputError: SUF001, SUF002 or SUF003.
    """
    size = min(batch_size, len(positions))
    passed, guard = passed_by(problem), f"batches of {size}"
    if not problem.checks or size <= 1 or passed.has(guard):
        return
    some = copy.copy(problem)
    some.index = problem.index[positions]
    once = read_once(some)
    for row, batch in _off_alone(once, _looked_at(once, len(losses), batch_size), losses, batch_size)[:2]:
        _report_batch(some, row, batch, losses)
    passed.add(guard)


def check_output_batches(problem: Problem, outputs: Float64[Tensor, "samples outputs"], batch_size: int) -> None:
    """As `check_batches`, for outputs of all samples that are used without their loss.

    Raises:
        InputError: SUF001, SUF002 or SUF003.
    """
    squares = copy.copy(problem)
    squares.loss = _mean_square
    check_batches(squares, problem.positions(), outputs.square().mean(1).numpy(), batch_size)


def _off_alone(
    problem: Problem, rows: list[int], losses: Float64[np.ndarray, " samples"], batch_size: int
) -> list[tuple[int, list[int]]]:
    """Samples that have another loss alone, with their batches; none where there are no others in a batch."""
    if batch_size == 1:
        return []
    with evaluating(problem):
        off = [row for row in rows if _differ(problem, batch_at(problem, [row]), losses[[row]])]
    return [(row, _batch_of(row, batch_size, len(losses))) for row in off]


def _looked_at(problem: Problem, count: int, batch_size: int) -> list[int]:
    """Some samples, with the last of the first batch, and the shortest and the longest of more."""
    found = np.linspace(0, count - 1, min(AGAIN, count)).round().astype(int).tolist()
    found.append(min(batch_size, count) - 1)
    if problem.collate is not default_collate:
        spread = np.linspace(0, count - 1, min(SPREAD, count)).round().astype(int).tolist()
        sizes = {row: size_of(problem, row) for row in spread}
        found = [min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__), *found]
    return list(dict.fromkeys(found))


def _batch_of(row: int, batch_size: int, count: int) -> list[int]:
    start = row // batch_size * batch_size
    return list(range(start, min(start + batch_size, count)))


def _differ(problem: Problem, batch: Batch, known: Float64[np.ndarray, " batch"]) -> bool:
    tolerance = rounding(next(iter(problem.moving.values())).dtype)
    try:
        found = losses_of(problem, batch)
    except Exception:  # some models do not take a batch of one
        return False
    return found.shape == known.shape and bool(
        (np.abs(found - known) > tolerance * np.maximum(np.abs(found), np.abs(known))).any()
    )


def _report_batch(problem: Problem, row: int, rows: list[int], losses: Float64[np.ndarray, " samples"]) -> None:
    """Compares the samples of a recorded batch as `check_losses` does the first samples.

    One of them comes first, where small batches show the cause; then each is where it was, since what a sample gets may
    depend on its position in the batch.
    """
    order = [row, *(other for other in rows if other != row)]
    some = copy.copy(problem)
    some.index = problem.index[order]
    _report(_compared(some, FirstSamples(some, len(order))))
    some = copy.copy(problem)
    some.index = problem.index[rows]
    with evaluating(problem):
        samples = WholeBatch(some, rows.index(row))
    _report(_compared(some, samples))
    # what the comparisons do not show again is drawn rarely, or comes with the number of runs
    with evaluating(problem):
        again = Comparison(problem, samples, rounding(lowest_dtype(problem, samples.together)))
        gaps = np.abs(again.first - losses[rows])
        off = gaps > np.maximum(BEYOND * again.tolerance * np.abs(losses[rows]), BEYOND * again.by_outputs)
    if off.any():
        row = rows[int(np.where(off, gaps, 0).argmax())]
        what = f"the loss of {problem.describe(row)} is another one when its batch is run again"
        Finding(UNSTABLE, what, "Make the model deterministic in evaluation mode").report()


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
    if passed.has_read(problem.dataset):
        return True
    for position in range(min(TOGETHER, len(problem))):
        if not _agree(*(batch_at(problem, [position]) for _ in range(2))):
            return False
    passed.add_read(problem.dataset)
    return True


def _mean_square(outputs: Tensor, batch: Batch) -> Tensor:
    return outputs.double().reshape(len(outputs), -1).square().mean(1)


def _agree(first: Batch, second: Batch) -> bool:
    some, others = tensors_in(first), tensors_in(second)
    return len(some) == len(others) and all(map(_same, some, others))


def _same(left: Tensor, right: Tensor) -> bool:
    return left.shape == right.shape and bool(same(left, right).all())


def _compared(problem: Problem, samples: FirstSamples) -> Comparison | None:
    """The comparison in which losses differ by more than rounding, or None."""
    dtype = next(iter(problem.moving.values())).dtype
    with evaluating(problem):
        found = Comparison(problem, samples, rounding(dtype))
        if torch.finfo(dtype).eps > torch.finfo(torch.float32).eps:
            copied = _in_copy(found)
            if copied is not None:
                return copied if copied.is_off else None
        if not found.is_off:
            return None
        lowest = lowest_dtype(problem, samples.together)
        if rounding(lowest) > found.tolerance:  # a part of the model runs in a lower precision
            found = Comparison(problem, samples, rounding(lowest))
    if dtype != torch.float64:
        found = _in_copy(found) or found
    return found if found.is_off else None


def _in_copy(own: Comparison) -> Comparison | None:
    """The comparison in a float64 copy of the model, or None where there is none, or one of other losses."""
    problem, samples = own.problem, own.samples
    copied = in_float64(problem)
    if copied is None:
        return None
    try:
        with evaluating(copied):
            lowest = lowest_dtype(copied, samples.together)
            found = Comparison(copied, samples, max(FLOAT32, rounding(lowest)))
            return found if found.is_like(own, max(ALIKE, own.tolerance)) else None
    except Exception:  # an input that does not fit the copy, whatever it says
        return None
