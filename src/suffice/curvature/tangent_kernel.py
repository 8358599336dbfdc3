"""The tangent kernel of a problem: all that the Gauss-Newton matrix under a penalty has to say, in few rows."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from suffice.checks import check_output_batches
from suffice.curvature.jacobians import CHUNK_BYTES, GradientRows, check_output_gradients, outputs_of, row_dtype
from suffice.curvature.parameters import parameter_count
from suffice.errors import InputError
from suffice.problem import TOGETHER, Problem

SHARE = 1e-4
"""Of the curvature of the losses in the outputs, so much may be dropped."""

MEMORY = 2 << 30
"""Bytes for the gradients of a group of parameters."""

PRODUCT_ROWS, PRODUCT_COLUMNS = 1024, 8192
"""One product of matrices in the model's precision; it is added up in float64."""

TRIED = 32
"""Rows that are run for an estimate of the time."""


@dataclass(frozen=True, eq=False)
class TangentKernel:
    r"""The kernel :math:`N = F \Lambda^{-1} F^\top` of the rows F of a Gauss-Newton matrix :math:`H_0 = F^\top F`.

    Its eigenvalues :math:`\mu` are those of :math:`\Lambda^{-1} H_0`, but for zeros.

    Attributes:
        kernel: N.
        positions: of the k samples, in the problem's order.
        owners: the position of each row's sample.
        directions: :math:`\sqrt{s_{ia} / k}\, u_{ia}` of each row, see `tangent_kernel`.
        dropped: the share of the curvature of the losses in the outputs that the rows lack.

    Example:
        >>> kernel = TangentKernel(np.diag([3.0, 1.0]), np.arange(2), np.arange(2), np.ones((2, 1)), dropped=0.0)
        >>> kernel.effective_dimension(), kernel.df2()
        (1.25, 0.8125)
        >>> kernel.subset(np.array([0])).kernel
        array([[6.]])
    """

    kernel: Float64[np.ndarray, "rows rows"]
    positions: Int64[np.ndarray, " samples"]
    owners: Int64[np.ndarray, " rows"]
    directions: Float64[np.ndarray, "rows outputs"]
    dropped: float

    @cached_property
    def eigenvalues(self) -> Float64[np.ndarray, " rows"]:
        r"""Those of N, :math:`\mu`, the largest first; what rounding makes negative is zero."""
        if len(self.kernel) == 0:
            return np.zeros(0)
        return np.maximum(np.linalg.eigvalsh(self.kernel)[::-1], 0.0)

    def effective_dimension(self, factor: float = 1.0) -> float:
        r"""df1: :math:`\mathrm{Tr}(H_0 H^{-1}) = \sum \mu / (1 + \mu)` with :math:`H = H_0 + t \Lambda`.

        Args:
            factor: t; the eigenvalues are divided by it.

        Raises:
            InputError: a factor that is not positive.

        Source: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, equation
        3.50, for ridge regression.
        """
        return float(self._filter(factor).sum())

    def df2(self, factor: float = 1.0) -> float:
        r""":math:`\mathrm{Tr}[(H_0 H^{-1})^2] = \sum (\mu / (1 + \mu))^2` with :math:`H = H_0 + t \Lambda`.

        Where the covariance of the gradients is :math:`H_0`, the expected loss of a fit to k samples falls as
        :math:`L_\infty + c / 2k`, and this is c.

        Args:
            factor: t; the eigenvalues are divided by it.

        Raises:
            InputError: a factor that is not positive.

        Source: N. Murata, S. Yoshizawa, S. Amari, "Network Information Criterion", IEEE Transactions on Neural
        Networks 5, 1994, for the loss; A. Buja, T. Hastie, R. Tibshirani, "Linear Smoothers and Additive Models",
        Annals of Statistics 17, 1989, for this trace.
        """
        return float(np.square(self._filter(factor)).sum())

    def subset(self, positions: Int64[np.ndarray, " chosen"]) -> "TangentKernel":
        r"""The kernel of some of the samples alone, at the same parameters: their rows of N, times k / k'.

        Args:
            positions: of the k' samples, among ``self.positions``.

        Raises:
            InputError: no positions, one twice, or one that is not among those of this kernel.
        """
        chosen = np.unique(positions)
        if not 0 < len(chosen) == len(positions) or not np.isin(chosen, self.positions).all():
            raise InputError("a subset takes one or more of the kernel's own samples, each once")
        rows = np.flatnonzero(np.isin(self.owners, chosen))
        kernel = self.kernel[np.ix_(rows, rows)] * (len(self.positions) / len(chosen))
        directions = self.directions[rows] * math.sqrt(len(self.positions) / len(chosen))
        return TangentKernel(kernel, chosen, self.owners[rows], directions, self.dropped)

    def left_out(
        self, residuals: Float64[np.ndarray, "samples outputs"], factor: float = 1.0
    ) -> Float64[np.ndarray, "samples outputs"]:
        r"""What leaving a sample out of the training changes of its own outputs, to first order.

        With :math:`A_i = J_i H^{-1} J_i^\top / k` it is :math:`A_i (1 - S_i A_i)^{-1} e_i`: exact for a squared loss
        and a model that is linear in its parameters.

        Args:
            residuals: e_i, the gradients of the losses in the outputs.
            factor: t, of the penalty.

        Raises:
            InputError: a factor that is not positive.

        Source: D. Pregibon, "Logistic Regression Diagnostics", Annals of Statistics 9 (1981), for a linear model.
        """
        coefficients, scale = self._coefficients(residuals), len(self.positions)
        left = factor * np.linalg.inv(self._penalised(factor))
        changes = np.zeros_like(residuals)
        ends = np.searchsorted(self.owners, np.arange(scale + 1))
        for position, (start, stop) in enumerate(itertools.pairwise(ends)):
            # 1 - B of the rows of this sample, with B = N (N + t)^-1; and B (1 - B)^-1 = (1 - B)^-1 - 1
            own, rows = coefficients[start:stop], slice(start, stop)
            moved = np.linalg.solve(left[rows, rows], own) - own
            directions = self.directions[rows]
            changes[position] = (moved / np.square(directions).sum(1)) @ directions
        return changes

    def _coefficients(self, residuals: Float64[np.ndarray, "samples outputs"]) -> Float64[np.ndarray, " rows"]:
        r"""r with :math:`\bar g = F^\top r`, of the mean gradient; its part of each sample is that of e_i / k."""
        along = np.einsum("ra,ra->r", self.directions, residuals[self.owners])
        coefficients: Float64[np.ndarray, " rows"] = along / np.square(self.directions).sum(1) / len(self.positions)
        return coefficients

    def _penalised(self, factor: float) -> Float64[np.ndarray, "rows rows"]:
        _check_factor(factor)
        return self.kernel + factor * np.eye(len(self.kernel))

    def _filter(self, factor: float) -> Float64[np.ndarray, " rows"]:
        _check_factor(factor)
        return self.eigenvalues / (factor + self.eigenvalues)


