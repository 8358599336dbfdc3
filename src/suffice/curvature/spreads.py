"""How much losses, gradients and Hessians differ from sample to sample, at fixed weights."""

import math
from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from suffice.curvature.hessian import GRAPH_MEMORY, Hessian, check_hessian
from suffice.curvature.jacobians import loss_gradients
from suffice.curvature.operator import SymmetricOperator
from suffice.curvature.parameters import parameter_count
from suffice.curvature.prefix import without_frozen_prefix
from suffice.curvature.sample_products import SampleProducts
from suffice.curvature.spectral_norm import spectral_norm
from suffice.memory import Halving
from suffice.problem import TOGETHER, Problem, norm


class Spreads(NamedTuple):
    r"""Standard deviations over the samples: roots of unbiased variances.

    Attributes:
        loss: :math:`S_l` of the losses.
        gradient: :math:`S_g = \sqrt{\sum_i \|g_i - G\|^2 / (m - 1)}`.
        hessian: :math:`S_h = \sqrt{\| \sum_i (h_i - H)^2 / (m - 1) \|_2}`, estimated from below.
        residual: :math:`S_h` plus it is an estimate from above.
        center_norm: :math:`\|w^*\|` of the moving parameters.
    """

    loss: float
    gradient: float
    hessian: float
    residual: float
    center_norm: float


def spreads(
    problem: Problem,
    tolerance: float = 2e-2,
    seed: int = 0,
    memory: int = GRAPH_MEMORY,
    progress: Callable[[int], None] = lambda products: None,
) -> Spreads:
    r"""The spreads behind the typical change by one more sample at a distance :math:`\rho` from w*.

    .. math:: \sqrt{\mathbb{E} (L_{k+1} - L_k)^2} \le \frac{S_l + \rho S_g + \tfrac12 \rho^2 S_h}{\sqrt{k (k+1)}}

    over random orders of the samples, to second order in :math:`\rho`.

    Args:
        problem: the model at its present parameters, and the samples.
        tolerance: of the residual of :math:`S_h^2`, relative to it.
        seed: random seed.
        memory: bytes for graphs that are kept.
        progress: called with 1 after each pass over the samples that :math:`S_h` takes.

    Raises:
        InputError: as `Hessian`; samples with weights.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> model.weight.data[:] = 1.0
        >>> found = spreads(Problem(model, torch.utils.data.TensorDataset(x, 0 * x), "mse"))
        >>> round(found.loss, 3), round(found.gradient, 3), round(found.hessian, 3)  # of x^2, 2 x^2 and 2 x^2
        (4.041, 8.083, 8.083)
    """
    problem.need_equal_weights("spreads")
    check_hessian(problem)
    problem = without_frozen_prefix(problem, memory)
    variance = _HessianVariance(problem, memory, progress)
    found = spectral_norm(variance, tolerance, seed=seed)
    size = math.sqrt(max(found.value, 0.0))
    above = math.sqrt(max(found.value, 0.0) + found.residual)
    return Spreads(
        float(problem.all_losses().std()), _gradient_spread(problem), size, above - size, norm(problem.center())
    )


def _gradient_spread(problem: Problem) -> float:
    """By Welford's recurrence over chunks: no difference of nearly equal sums of squares."""
    count, mean, total = 0, torch.zeros(parameter_count(problem), dtype=torch.float64, device=problem.device), 0.0
    for start in range(0, len(problem), TOGETHER):
        positions = np.arange(start, min(start + TOGETHER, len(problem)))
        rows = loss_gradients(problem, positions).double()
        center = rows.mean(0)
        total += float((rows - center).square().sum())
        total += float((center - mean).square().sum()) * count * len(rows) / (count + len(rows))
        mean += (center - mean) * (len(rows) / (count + len(rows)))
        count += len(rows)
    return math.sqrt(total / (count - 1))


@final
class _HessianVariance(SymmetricOperator):
    r""":math:`\sum_i (h_i - H)^2 / (m - 1)`, as :math:`\sum_i h_i (h_i v - H v)` over m - 1."""

    def __init__(self, problem: Problem, memory: int, progress: Callable[[int], None]) -> None:
        self._problem, self._progress = problem, progress
        self._mean, self._products = Hessian(problem, memory=memory), SampleProducts(problem)
        self._halving = Halving(self._products.chunk(self._mean.shape[0]))
        self._scale = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        return self._mean.shape

    @property
    def dtype(self) -> torch.dtype:
        return self._mean.dtype

    @property
    def device(self) -> torch.device:
        return self._mean.device

    @property
    def scale(self) -> float:
        return self._scale

    def _product(self, vectors: Float[Tensor, "parameters columns"]) -> Float[Tensor, "parameters columns"]:
        return torch.stack([self._of(vector).to(vectors.dtype) for vector in vectors.T], 1)

    def _of(self, vector: Float[Tensor, " parameters"]) -> Float64[Tensor, " parameters"]:
        mean = self._mean @ vector
        count = len(self._problem)
        total, squares = torch.zeros(len(vector), dtype=torch.float64, device=vector.device), 0.0

        def of_some(positions: Int64[np.ndarray, " samples"]) -> tuple[Float64[Tensor, " parameters"], float]:
            products = self._products(positions, vector.expand(len(positions), -1))
            # the differences add up to zero, and so does H times them
            return self._products(positions, products - mean).double().sum(0), float(products.double().square().sum())

        for found, size in self._halving(of_some, np.arange(count)):
            total += found
            squares += size
        self._progress(1)
        self._scale = max(self._scale, squares / (count - 1))
        return total / (count - 1)
