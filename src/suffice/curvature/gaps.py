"""Gaps between the next sample and the mean of those before it: of losses, gradients and Hessians."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from suffice.curvature.gradients import prefix_gradients
from suffice.curvature.graphs import Graphs
from suffice.curvature.hessian import GRAPH_MEMORY, Hessian, check_hessian
from suffice.curvature.operator import SymmetricOperator
from suffice.curvature.prefix import without_frozen_prefix
from suffice.curvature.same_on_ranks import add_in_order, agreed
from suffice.curvature.spectral_norm import spectral_norm
from suffice.engine import Ranks
from suffice.errors import InputError
from suffice.problem import Problem, norm
from suffice.results import GapsAlongK
from suffice.shown import Shown

CHUNK = 32
"""Samples of a graph: those before a size that is no multiple of it are a graph of their own."""

CHECKED = 5
"""Every so many sizes the norm is computed once more, from an independent random start."""


@dataclass(frozen=True, eq=False)
class Gaps(Shown):
    r"""How far sample k + 1 is from the mean of the first k, at fixed weights.

    Attributes:
        sizes: k.
        loss: :math:`|l_{k+1} - L_k|`.
        gradient: :math:`\|g_{k+1} - G_k\|`.
        hessian: :math:`|\theta|`, an estimate of :math:`\|h_{k+1} - H_k\|_2` from below.
        residual: that of :math:`\theta`. :math:`|\theta|` plus the residual is an estimate from above, not a bound.
        independent: :math:`|\theta|` from another random start at every fifth size, NaN elsewhere.
        center_norm: :math:`\|w^*\|` of the moving parameters.
        ratio: :math:`N_{k+1} / n_{k+1}`, the weight of the first k + 1 samples over that of sample k + 1, which divides
            the gaps in the bound: k + 1 where all weigh the same.
        products: of a full data set with a vector that the Hessians took, products with k of m samples counted as k/m.
    """

    sizes: Int64[np.ndarray, " sizes"]
    loss: Float64[np.ndarray, " sizes"]
    gradient: Float64[np.ndarray, " sizes"]
    hessian: Float64[np.ndarray, " sizes"]
    residual: Float64[np.ndarray, " sizes"]
    independent: Float64[np.ndarray, " sizes"]
    center_norm: float
    ratio: Float64[np.ndarray, " sizes"]
    products: float

    def plain(self) -> GapsAlongK:
        """The gaps, without what they cost."""
        return GapsAlongK(
            sizes=self.sizes.tolist(),
            loss=self.loss.tolist(),
            gradient=self.gradient.tolist(),
            hessian=self.hessian.tolist(),
            residual=self.residual.tolist(),
            independent=[None if math.isnan(value) else value for value in self.independent.tolist()],
            ratio=None if np.array_equal(self.ratio, self.sizes + 1) else self.ratio.tolist(),
        )


def gaps(
    problem: Problem,
    sizes: Sequence[int],
    tolerance: float = 1e-2,
    seed: int = 0,
    memory: int = GRAPH_MEMORY,
    progress: Callable[[int], None] = lambda sizes: None,
    ranks: Ranks | None = None,
) -> Gaps:
    r"""The three terms that bound how the loss surface changes with sample k + 1, at the present weights.

    .. math:: |L_{k+1} - L_k|(w) \le \frac{1}{k+1} \left( |l_{k+1} - L_k| + \rho \|g_{k+1} - G_k\|
        + \tfrac12 \rho^2 \|h_{k+1} - H_k\|_2 \right), \qquad \rho = \|w - w^*\|,

    to second order in :math:`\rho`. Of samples with weights L_k, G_k and H_k are weighted means, and
    :math:`n_{k+1} / N_{k+1}` takes the place of :math:`1 / (k + 1)`.

    The Hessians' difference is indefinite: its norm comes from both ends of its
    spectrum, by the method of Lanczos in the whole parameter space. It starts from the top eigenvector of
    :math:`h_{k+1}`, which takes products with one sample, and a random part. Sizes do not depend on each other.

    Args:
        problem: the model at its present parameters, and the samples in the order that k counts.
        sizes: the k, ascending, from 1 to m - 1.
        tolerance: of the residual relative to :math:`|\theta|`.
        seed: random seed.
        memory: bytes for graphs that are kept.
        progress: called with 1 after each size.
        ranks: processes that share the products with :math:`H_k`; as of `Hessian`.

    Raises:
        InputError: sizes that do not ascend from 1 to at most m - 1, or as `Hessian`.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> model.weight.data[:] = 1.0
        >>> found = gaps(Problem(model, torch.utils.data.TensorDataset(x, 0 * x), "mse", order="source"), [1, 2])
        >>> found.loss  # |4 - 1| and |9 - 5/2|
        array([3. , 6.5])
        >>> found.hessian  # 2 |4 - 1| and 2 |9 - 5/2|
        array([ 6., 13.])
    """
    sizes = list(sizes)
    if any(not isinstance(size, (int, np.integer)) for size in sizes):
        raise InputError(f"sizes {sizes} must be whole numbers")
    sizes = [int(size) for size in sizes]
    if not sizes or any(after <= before for before, after in zip([0, *sizes], sizes, strict=False)):
        raise InputError(f"sizes {sizes} must ascend from 1")
    if sizes[-1] > len(problem) - 1:
        raise InputError(
            f"size {sizes[-1]}: the gap at k needs sample k + 1, so sizes go to {len(problem) - 1} for "
            f"{len(problem)} samples"
        )
    agreed(
        ranks, problem, np.arange(sizes[-1] + 1), {"sizes": sizes, "seed": seed}, lambda: check_hessian(problem, CHUNK)
    )
    problem = without_frozen_prefix(problem, memory)
    losses = problem.all_losses(positions=slice(0, sizes[-1] + 1)).cpu().numpy()
    graphs = Graphs(problem, "full", memory)
    spent, rows = 0.0, []
    for number, (size, gradient) in enumerate(zip(sizes, _gradient_gaps(problem, sizes), strict=True)):
        gap = _HessianGap(problem, graphs, size, ranks)
        first = spectral_norm(gap.next, tolerance, seed=seed)
        found = spectral_norm(gap, tolerance, start=first.vector, seed=seed)
        products = found.products
        independent = np.nan
        if number % CHECKED == 0:
            other = spectral_norm(gap, tolerance, seed=seed + 1)
            independent, products = abs(other.value), products + other.products
        rows.append(
            (
                abs(float(losses[size] - np.average(losses[:size], weights=problem.sample_weights[:size]))),
                gradient,
                abs(found.value),
                found.residual,
                independent,
            )
        )
        spent += (products * (size + 1) + first.products) / len(problem)
        gap.forget()
        progress(1)
    loss, gradient, hessian, residual, independent = np.array(rows).T
    k, center_norm, weights = np.array(sizes), norm(problem.center()), problem.sample_weights
    ratio = np.cumsum(weights)[k] / weights[k]
    return Gaps(k, loss, gradient, hessian, residual, independent, center_norm, ratio, spent)


@final
class _HessianGap(SymmetricOperator):
    r""":math:`h_{k+1} - H_k`. The graphs of whole chunks serve all sizes; those of the rest are given up."""

    def __init__(self, problem: Problem, graphs: Graphs, size: int, ranks: Ranks | None) -> None:
        self._problem, self._graphs, self._size, self._ranks = problem, graphs, size, ranks
        positions = np.arange(size)
        self._chunks = [positions[start : start + CHUNK] for start in range(0, size, CHUNK)]
        self.next = Hessian(problem, positions=slice(size, size + 1))
        self._scale = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.next.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.next.dtype

    @property
    def device(self) -> torch.device:
        return self.next.device

    @property
    def scale(self) -> float:
        return self._scale

    def _product(self, vectors: Float[Tensor, "parameters columns"]) -> Float[Tensor, "parameters columns"]:
        rows = vectors.T.contiguous()
        totals = torch.zeros(rows.shape, dtype=torch.float64, device=rows.device)

        def add(part: Float64[Tensor, "columns parameters"], chunk: int) -> None:
            self._graphs.add(part, rows, self._chunks[chunk], self.next.names)

        add_in_order(self._ranks, totals, len(self._chunks), add, {"vectors": rows})
        total = self._problem.total_weight(slice(0, self._size))
        one, mean = self.next @ vectors, (totals / total).T.to(vectors.dtype)
        self._scale = max(self._scale, *(float(part.double().norm(dim=0).max()) for part in (one, mean)))
        return one - mean

    def forget(self) -> None:
        """Gives up the graph of a last chunk that is not whole."""
        if len(self._chunks[-1]) < CHUNK:
            self._graphs.forget(self._chunks[-1])


def _gradient_gaps(problem: Problem, sizes: Sequence[int]) -> list[float]:
    """From the sums of the first k and of the first k + 1, in float64."""
    ends = sorted({*sizes, *(size + 1 for size in sizes)})
    wanted, before, found = set(sizes), None, []
    totals = np.cumsum(problem.sample_weights).tolist()
    for end, mean in zip(ends, prefix_gradients(problem, ends), strict=True):
        if before is not None and end - 1 in wanted:
            added = (totals[end - 1] * mean - totals[end - 2] * before) / problem.sample_weights[end - 1]
            found.append(float(torch.linalg.vector_norm(added - before)))
        before = mean
    return found