def _check_factor(factor: float) -> None:
    if not 0 < factor < math.inf:
        raise InputError(f"factor = {factor}: the penalty is multiplied by it, so it must be positive")


@dataclass(frozen=True)
class KernelPlan:
    """What a tangent kernel takes.

    Attributes:
        samples: k.
        rows: R, of the kernel.
        parameters: P, those that move.
        passes: groups of parameters; each runs all rows.
        bytes: memory at the end of a pass, and for the eigenvalues, besides that of the model.
        seconds: about, of the gradients and the products, on the machine as it is now.
    """

    samples: int
    rows: int
    parameters: int
    passes: int
    bytes: int
    seconds: float


def tangent_kernel(
    problem: Problem,
    penalty: float | Float[Tensor, " parameters"],
    share: float = SHARE,
    memory: int = MEMORY,
    progress: Callable[[int], None] = lambda rows: None,
) -> TangentKernel:
    r"""The tangent kernel of a problem at its present parameters.

    With :math:`J_i` the Jacobian of the outputs of sample i and :math:`S_i = \partial^2 l_i / \partial z^2`, the
    Gauss-Newton matrix is :math:`H_0 = \frac1k \sum_i J_i^\top S_i J_i = F^\top F`. The rows of F are
    :math:`\sqrt{s_{ia} / k}\, u_{ia}^\top J_i`, with the eigenpairs s, u of :math:`S_i`. Those of the smallest s are
    dropped: with D what they add to :math:`\Lambda^{-1/2} H_0 \Lambda^{-1/2}`, the effective dimension is too small by
    at most Tr D, and df2 by at most 8/27 Tr D.

    N is a sum over parameters, so these are taken in groups whose gradients fit into memory.

    Args:
        problem: with the loss "cross_entropy" or "mse".
        penalty: the diagonal of :math:`\Lambda`, the Hessian of the penalty beside the mean loss: one value for all
            moving parameters, or one each, in the order of ``problem.moving``.
        share: the dropped s are at most this share of the sum of all.
        memory: bytes for the gradients of a group; the kernel itself and a chunk of samples come on top.
        progress: called with the number of gradients made since the last call; in all there are rows times passes,
            see `plan_tangent_kernel`.

    Raises:
        InputError: a penalty that is not positive or has another length, a callable loss, a share outside [0, 1),
            outputs that are not finite or not logits, too little memory, or samples with weights.

    Source: A. Jacot, F. Gabriel, C. Hongler, "Neural Tangent Kernel", NeurIPS 2018, for the kernel; N. Schraudolph,
    "Fast Curvature Matrix-Vector Products", Neural Computation 14 (2002), for the Gauss-Newton matrix of a loss.

    Example:
        >>> x = torch.eye(4).repeat(25, 1)
        >>> problem = Problem(torch.nn.Linear(4, 1, bias=False), torch.utils.data.TensorDataset(x, x[:, :1]), "mse")
        >>> kernel = tangent_kernel(problem, penalty=0.5)  # H_0 is half the identity
        >>> round(kernel.effective_dimension(), 6), round(kernel.df2(), 6)
        (2.0, 1.0)
    """
    problem.need_equal_weights("the tangent kernel")
    ridge = _ridge(problem, penalty)
    rows = _curved(problem, share)
    kernel = torch.zeros(len(rows.owners), len(rows.owners), dtype=torch.float64, device=problem.device)
    check_output_gradients(problem)
    gradient_rows = GradientRows(problem, outputs_of(problem))
    for columns in _groups(problem, len(kernel), memory):
        gradients = gradient_rows(rows.owners, rows.directions, columns, progress)
        gradients *= ridge[columns].rsqrt().to(gradients.dtype)  # of two dtypes, torch would copy all in the wider one
        _add_products(kernel, gradients)
        del gradients  # before the next group is made
    bad = (~kernel.diagonal().isfinite()).nonzero()
    if len(bad):
        sample = problem.describe(int(rows.owners[int(bad[0])]))
        raise InputError(f"the gradients of the outputs of {sample} are not finite: look at that sample")
    for top, bottom in _blocks(len(kernel), PRODUCT_ROWS):
        kernel[:top, top:bottom] = kernel[top:bottom, :top].T
        kernel[top:bottom, top:bottom] = (kernel[top:bottom, top:bottom] + kernel[top:bottom, top:bottom].T) / 2
    directions = rows.directions.cpu().numpy()
    return TangentKernel(kernel.cpu().numpy(), np.arange(len(problem)), rows.owners, directions, rows.dropped)


