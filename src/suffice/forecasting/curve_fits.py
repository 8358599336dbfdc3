r"""Curves fitted to the losses of models trained on few samples, which is how learning curves are usually extended.

The families are those of Mahmood et al., "How Much More Data Do I Need?" (CVPR 2022, arXiv 2207.01725, table 1), made
for an accuracy in percent that rises with n. For a loss that falls, all are written as

.. math:: L(k) = c + a f(k), \qquad a \ge 0, \quad f \text{ falls}, \quad b, s, g > 0

- ``power_law``: :math:`f = k^{-b}`, c = 0. ``power_law_with_limit``: the same with :math:`c \ge 0`.
  Published: :math:`t_1 n^{t_2} + t_3`.
- ``logarithm``: :math:`f = -\log(k + s)`, any c; it falls without limit. Published: :math:`t_1 \log(n + t_2) + t_3`.
- ``arctan``: :math:`f = 1 - \frac2\pi \arctan \frac ks`, :math:`c \ge 0`.
  Published: :math:`\frac{200}\pi \arctan(\frac\pi2 t_1 n + t_2) + t_3`.
- ``algebraic_root``: :math:`f = 1 - u (1 + u^g)^{-1/g}` with :math:`u = k / s`, :math:`c \ge 0`.
  Published: :math:`100 u (1 + u^{t_2})^{-1/t_2} + t_3` with :math:`u = |t_1 n|`.

The last two differ from what is published in their height: 100 percent there, and a here, as a loss has no such height.
The arctan is left without its shift :math:`t_2` in exchange, and so has three parameters as before.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import minimum_filter
from scipy.optimize import least_squares

from suffice.errors import InputError, nearest

Array = Float64[np.ndarray, "..."]


def _power(sizes: Array, b: Array | float) -> Array:
    return np.asarray(sizes**-b)


def _logarithm(sizes: Array, s: Array | float) -> Array:
    return np.asarray(-np.log(sizes + s))


def _arctan(sizes: Array, s: Array | float) -> Array:
    return np.asarray(np.arctan(s / sizes) * 2 / np.pi)


def _algebraic_root(sizes: Array, s: Array | float, g: Array | float) -> Array:
    return np.asarray(-np.expm1(-np.logaddexp(0, g * np.log(s / sizes)) / g))


class CurveFamily(NamedTuple):
    """L(k) = c + a f(k).

    Attributes:
        shape: f, of the sizes and its own parameters.
        parameters: the names of these: exponents b and g, and a number of samples s.
        limits: the least and the largest c.
    """

    shape: Callable[..., Array]
    parameters: tuple[str, ...]
    limits: tuple[float, float]

    @property
    def free(self) -> int:
        """How many parameters a fit chooses, and so the number of sizes that it needs."""
        lowest, highest = self.limits
        return len(self.parameters) + 1 + (lowest < highest)


FAMILIES = {
    "power_law": CurveFamily(_power, ("b",), (0, 0)),
    "power_law_with_limit": CurveFamily(_power, ("b",), (0, math.inf)),
    "logarithm": CurveFamily(_logarithm, ("s",), (-math.inf, math.inf)),
    "arctan": CurveFamily(_arctan, ("s",), (0, math.inf)),
    "algebraic_root": CurveFamily(_algebraic_root, ("s", "g"), (0, math.inf)),
}
"""The families of learning curves by name, written as in the module's table."""

EXPONENTS = (1e-3, 10.0)
"""Where b and g are searched."""

SHIFTS = (1e-6, 1e3)
"""Where s is searched: the lower end in units of the smallest size, the upper end in units of the largest."""

GRID = 61
"""Points of the first search, evenly spaced in the logarithm of each parameter of f."""

STEP = 1e-5
"""Of central differences in these logarithms."""

STARTS = 3
"""How many local minima of the first search are refined."""

ROUNDING = 1e-12
"""Sums of squares that differ by less than this share are equal."""

LARGEST_SIZE = 10**18
"""Beyond it no size is sufficient."""


