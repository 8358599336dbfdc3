"""The spectral density of a symmetric operator, by stochastic Lanczos quadrature."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.curvature.basis import MEMORY
from suffice.curvature.lanczos import Lanczos
from suffice.curvature.operator import SymmetricOperator, random_signs
from suffice.errors import InputError
from suffice.results import Density
from suffice.shown import Shown

TAIL = 6.0
"""The grid goes so many widths beyond the nodes: the density leaves out less than 1e-8."""

POINTS = 4
"""Points of the grid a width: the trapezoidal rule is exact to rounding on sums of Gaussians."""

LARGEST_GRID = 1_000_000


@dataclass(frozen=True, eq=False)
class SpectralDensity(Shown):
    r"""The density of the eigenvalues, smoothed: P times its integral over an interval is the number of them there.

    Attributes:
        grid: t, equally spaced.
        density: :math:`\phi(t)`, with integral 1 by the trapezoidal rule.
        error: its standard error over the draws.
        width: standard deviation :math:`\sigma` of the Gaussian that stands for each node.
        nodes: of the quadrature of each draw, ascending.
        weights: of the nodes, with sum 1 for each draw.
    """

    grid: Float64[np.ndarray, " points"]
    density: Float64[np.ndarray, " points"]
    error: Float64[np.ndarray, " points"]
    width: float
    nodes: Float64[np.ndarray, "draws steps"]
    weights: Float64[np.ndarray, "draws steps"]

    def plain(self) -> Density:
        """The density on the grid, without the nodes."""
        return Density(
            grid=self.grid.tolist(), density=self.density.tolist(), error=self.error.tolist(), width=self.width
        )


def spectral_density(
    A: SymmetricOperator,
    draws: int = 8,
    seed: int = 0,
    steps: int = 64,
    width: float | None = None,
    memory: int = MEMORY,
) -> SpectralDensity:
    r"""The spectral density of A, by stochastic Lanczos quadrature.

    .. math:: \phi(t) = \frac1P \sum_{i=1}^P \varphi_\sigma(t - \lambda_i)
        \approx \frac{1}{\mathrm{draws}} \sum_g \sum_{j=1}^{\mathrm{steps}} \omega_{gj} \varphi_\sigma(t - \theta_{gj})

    with :math:`\varphi_\sigma` the Gaussian density. The nodes :math:`\theta` and weights :math:`\omega` of a draw are
    those of Lanczos from a vector of random signs, with full reorthogonalisation. The default width is the range of the
    nodes over the steps: the error of the quadrature is then about 0.1% of the highest peak, and that over the draws is
    what is left. A smaller width shows more of the bulk where a few eigenvalues stretch the range. Where it is too
    small, single nodes become visible.

    The k-th moment of the density is an estimate of :math:`\mathrm{Tr}\,A^k / P`, plus :math:`\sigma^2` at k = 2. An
    interval for the density at a point is density ± t error, with Student's t for draws - 1 degrees of freedom.

    Args:
        A: the operator, (P, P).
        draws: number of random vectors, at least 2.
        seed: random seed.
        steps: products of A with a vector for each draw; P at most.
        width: :math:`\sigma`; by default the range of the nodes over the steps.
        memory: bytes for one basis; `density_memory` gives what it takes.

    Raises:
        InputError: draws, steps, width or memory out of range; an operator that is not symmetric, or a multiple of the
            identity without a width, which has no range.

    Sources: L. Lin, Y. Saad, C. Yang, "Approximating spectral densities of large matrices", SIAM Review 58, 2016,
    for the method; B. Ghorbani, S. Krishnan, Y. Xiao, "An investigation into neural net optimization via Hessian
    eigenvalue density", ICML 2019, section 2.

    Example:
        >>> from suffice.curvature.operator import SymmetricMatrix
        >>> density = spectral_density(SymmetricMatrix(torch.diag(torch.tensor([0.0, 0.0, 1.0, 4.0]))), width=0.1)
        >>> above = density.grid > 2.5
        >>> round(float(4 * np.trapezoid(density.density[above], density.grid[above])), 2)
        1.0
    """
    parameters = A.shape[0]
    steps = min(steps, parameters)
    if draws < 2 or steps < 1:
        raise InputError(f"draws is {draws} and steps is {steps}: give at least 2 draws and 1 step")
    if density_memory(parameters, steps, A.dtype) > memory:
        raise InputError(
            f"memory is {memory:,} bytes: {steps} steps of {parameters:,} parameters take "
            f"{density_memory(parameters, steps, A.dtype):,}; give more memory or fewer steps"
        )
    generator = torch.Generator().manual_seed(seed)
    rules = [_quadrature(A, random_signs(A, generator), steps) for _ in range(draws)]
    nodes, weights = (np.stack(parts) for parts in zip(*rules, strict=True))
    grid, width = _grid(nodes, steps, width)
    each = np.stack([_smoothed(grid, width, *rule) for rule in rules])
    return SpectralDensity(grid, each.mean(0), each.std(0, ddof=1) / math.sqrt(draws), width, nodes, weights)


def density_memory(parameters: int, steps: int = 64, dtype: torch.dtype = torch.float32) -> int:
    """Bytes that `spectral_density` takes beside the products of the operator, known before it runs.

    Args:
        parameters: P.
        steps: products for each draw.
        dtype: the operator's.

    Example:
        >>> density_memory(1_000_000)
        300000000
    """
    return parameters * (min(steps, parameters) + 1) * dtype.itemsize + 5 * parameters * torch.float64.itemsize


def _quadrature(
    A: SymmetricOperator,
    signs: Float[Tensor, " parameters"],
    steps: int,
) -> tuple[Float64[np.ndarray, " steps"], Float64[np.ndarray, " steps"]]:
    """Nodes and weights of one draw; a chain that ends early has nodes of weight zero at its largest one."""
    lanczos = Lanczos(A, seed=0, capacity=steps)
    lanczos.add(signs / math.sqrt(len(signs)))
    while lanczos.candidates and lanczos.products < steps:
        lanczos.extend()
    nodes, vectors = np.linalg.eigh(lanczos.projected)
    missing = steps - len(nodes)
    return np.pad(nodes, (0, missing), "edge"), np.pad(vectors[0] ** 2, (0, missing))


def _grid(
    nodes: Float64[np.ndarray, "draws steps"], steps: int, width: float | None
) -> tuple[Float64[np.ndarray, " points"], float]:
    """The points, and the width."""
    low, high = float(nodes.min()), float(nodes.max())
    spread = high - low
    if width is None:
        if spread <= 1e-6 * max(abs(low), abs(high)):
            raise InputError(f"all eigenvalues are {high:.4g}: the density is a point; give a width to smooth it with")
        width = spread / steps
    points = math.ceil((spread / width + 2 * TAIL) * POINTS) + 1 if 0 < width < math.inf else LARGEST_GRID + 1
    if points > LARGEST_GRID:
        raise InputError(f"width is {width:g}: give one that is finite and above {POINTS * spread / LARGEST_GRID:.2g}")
    return np.linspace(low - TAIL * width, high + TAIL * width, points), width


def _smoothed(
    grid: Float64[np.ndarray, " points"],
    width: float,
    nodes: Float64[np.ndarray, " steps"],
    weights: Float64[np.ndarray, " steps"],
) -> Float64[np.ndarray, " points"]:
    """The sum of Gaussians."""
    total = np.zeros_like(grid)
    for node, weight in zip(nodes, weights, strict=True):
        total += weight * np.exp(-0.5 * ((grid - node) / width) ** 2)
    return total / (width * math.sqrt(2 * math.pi))