def plan_tangent_kernel(problem: Problem, share: float = SHARE, memory: int = MEMORY) -> KernelPlan:
    """What `tangent_kernel` takes with the same arguments: one forward pass over the samples, and a short trial.

    Raises:
        InputError: as there.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
        >>> plan = plan_tangent_kernel(Problem(torch.nn.Linear(5, 3), data), share=0, memory=2000)
        >>> plan.rows, plan.parameters, plan.passes  # 4 columns of 100 rows at a time
        (100, 18, 4)
    """
    rows = _curved(problem, share)
    count, parameters = len(rows.owners), parameter_count(problem)
    groups = _groups(problem, count, memory)
    widest = max(group.stop - group.start for group in groups)
    dtype, tried = row_dtype(problem), slice(0, TRIED)
    block = torch.ones(min(count, PRODUCT_ROWS), min(widest, PRODUCT_COLUMNS), dtype=dtype, device=problem.device)
    check_output_gradients(problem)
    gradient_rows = GradientRows(problem, outputs_of(problem))  # its first call, the slower one, tries how to run
    gradients = _seconds(lambda: gradient_rows(rows.owners[tried], rows.directions[tried], groups[0]))
    product = _seconds(lambda: block @ block.T)
    # the first group is behind the longest reverse pass; half of the products are those of the other half
    return KernelPlan(
        samples=len(problem),
        rows=count,
        parameters=parameters,
        passes=len(groups),
        bytes=count * widest * dtype.itemsize + CHUNK_BYTES + 2 * 8 * count**2,
        seconds=gradients * len(groups) * count / max(1, min(TRIED, count))
        + product * (count / max(1, len(block))) ** 2 * parameters / block.shape[1] / 2,
    )