@dataclass(frozen=True)
class CurveFit:
    r"""A fitted learning curve :math:`L(k) = c + a f(k)`, which never rises.

    Attributes:
        family: its name in `FAMILIES`.
        samples: k0, from which gains are counted.
        parameters: a, c and those of f. A constant has a = 0, in every family.
        residual: :math:`\sum_i ((l_i - L(k_i)) / e_i)^2` of the losses that it was fitted to.

    Example:
        >>> fit = CurveFit("power_law_with_limit", 100, {"a": 2.0, "b": 0.5, "c": 0.1}, residual=0.0)
        >>> fit(np.array([100.0, 400.0]))
        array([0.3, 0.2])
        >>> fit.gain(np.array([25.0, 100.0, 400.0])).round(12)
        array([-0.2,  0. ,  0.1])
        >>> fit.limit
        0.1
    """

    family: str
    samples: int
    parameters: dict[str, float]
    residual: float

    @property
    def name(self) -> str:
        """The family in words."""
        return self.family.replace("_", " ")

    @property
    def limit(self) -> float:
        """The loss of infinitely many samples: c, or minus infinity for a logarithm that falls."""
        lowest, _ = FAMILIES[self.family].limits
        return lowest if self.parameters["a"] > 0 and lowest < 0 else self.parameters["c"]

    def __call__(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """L at each size."""
        family = FAMILIES[self.family]
        shape = family.shape(sizes, *(self.parameters[name] for name in family.parameters))
        return np.asarray(self.parameters["c"] + self.parameters["a"] * shape)

    def gain(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """L(k0) - L(k) at each size k."""
        return np.asarray(self(np.array([float(self.samples)])) - self(sizes))


def fit_curve(
    family: str,
    sizes: Float64[np.ndarray, " sizes"],
    losses: Float64[np.ndarray, " losses"],
    errors: Float64[np.ndarray, " errors"],
    samples: int,
) -> CurveFit:
    r"""The curve of a family that is nearest to losses, in weighted least squares.

    It minimises :math:`\sum_i ((l_i - c - a f(k_i)) / e_i)^2`. For a given f the best a and c are known in closed form
    (variable projection: Golub and Pereyra 1973), so only the one or two parameters of f are searched, over their
    logarithms: on a grid first, then by Gauss-Newton steps from its lowest local minima. There is no chance in it.
    Where no falling curve is nearer than a constant, the fit is the constant.

    Args:
        family: a name in `FAMILIES`.
        sizes: k, how many samples each model was trained on.
        losses: the test loss of each model, or of several models of one size.
        errors: the standard error of each loss.
        samples: k0, from which gains are counted.

    Raises:
        InputError: an unknown family, arrays of different lengths, values out of range, or fewer different sizes than
            the family has parameters.

    Example:
        >>> k = np.array([50.0, 100.0, 200.0, 400.0])
        >>> fit = fit_curve("power_law_with_limit", k, 0.1 + 2 / np.sqrt(k), np.full(4, 0.01), samples=400)
        >>> {name: round(value, 6) for name, value in fit.parameters.items()}
        {'a': 2.0, 'c': 0.1, 'b': 0.5}
        >>> fit.gain(np.array([1600.0])).round(6)
        array([0.05])
    """
    _check(family, sizes, losses, errors, samples)
    curves, weights = FAMILIES[family], errors.min() / errors
    mean = losses[0] + float(np.average(losses - losses[0], weights=np.square(weights)))  # exact for equal losses
    constant = _Projection(np.zeros(1), np.full(1, mean), (weights * (losses - mean))[None])
    unit = float(np.linalg.norm(constant.residuals)) or 1.0
    low, high = np.log([_range(name, sizes) for name in curves.parameters]).T
    point = _search(lambda points: _project(curves, points, sizes, losses, weights).residuals / unit, low, high)
    best = _project(curves, point, sizes, losses, weights)
    if np.square(best.residuals).sum() >= (1 - ROUNDING) * np.square(constant.residuals).sum():
        best = constant
    of_shape = dict(zip(curves.parameters, np.exp(point[0]).tolist(), strict=True))
    residual = float(np.square(best.residuals / errors.min()).sum())
    return CurveFit(family, samples, {"a": float(best.a[0]), "c": float(best.c[0])} | of_shape, residual)


def _check(
    family: str,
    sizes: Float64[np.ndarray, " sizes"],
    losses: Float64[np.ndarray, " losses"],
    errors: Float64[np.ndarray, " errors"],
    samples: int,
) -> None:
    if family not in FAMILIES:
        raise InputError(f'family "{family}": must be one of {", ".join(FAMILIES)}{nearest(family, list(FAMILIES))}')
    if not len(sizes) == len(losses) == len(errors):
        raise InputError(f"{len(sizes)} sizes, {len(losses)} losses, {len(errors)} errors: give one of each a model")
    for name, values in (("sizes", sizes), ("errors", errors)):
        if not (np.isfinite(values) & (values > 0)).all():
            raise InputError(f"{name}: all must be finite and above 0")
    if not (np.isfinite(losses) & (losses >= 0)).all():
        raise InputError("losses: all must be finite and at least 0; leave out models that diverged")
    if samples < 1:
        raise InputError(f"samples = {samples}: must be at least 1")
    different, needed = len(np.unique(sizes)), FAMILIES[family].free
    if different < needed:
        raise InputError(f"{different} different sizes: {family} needs at least {needed}; train on more sizes")


def _range(parameter: str, sizes: Float64[np.ndarray, " sizes"]) -> tuple[float, float]:
    """Where a parameter of f is searched."""
    return (SHIFTS[0] * float(sizes.min()), SHIFTS[1] * float(sizes.max())) if parameter == "s" else EXPONENTS


class _Projection(NamedTuple):
    """The best a and c at points of the parameters of f, and the weighted residuals that they leave."""

    a: Float64[np.ndarray, " points"]
    c: Float64[np.ndarray, " points"]
    residuals: Float64[np.ndarray, "points sizes"]


def _project(
    family: CurveFamily,
    points: Float64[np.ndarray, "points parameters"],
    sizes: Float64[np.ndarray, " sizes"],
    losses: Float64[np.ndarray, " sizes"],
    weights: Float64[np.ndarray, " sizes"],
) -> _Projection:
    """Least squares in a >= 0 and c within its limits, at the logarithms of the parameters of f.

    A convex problem in two unknowns: where the solution without bounds violates one of them, the optimum lies on it.
    Both are never violated at once, as neither f and losses nor limits of 0 go below 0.
    """
    shapes = family.shape(sizes, *np.exp(points).T[:, :, None])
    shares = np.square(weights) / np.square(weights).sum()
    height, mean = shapes @ shares, losses[0] + shares @ (losses - losses[0])
    centred, zeros = shapes - height[:, None], np.zeros(len(points))
    variance, square = np.square(centred) @ shares, np.square(shapes) @ shares
    slope = np.divide(centred @ (shares * (losses - mean)), variance, out=zeros, where=variance > ROUNDING**2 * square)
    a = np.maximum(slope, 0)
    free = mean - a * height
    c = np.clip(free, *family.limits)
    with_c = np.divide(shapes @ (shares * losses) - c * height, square, out=np.zeros(len(points)), where=square > 0)
    a = np.where(c == free, a, with_c)
    return _Projection(a, c, weights * (losses - c[:, None] - a[:, None] * shapes))


def _search(
    residuals: Callable[[Float64[np.ndarray, "points parameters"]], Float64[np.ndarray, "points sizes"]],
    low: Float64[np.ndarray, " parameters"],
    high: Float64[np.ndarray, " parameters"],
) -> Float64[np.ndarray, "1 parameters"]:
    """The point within bounds of the least sum of squares: a grid, and Gauss-Newton from its lowest local minima."""
    axes = [np.linspace(*ends, GRID) for ends in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    sums = np.square(residuals(grid.reshape(-1, len(axes)))).sum(1).reshape(grid.shape[:-1])
    is_minimum = sums == minimum_filter(sums, size=3, mode="nearest")
    lowest = np.argsort(sums[is_minimum], kind="stable")[:STARTS]
    origin = low - 1  # the first step of least_squares is as long as its start is far from 0

    def jacobian(point: Float64[np.ndarray, " parameters"]) -> Float64[np.ndarray, "sizes parameters"]:
        steps = STEP * np.eye(len(point))
        return np.asarray((residuals(origin + point + steps) - residuals(origin + point - steps)).T / (2 * STEP))

    fits = [
        least_squares(
            lambda point: residuals((origin + point)[None])[0],
            start - origin,
            jacobian,
            (low - origin, high - origin),
            ftol=1e-12,
            xtol=1e-10,
            gtol=1e-13,
        )
        for start in grid[is_minimum][lowest]
    ]
    return np.asarray((origin + min(fits, key=lambda fit: float(fit.cost)).x)[None])


def sufficient_size(fit: CurveFit, target: float, correction: float) -> int | None:
    r"""The smallest k > 0 with :math:`L(k) \le` target :math:`- \tau`, by bisection.

    Mahmood et al. ask more than the target of a fitted curve, as many curves promise too much: :math:`\tau` is chosen
    on other tasks, such that there the size would have been large enough.

    Args:
        fit: the curve.
        target: the test loss to reach.
        correction: tau, in units of the loss; 0 for none.

    Returns:
        k, or None where the curve does not get there, or not within `LARGEST_SIZE` samples.

    Raises:
        InputError: a target or correction that is not finite.

    Example:
        >>> fit = CurveFit("power_law_with_limit", 100, {"a": 2.0, "b": 0.5, "c": 0.125}, residual=0.0)
        >>> sufficient_size(fit, 0.25, correction=0.0), sufficient_size(fit, 0.25, correction=0.0625)
        (256, 1024)
        >>> sufficient_size(fit, 0.25, correction=0.125) is None
        True
    """
    if not (math.isfinite(target) and math.isfinite(correction)):
        raise InputError(f"target = {target}, correction = {correction}: both must be finite")

    def reached(size: int) -> bool:
        return float(fit(np.array([float(size)]))[0]) <= target - correction

    never = fit.parameters["a"] > 0 and fit.limit >= target - correction  # though rounding may get there
    if never or not reached(LARGEST_SIZE):
        return None
    return 1 + bisect_left(range(1, LARGEST_SIZE), True, key=reached)


@dataclass(frozen=True)
class NoImprovement:
    """L(k) = L(k0): more samples change nothing. What any other estimate has to beat.

    Attributes:
        samples: k0.

    Example:
        >>> NoImprovement(100).gain(np.array([50.0, 400.0]))
        array([0., 0.])
    """

    samples: int
    name: ClassVar[str] = "no improvement"

    def gain(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """0 at each size."""
        return np.zeros(len(sizes))


@dataclass(frozen=True)
class TwoPoint:
    r"""The curve :math:`L(k) = a + b / k` through the sizes k0 / 2 and k0.

    Its gain is :math:`(L(k_0 / 2) - L(k_0)) (1 - k_0 / k)`, so at most what the last doubling gained.

    Attributes:
        samples: k0.
        loss_at_half, loss: the test losses of models trained on k0 / 2 and on k0 samples.

    Example:
        >>> TwoPoint(100, loss_at_half=0.5, loss=0.3).gain(np.array([50.0, 100.0, 400.0])).round(12)
        array([-0.2 ,  0.  ,  0.15])
    """

    samples: int
    loss_at_half: float
    loss: float
    name: ClassVar[str] = "two points"

    def gain(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """L(k0) - L(k) at each size k."""
        return (self.loss_at_half - self.loss) * (1 - self.samples / sizes)
