"""Gradients of single samples, one row each: of their outputs, in any directions of these, and of their losses."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from suffice.checks import check_batches, check_gradient
from suffice.curvature.operator import check_tensor
from suffice.curvature.parameters import unflattened
from suffice.curvature.vmap_or_plain import Cost, Function, SampleGradients
from suffice.errors import InputError
from suffice.memory import Halving
from suffice.problem import TOGETHER, Batch, Problem, as_tensor

CHUNK_BYTES = 128 << 20
"""What the samples that are run together may take: more is not faster, less is."""


def output_gradients(
    problem: Problem,
    positions: Int64[np.ndarray, " rows"],
    directions: Float[Tensor, "rows outputs"],
    columns: slice = slice(None),
    progress: Callable[[int], None] = lambda rows: None,
) -> Float[Tensor, "rows columns"]:
    r"""The gradients of :math:`u^\top z_i` in the moving parameters, one row for each pair of a sample i and a u.

    A row is :math:`u^\top J_i` with :math:`J_i = \partial z_i / \partial w`. Several directions of one sample share its
    forward pass. Samples are run together where ``torch.func.vmap`` runs the model, else one by one, which is slower.
    The model is in evaluation mode, and attention is written out ("math"), whatever was chosen before.

    Args:
        problem: the model at its present parameters, and the samples.
        positions: of each row's sample in the problem's order; a sample may come several times.
        directions: u of each row, of any length.
        columns: which of the P moving parameters, one after the other as in ``problem.moving``; all by default.
        progress: called with the number of rows done since the last call.

    Returns:
        The rows in the model's dtype, or in float32 for one of lower precision.

    Raises:
        InputError: positions that are not there, directions of another number of outputs, or a model that autograd
            cannot differentiate.

    Source: A. Griewank, A. Walther, "Evaluating Derivatives", 2nd edition, SIAM 2008, chapter 3: products of a vector
    with a Jacobian by the reverse mode.

    Example:
        >>> model = torch.nn.Linear(2, 3)
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[5.0, 7.0]] * 3), torch.tensor([0, 1, 2]))
        >>> output_gradients(Problem(model, data), np.array([0]), torch.tensor([[0.0, 1.0, 0.0]]))
        tensor([[0., 0., 5., 7., 0., 0., 0., 1., 0.]])
    """
    _check_rows(problem.positions(positions), directions, columns)
    check_output_gradients(problem)
    return GradientRows(problem, outputs_of(problem))(positions, directions, columns, progress)


def loss_gradients(
    problem: Problem,
    positions: Int64[np.ndarray, " rows"],
    columns: slice = slice(None),
    progress: Callable[[int], None] = lambda rows: None,
) -> Float[Tensor, "rows columns"]:
    r"""The gradients :math:`g_i = \partial l_i / \partial w` in the moving parameters, one row for each sample.

    For the named losses they are :math:`J_i^\top \partial l_i / \partial z_i`, by `output_gradients`.

    Args:
        problem: the model at its present parameters, and the samples.
        positions: of the samples in the problem's order.
        columns: which of the P moving parameters; all by default.
        progress: called with the number of rows done since the last call.

    Raises:
        InputError: positions that are not there, or a model that autograd cannot differentiate.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[5.0]] * 3), torch.zeros(3))
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> model.weight.data[:] = 2.0
        >>> loss_gradients(Problem(model, data, "mse"), np.array([1]))  # 2 (5 w) 5
        tensor([[100.]])
    """
    positions = problem.positions(positions)
    if callable(problem.loss):
        check_gradient(problem, "loss gradients", _loss_row)
        rows = GradientRows(problem, lambda batch: problem.losses(batch, 1))
        return rows(positions, torch.ones(len(positions), 1), columns, progress)
    return output_gradients(problem, positions, _residuals(problem, positions), columns, progress)


def check_output_gradients(problem: Problem) -> None:
    """Compares the gradients of the outputs with central differences, once for each model; see `suffice.checks`.

    Raises:
        InputError: they do not match, with the parameter.
    """
    check_gradient(problem, "output gradients", _row, _along, of_outputs=True)


def outputs_of(problem: Problem) -> Function:
    """The outputs of one sample as a vector."""
    return lambda batch: as_tensor(problem.outputs(batch)).reshape(-1)


class GradientRows:
    r"""Gradients of :math:`u^\top f_i` as rows, for a function f of single samples; see `output_gradients`.

    What is found out about the model in one call is kept for the next.
    """

    def __init__(self, problem: Problem, function: Function) -> None:
        self._problem = problem
        self._gradients = SampleGradients(problem, function)
        self._halving = Halving(len(problem))

    def __call__(
        self,
        positions: Int64[np.ndarray, " rows"],
        directions: Float[Tensor, "rows outputs"],
        columns: slice = slice(None),
        progress: Callable[[int], None] = lambda rows: None,
    ) -> Float[Tensor, "rows columns"]:
        """As `output_gradients`, without its guard."""
        problem = self._problem
        positions = problem.positions(positions)
        _check_rows(positions, directions, columns)
        parts = list(_parts(problem, columns))
        precision = row_dtype(problem)
        rows = _empty((len(positions), sum(part.width for part in parts)), precision, problem.device)
        if rows.numel() == 0:
            return rows
        names = [part.name for part in parts]
        with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
            cost = self._gradients.cost
            if directions.shape[1] != cost.outputs:
                raise InputError(f"directions of {directions.shape[1]} outputs, but the model has {cost.outputs}")

            def fill(some: Int64[np.ndarray, "samples directions"]) -> int:
                here = torch.from_numpy(some)
                found = self._gradients(positions[some[:, 0]], directions[here].to(problem.device), names)
                for part in parts:
                    rows[here.flatten(), part.start : part.start + part.width] = (
                        found[part.name].reshape(some.size, -1)[:, part.taken].to(precision)
                    )
                return some.size

            for chunk in _chunks(positions, cost, sum(problem.moving[name].nbytes for name in names)):
                for filled in self._halving(fill, chunk):
                    progress(filled)
        return rows


def _check_rows(positions: Int64[np.ndarray, " rows"], directions: Float[Tensor, "*_"], columns: slice) -> None:
    check_tensor(directions, "directions")
    if directions.ndim != 2 or len(directions) != len(positions):
        raise InputError(
            f"there must be one direction for each of the {len(positions)} positions, (rows, outputs), not "
            f"{tuple(directions.shape)}"
        )
    if columns.step not in (None, 1):
        raise InputError(f"columns have a step of {columns.step}: take all between, and choose among them afterwards")


def _row(problem: Problem, position: int) -> dict[str, Tensor]:
    """The gradient of what `_along` gives, for the guard."""
    direction = _direction(_outputs(problem, position))
    return unflattened(problem, output_gradients(problem, np.array([position]), direction[None])[0].double())


def _along(problem: Problem, position: int) -> Float64[Tensor, ""]:
    r""":math:`u^\top z_i` with a random u."""
    outputs = _outputs(problem, position)
    return _direction(outputs) @ outputs


def _outputs(problem: Problem, position: int) -> Float64[Tensor, " outputs"]:
    return as_tensor(problem.outputs(problem.batch(slice(position, position + 1)))).reshape(-1).double()


def _direction(outputs: Float64[Tensor, " outputs"]) -> Float64[Tensor, " outputs"]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(len(outputs), generator=draw, dtype=torch.float64).to(outputs.device)


def _loss_row(problem: Problem, position: int) -> dict[str, Tensor]:
    """The gradient of one sample's loss, for the guard."""
    return unflattened(problem, loss_gradients(problem, np.array([position]))[0].double())