class _Curved(NamedTuple):
    """Rows that count: of each its sample, and u times the root of s / k; and the share that was dropped."""

    owners: Int64[np.ndarray, " rows"]
    directions: Float64[Tensor, "rows outputs"]
    dropped: float


def _curved(problem: Problem, share: float) -> _Curved:
    if not 0 <= share < 1:
        raise InputError(f"share = {share}: must be at least 0 and less than 1")
    outputs = problem.all_outputs()
    check_output_batches(problem, outputs, TOGETHER)
    samples, count = outputs.shape
    if problem.loss == "mse":
        directions = torch.eye(count, dtype=torch.float64).repeat(samples, 1) * math.sqrt(2 / count / samples)
        return _Curved(np.repeat(np.arange(samples), count), directions, 0.0)
    together = max(1, CHUNK_BYTES // (8 * count**2))
    parts = outputs.softmax(1).split(together)
    # the first is that of the direction in which all logits are equal, and zero
    curvatures = torch.cat([torch.linalg.eigvalsh(_cross_entropy_curvature(part))[:, 1:] for part in parts])
    kept = _largest(curvatures, share)
    weighted = []
    for part, keep in zip(parts, kept.split(together), strict=True):
        values, vectors = torch.linalg.eigh(_cross_entropy_curvature(part))
        weighted.append((vectors * (values.clamp(min=0) / samples).sqrt()[:, None]).mT[:, 1:][keep])
    total = float(curvatures.sum())
    dropped = float(curvatures[~kept].sum()) / total if total > 0 else 0.0
    return _Curved(kept.nonzero()[:, 0].numpy(), torch.cat(weighted), dropped)


def _cross_entropy_curvature(
    probabilities: Float64[Tensor, "samples outputs"],
) -> Float64[Tensor, "samples outputs outputs"]:
    """diag p - p p', without the rounding of 1 - p where p is nearly 1: its rows add up to zero."""
    products = probabilities[:, :, None] * probabilities[:, None]
    products.diagonal(dim1=1, dim2=2).zero_()
    return products.sum(2).diag_embed() - products


def _largest(values: Float64[Tensor, "samples directions"], share: float) -> Bool[Tensor, "samples directions"]:
    """Which values are positive, and not among the smallest that together are at most a share of the sum."""
    rising = values.clamp(min=0).flatten().sort().values
    sums = rising.cumsum(0)
    dropped = int((sums <= share * sums[-1:]).sum())
    return (values > 0) & (values >= rising[dropped]) if dropped < len(rising) else torch.zeros_like(values).bool()


def _ridge(problem: Problem, penalty: float | Float[Tensor, " parameters"]) -> Float64[Tensor, " parameters"]:
    count = parameter_count(problem)
    ridge = torch.as_tensor(penalty, dtype=torch.float64, device=problem.device)
    if ridge.shape not in ((), (count,)):
        raise InputError(
            f"a penalty of {ridge.numel()} values, but {count} parameters move: give one each, or one for all"
        )
    if not bool(((ridge > 0) & ridge.isfinite()).all()):
        raise InputError(
            "the penalty must be positive and finite for all parameters: without it the kernel has no scale"
        )
    return ridge.expand(count)


def _groups(problem: Problem, rows: int, memory: int) -> list[slice]:
    """Columns of about equal number, whose gradients fit into memory."""
    parameters = parameter_count(problem)
    column = max(1, rows) * row_dtype(problem).itemsize
    if memory < column:
        raise InputError(f"memory = {memory} bytes: the gradients in one parameter alone take {column}; give more")
    passes = -(-parameters // (memory // column))
    ends = [parameters * done // passes for done in range(passes + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def _add_products(kernel: Float64[Tensor, "rows rows"], gradients: Float[Tensor, "rows columns"]) -> None:
    """Adds F F', on the diagonal and below it."""
    for left, right in _blocks(gradients.shape[1], PRODUCT_COLUMNS):
        some = gradients[:, left:right]
        for top, bottom in _blocks(len(kernel), PRODUCT_ROWS):
            kernel[top:bottom, :bottom] += some[top:bottom] @ some[:bottom].T


def _blocks(length: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def _seconds(run: Callable[[], object]) -> float:
    """Of the faster of two runs."""
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)
