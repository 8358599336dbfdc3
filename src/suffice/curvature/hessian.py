"""The Hessian of a problem, its outer and its functional part, as operators."""

import copy
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from suffice.checks import check_batches, check_gradient
from suffice.curvature.autograd import pulled_back
from suffice.curvature.double_backward import check_second_derivative
from suffice.curvature.gradients import check_mean_gradient
from suffice.curvature.graphs import BUILD, Graphs, Part
from suffice.curvature.jacobians import row_dtype
from suffice.curvature.operator import SymmetricOperator
from suffice.curvature.parameters import parameter_count, unflattened
from suffice.curvature.prefix import without_frozen_prefix
from suffice.curvature.same_on_ranks import add_in_order, agreed
from suffice.engine import Ranks
from suffice.errors import InputError, nearest
from suffice.problem import Problem

GRAPH_MEMORY = 2 << 30
"""Bytes for graphs, unless another budget is given."""

BATCH = 64
"""Samples of a graph at most, unless another number is given."""


@final
class Hessian(SymmetricOperator):
    r"""The mean over samples of the Hessians of their losses in the moving parameters, or a part of it.

    .. math:: H = \frac1k \sum_i h_i, \qquad
        h_i = \underbrace{J_i^\top S_i J_i}_{\text{outer}}
        + \underbrace{\textstyle\sum_a r_{ia} \nabla^2 z_{ia}}_{\text{functional}}

    Samples with weights give :math:`\sum_i n_i h_i / \sum_i n_i`, and so for each part. Here
    :math:`J_i = \partial z_i / \partial w`, and :math:`r_i, S_i` gradient and Hessian of the loss in the outputs
    :math:`z_i`. The outer part is the Gauss-Newton matrix. Vectors hold the moving parameters one after the other, in
    the order of ``problem.moving``.

    A product is a reverse pass through the graph of the gradient (double backward; the outer part: two through
    the graphs of :math:`J^\top u` and z). The operator belongs to the moving weights that the model has when it is
    made; the frozen ones must stay, and products refuse others. The frozen layers at the beginning of an
    ``nn.Sequential`` run once, and their outputs are kept.

    Args:
        problem: the model at its present parameters, and the samples.
        part: ``"full"``, ``"outer"`` or ``"functional"``.
        positions: of the k samples in the problem's order; all by default.
        batch_size: samples that are run together.
        memory: bytes for graphs: those of batches that fit are kept, the others are built anew for each product. The
            result does not depend on it.
        ranks: processes that share each product, a batch each; all make the same operator and multiply the same
            vectors, and get the same bits as one process. This one alone by default.

    Attributes:
        names: of the parameters, in their order in a vector.

    Raises:
        InputError: no samples; a model without second derivatives (names the operation), with batch normalisation in
            training mode, or whose derivatives are wrong (see `suffice.checks`); by ``A @ v``, a product that is not
            finite (names the sample).

    Sources: B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994; N. N.
    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation 14, 2002,
    for the outer part.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), torch.zeros(3))
        >>> A = Hessian(Problem(torch.nn.Linear(2, 1, bias=False), data, "mse"))
        >>> A @ torch.eye(2)  # 2/3 of the sum of x x'
        tensor([[1.3333, 0.6667],
                [0.6667, 3.3333]])
        >>> A.shape, A.dtype
        ((2, 2), torch.float32)
    """

    def __init__(
        self,
        problem: Problem,
        part: Part = "full",
        positions: slice | Int64[np.ndarray, " chosen"] = slice(None),
        batch_size: int = BATCH,
        memory: int = GRAPH_MEMORY,
        ranks: Ranks | None = None,
    ) -> None:
        if part not in BUILD:
            raise InputError(f"part is {part!r}: it must be one of {', '.join(BUILD)}")
        if batch_size < 1 or memory < 0:
            raise InputError(f"batch_size is {batch_size} and memory is {memory}: give at least 1 and 0")
        self._positions = problem.positions(positions)
        if len(self._positions) == 0:
            raise InputError("a Hessian needs at least one sample")
        self._ranks = ranks
        settings = {"part": part, "batch size": batch_size}
        agreed(ranks, problem, self._positions, settings, lambda: check_hessian(problem, batch_size, self._positions))
        self._problem = without_frozen_prefix(problem, memory)
        self._batch_size = batch_size
        self._graphs = Graphs(self._problem, part, memory)
        self.names = tuple(problem.moving)

    @property
    def shape(self) -> tuple[int, int]:
        parameters = sum(self._problem.moving[name].numel() for name in self.names)
        return parameters, parameters

    @property
    def dtype(self) -> torch.dtype:
        return row_dtype(self._problem)

    @property
    def device(self) -> torch.device:
        return self._problem.device

    @property
    def memory(self) -> int:
        """Bytes that graphs take at most, those of a batch that is built anew among them; known before a product."""
        chunks = self._chunks()
        here = chunks if self._ranks is None else chunks[self._ranks.rank :: self._ranks.count]
        return self._graphs.memory(sum(map(len, here)), self._batch_size)

    def block(self, parameters: str | Sequence[str]) -> "Hessian":
        """The diagonal block of some parameters. It shares the graphs.

        Args:
            parameters: glob or globs over the names of the moving parameters.

        Raises:
            InputError: a glob that matches none.

        Example:
            >>> data = torch.utils.data.TensorDataset(torch.eye(3), torch.zeros(3))
            >>> A = Hessian(Problem(torch.nn.Linear(3, 1), data, "mse"))
            >>> A.block("bias") @ torch.ones(1)
            tensor([2.])
        """
        chosen: set[str] = set()
        patterns = [parameters] if isinstance(parameters, str) else list(parameters)
        if not patterns:
            raise InputError("a block needs at least one glob over the names of the moving parameters")
        for pattern in patterns:
            matched = {name for name in self.names if fnmatchcase(name, pattern)}
            if not matched:
                raise InputError(f"no moving parameter matches {pattern!r}{nearest(pattern, list(self.names))}")
            chosen |= matched
        block = copy.copy(self)
        block.names = tuple(name for name in self.names if name in chosen)
        return block

    def release(self) -> None:
        """Gives up the graphs that are kept, those of the blocks too; the next product builds them anew."""
        self._graphs.release()

    def _product(self, vectors: Float[Tensor, "parameters columns"]) -> Float[Tensor, "parameters columns"]:
        rows = vectors.T.contiguous()
        totals = torch.zeros(rows.shape, dtype=torch.float64, device=rows.device)
        chunks = self._chunks()

        def add(part: Float64[Tensor, "columns parameters"], chunk: int) -> None:
            self._graphs.add(part, rows, chunks[chunk], self.names)

        add_in_order(self._ranks, totals, len(chunks), add, {"vectors": rows})
        if not bool(totals.isfinite().all()) and bool(rows.isfinite().all()):
            self._refuse(rows)
        return (totals / self._problem.total_weight(self._positions)).T.to(vectors.dtype)

    def _chunks(self) -> list[Int64[np.ndarray, " batch"]]:
        starts = range(0, len(self._positions), self._batch_size)
        return [self._positions[start : start + self._batch_size] for start in starts]

    def _refuse(self, rows: Float[Tensor, "columns parameters"]) -> None:
        """Names the first sample whose product is not finite."""
        for position in self._positions:
            totals = torch.zeros(rows.shape, dtype=torch.float64, device=rows.device)
            self._graphs.add(totals, rows, np.array([position]), self.names)
            if not bool(totals.isfinite().all()):
                raise InputError(
                    f"the curvature at {self._problem.describe(int(position))} is not finite: look at that sample"
                )


