"""Mean gradients: of all samples, of some, and of the first k for ascending k."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from suffice.checks import check_batches, check_gradient
from suffice.curvature.autograd import check_real, pulled_back, recording
from suffice.curvature.parameters import parameter_count, unflattened
from suffice.curvature.same_on_ranks import agreed
from suffice.engine import Ranks
from suffice.errors import InputError
from suffice.problem import TOGETHER, Batch, Problem

ENGINE = "mean gradient"
"""Its name for the guard that compares it with central differences."""


def mean_gradient(
    problem: Problem,
    batch_size: int = TOGETHER,
    positions: slice | Int64[np.ndarray, " chosen"] = slice(None),
    ranks: Ranks | None = None,
) -> Float64[Tensor, " parameters"]:
    r"""The gradient of the mean loss, :math:`\frac1k \sum_i g_i`, in the moving parameters.

    Samples with weights give :math:`\sum_i n_i g_i / \sum_i n_i`.

    Args:
        problem: the model at its present parameters, and the samples.
        batch_size: samples of a reverse pass.
        positions: of the k samples in the problem's order; all by default.
        ranks: processes that share the work, a batch each; all call this with the same, and get the same bits as one
            process. This one alone by default.

    Returns:
        The P numbers, in the order of ``problem.moving``. A parameter that forward leaves out has zeros.

    Raises:
        InputError: no samples, positions that are not there, a model that autograd cannot differentiate, or a gradient
            that is not finite (names the sample).

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3))
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> model.weight.data[:] = 3.0
        >>> mean_gradient(Problem(model, data, "mse"))  # 2 w times the mean of x squared
        tensor([28.], dtype=torch.float64)
    """
    chosen = problem.positions(positions)
    if len(chosen) == 0:
        raise InputError("a mean gradient needs at least one sample")
    agreed(ranks, problem, chosen, {"batch size": batch_size}, lambda: check_mean_gradient(problem, batch_size))
    total = _zeros(problem)
    if ranks is None:
        check_batches(problem, chosen, _add(problem, total, batch_size, chosen), batch_size)
    else:
        _add_on_ranks(ranks, problem, total, batch_size, chosen)
    return _finite(problem, total / problem.total_weight(chosen), chosen)


def _add_on_ranks(
    ranks: Ranks,
    problem: Problem,
    total: Float64[Tensor, " parameters"],
    batch_size: int,
    chosen: Int64[np.ndarray, " chosen"],
) -> None:
    """Adds the sum of the gradients of some samples; each rank looks at the losses of its own ones."""
    chunks = [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
    own, losses = chunks[ranks.rank :: ranks.count], []

    def add(part: Float64[Tensor, " parameters"], chunk: int) -> None:
        losses.append(_add(problem, part, batch_size, chunks[chunk]))

    def check() -> None:
        if own:
            check_batches(problem, np.concatenate(own), np.concatenate(losses), batch_size)

    ranks.add_in_order(total, len(chunks), add)
    ranks.together(check)


def prefix_gradients(
    problem: Problem, sizes: Sequence[int], batch_size: int = TOGETHER
) -> Iterator[Float64[Tensor, " parameters"]]:
    r""":math:`G_k`, the mean gradient of the first k samples, for ascending k, in one pass over the samples.

    Args:
        problem: the model at its present parameters, and the samples.
        sizes: the k.
        batch_size: samples of a reverse pass; one does not go beyond a k.

    Raises:
        InputError: as `mean_gradient`, or sizes that do not ascend from 1 to at most m.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3))
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> model.weight.data[:] = 3.0
        >>> problem = Problem(model, data, "mse", order="source")
        >>> [gradient.item() for gradient in prefix_gradients(problem, [1, 3])]
        [6.0, 28.0]
    """
    ends = [0, *sizes]
    if any(last <= first for first, last in itertools.pairwise(ends)) or ends[-1] > len(problem):
        raise InputError(f"sizes {list(sizes)} must ascend, from 1 to at most {len(problem)}, the number of samples")
    check_mean_gradient(problem, batch_size)
    total = _zeros(problem)
    for first, last in itertools.pairwise(ends):
        losses = _add(problem, total, batch_size, np.arange(first, last))
        check_batches(problem, np.arange(first, last), losses, batch_size)
        yield _finite(problem, total / problem.total_weight(slice(0, last)), np.arange(last))


def check_mean_gradient(problem: Problem, batch_size: int = TOGETHER) -> None:
    """Compares mean gradients with central differences, once for each model; see `suffice.checks`.

    Raises:
        InputError: they do not match, with the parameter; or a batch size below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}: must be at least 1")
    check_gradient(problem, ENGINE, _of_one, of_outputs=True, batch_size=batch_size, of_batch=_of_some)


def _of_one(problem: Problem, position: int) -> dict[str, Tensor]:
    """The gradient of one sample's loss, for the guard."""
    return _of_some(problem, [position])


def _of_some(problem: Problem, positions: Sequence[int]) -> dict[str, Tensor]:
    """The sum of the gradients of some samples, in one batch."""
    total = _zeros(problem)
    _add(problem, total, len(positions), np.array(positions))
    return unflattened(problem, total)


def _zeros(problem: Problem) -> Float64[Tensor, " parameters"]:
    check_real(problem)
    return torch.zeros(parameter_count(problem), dtype=torch.float64, device=problem.device)


def _add(
    problem: Problem, total: Float64[Tensor, " parameters"], batch_size: int, positions: Int64[np.ndarray, " chosen"]
) -> Float64[np.ndarray, " chosen"]:
    """Adds the sum of the gradients of some samples, times their weights, and gives their losses."""
    parts, parameters = list(unflattened(problem, total).values()), list(problem.moving.values())

    def add(some: Int64[np.ndarray, " batch"], batch: Batch) -> Float64[np.ndarray, " batch"]:
        with recording(problem):
            losses = problem.losses(batch, len(some))
            gradients = pulled_back(problem.weighted_sum(losses, some), parameters)
        torch._foreach_add_(parts, [gradient.double() for gradient in gradients])
        return losses.detach().double().cpu().numpy()

    with problem.measuring():
        return np.concatenate(list(problem.each(add, batch_size, positions)))


def _finite(
    problem: Problem, gradient: Float64[Tensor, " parameters"], positions: Int64[np.ndarray, " chosen"]
) -> Float64[Tensor, " parameters"]:
    if bool(gradient.isfinite().all()):
        return gradient
    for position in positions:
        alone = _zeros(problem)
        _add(problem, alone, 1, np.array([position]))
        if not bool(alone.isfinite().all()):
            raise InputError(f"the gradient of {problem.describe(int(position))} is not finite: look at that sample")
    raise InputError("the mean gradient is not finite: the sum over the samples is too large")