def row_dtype(problem: Problem) -> torch.dtype:
    """Of the gradients that `output_gradients` gives."""
    dtype = torch.float32
    for parameter in problem.moving.values():
        dtype = torch.promote_types(parameter.dtype, dtype)
    return dtype


class _Part(NamedTuple):
    """What some columns hold of one parameter: its entries ``taken``, from the column ``start`` on."""

    name: str
    taken: slice
    start: int

    @property
    def width(self) -> int:
        return cast(int, self.taken.stop - self.taken.start)


def _residuals(problem: Problem, positions: Int64[np.ndarray, " samples"]) -> Float[Tensor, "samples outputs"]:
    r""":math:`\partial l_i / \partial z_i`."""

    def of_some(some: Int64[np.ndarray, " batch"], batch: Batch) -> tuple[Tensor, Float64[np.ndarray, " batch"]]:
        outputs = as_tensor(problem.outputs(batch)).detach().clone().requires_grad_()
        with torch.enable_grad():
            each = problem.losses_of(outputs, batch, len(some))
            (residuals,) = torch.autograd.grad(each.sum(), outputs)
        return residuals.reshape(len(some), -1), each.detach().double().cpu().numpy()

    with problem.measuring():
        found, losses = zip(*problem.each(of_some, TOGETHER, positions), strict=True)
    check_batches(problem, positions, np.concatenate(losses), TOGETHER)
    return torch.cat(found)


def _parts(problem: Problem, columns: slice) -> Iterator[_Part]:
    sizes = [parameter.numel() for parameter in problem.moving.values()]
    first, last, _ = columns.indices(sum(sizes))
    before = 0
    for name, size in zip(problem.moving, sizes, strict=True):
        taken = slice(max(first - before, 0), min(last - before, size))
        if taken.start < taken.stop:
            yield _Part(name, taken, before + taken.start - first)
        before += size


def _chunks(
    positions: Int64[np.ndarray, " rows"], cost: Cost, gradient: int
) -> Iterator[Int64[np.ndarray, "samples directions"]]:
    """The numbers of rows that are run together: of some samples, with as many directions each."""
    # the gradient and its copy; on its way down, a few of what one layer leaves
    row = 2 * gradient + 4 * cost.largest
    longest = max(1, (CHUNK_BYTES - cost.saved) // row)
    order = np.argsort(positions, kind="stable")
    samples = defaultdict(list)
    for of_one in np.split(order, np.flatnonzero(np.diff(positions[order])) + 1):
        for start in range(0, len(of_one), longest):
            some = of_one[start : start + longest]
            samples[len(some)].append(some)
    for directions, alike in samples.items():
        together = max(1, CHUNK_BYTES // (cost.saved + directions * row))
        for start in range(0, len(alike), together):
            yield np.stack(alike[start : start + together])


def _empty(shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "rows columns"]:
    """New memory. NumPy asks the system for huge pages, which are written to sooner than small ones."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(shape, np.float64 if dtype == torch.float64 else np.float32))