def check_hessian(
    problem: Problem, batch_size: int = BATCH, positions: slice | Int64[np.ndarray, " chosen"] = slice(None)
) -> None:
    """Compares products of Hessians with central differences of gradients, once for each model; see `suffice.checks`.

    Args:
        problem: whose Hessians are wanted.
        batch_size: samples that are run together.
        positions: of the samples.

    Raises:
        InputError: they do not match, with the parameter; no second derivative, with the operation; batch
            normalisation in training mode, or losses that depend on the batch.
    """
    for name, module in problem.model.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise InputError(
                f"the batch normalisation {name} is in training mode: the loss of a sample has no Hessian of its own, "
                "as it depends on its batch; call model.eval()"
            )
    check_mean_gradient(problem, batch_size)
    operations_are_known = False

    def product(problem: Problem, position: int) -> dict[str, Tensor]:
        nonlocal operations_are_known
        if not operations_are_known:
            _check_operations(problem, position)
            operations_are_known = True
        return _of_some(problem, [position])

    check_gradient(problem, "Hessian products", product, _slope, batch_size=batch_size, of_batch=_of_some)
    first = problem.positions(positions)[:batch_size]
    if problem.checks and len(first) > 1:
        losses = problem.all_losses(batch_size, first).cpu().numpy()
        check_batches(problem, first, losses, batch_size)


def _check_operations(problem: Problem, position: int) -> None:
    """Names an operation that has no second derivative."""
    with Graphs(problem, "full", memory=0).entered():
        loss = problem.losses(problem.batch(slice(position, position + 1))).sum()
        check_second_derivative(loss, problem.moving)


def _of_some(problem: Problem, positions: Sequence[int]) -> dict[str, Tensor]:
    """The sum of the gradients of `_slope` over some samples, in one batch."""
    direction = _direction(problem).to(row_dtype(problem))
    totals = torch.zeros(1, len(direction), dtype=torch.float64, device=problem.device)
    Graphs(problem, "full", memory=0).add(totals, direction[None], np.array(positions), list(problem.moving))
    return unflattened(problem, totals[0])


def _slope(problem: Problem, position: int) -> Float64[Tensor, ""]:
    """Of a sample's loss, in a fixed direction."""
    with Graphs(problem, "full", memory=0).entered():
        loss = problem.losses(problem.batch(slice(position, position + 1))).sum()
        gradients = pulled_back(loss, list(problem.moving.values()))
    return _direction(problem) @ torch.cat([gradient.double().flatten() for gradient in gradients])


def _direction(problem: Problem) -> Float64[Tensor, " parameters"]:
    draw = torch.Generator().manual_seed(0)
    drawn = torch.randn(parameter_count(problem), generator=draw, dtype=torch.float64)
    return drawn.to(problem.device)
