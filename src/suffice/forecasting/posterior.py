r"""The posterior over learning curves given scores: closed in level and slope, on a grid in all else.

In units of the curve (`units`), the scores are

.. math:: z_i = y_0 - g\, s(x_i) + \tau W(x_i) + \sigma x_i^{-e} \epsilon_i

with W a Brownian motion in :math:`\log_2 x` that starts from 0 at :math:`n_0`, forwards and backwards, since no curve
keeps its shape forever. For a given shape, :math:`\tau` and :math:`\sigma` this is linear with normal errors. So
:math:`y_0` (flat prior) and g (normal prior) are integrated in closed form, and nothing is sampled to find the weights.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.shapes import Family, Grid
from suffice.results import fall

LEVEL_ERROR = 10.0
"""Standard deviation of the prior of y0, in units of the curve around the level of the scores: as good as flat."""

LEAST_LEVEL = 1e-3
"""Of an error rate, its distance from 1, and of a loss over the largest one: below it units would vanish."""

ROUNDING = 1e-4
"""Least standard deviation of a score in units of the noise: scores are written to a few digits."""


@dataclass(frozen=True)
class Units:
    """Scores in units of their curve, where lower is better.

    Attributes:
        largest: n0.
        level: the mean of the mean scores at the two largest sizes.
        unit: what a slope of 1 is: the level, or for scores of any scale their range per e-fold of samples.
        noise_unit: what noise of 1 is, over the unit: sqrt(u (1 - u)) / u for an error rate u, else 1.
        ratios: x = n / n0 of each score.
        scores: z = (score - level) / unit.
        known: variance of the noise of each score that is known, or the covariance where scores share noise.
        unknown: the same over sigma^2 of the noise that is not known.
    """

    largest: float
    level: float
    unit: float
    noise_unit: float
    ratios: Float64[np.ndarray, " n"]
    scores: Float64[np.ndarray, " n"]
    known: Float64[np.ndarray, " n"] | Float64[np.ndarray, "n n"]
    unknown: Float64[np.ndarray, " n"] | Float64[np.ndarray, "n n"]


def units(
    sizes: Float64[np.ndarray, " n"],
    scores: Float64[np.ndarray, " n"],
    errors: Float64[np.ndarray, " n"] | None,
    family: Family,
    noise_exponent: float,
) -> Units:
    """Scores in units of their curve.

    Standard errors are taken at their word: they hold all noise. Where a size has several scores, they show how much
    trainings differ, and this is added.

    Args:
        sizes: n of each score, at least two different ones.
        scores: lower is better.
        errors: their standard errors; None where they are not known.
        family: of the curve.
        noise_exponent: e.

    Example:
        >>> n = np.array([100.0, 200.0, 400.0])
        >>> found = units(n, np.array([0.4, 0.3, 0.2]), None, "error", noise_exponent=0.5)
        >>> found.level, found.ratios, found.unknown.round(3)
        (0.25, array([0.25, 0.5 , 1.  ]), array([12.,  6.,  3.]))
    """
    different = np.unique(sizes)
    means = np.array([scores[sizes == size].mean() for size in different])
    level, ratios = float(means[-2:].mean()), sizes / different[-1]
    noise_unit = 1.0
    if family == "score":
        unit = float(np.ptp(means) or np.ptp(scores)) / math.log(different[-1] / different[0])
    elif family == "loss":
        unit = max(level, LEAST_LEVEL * float(scores.max()))
    else:
        level = min(max(level, LEAST_LEVEL), 1 - LEAST_LEVEL)
        unit, noise_unit = level, math.sqrt((1 - level) / level)
    known = np.full(len(scores), (ROUNDING * noise_unit) ** 2)
    unknown = noise_unit**2 * ratios ** (-2 * noise_exponent)
    if errors is not None:
        known = known + np.square(errors / unit)
        if len(different) == len(sizes):
            unknown = np.zeros(len(scores))
    return Units(float(different[-1]), level, unit, noise_unit, ratios, (scores - level) / unit, known, unknown)


def wander_covariance(
    first: Float64[np.ndarray, " first"], second: Float64[np.ndarray, " second"]
) -> Float64[np.ndarray, "first second"]:
    """Covariance of W between sizes x n0: the shorter of two distances from n0 in doublings, and 0 across n0.

    Example:
        >>> wander_covariance(np.array([0.25, 1.0, 4.0]), np.array([0.5, 8.0]))
        array([[1., 0.],
               [0., 0.],
               [0., 2.]])
    """
    a, b = np.log2(first)[:, None], np.log2(second)
    return np.where(a * b > 0, np.minimum(np.abs(a), np.abs(b)), 0.0)


def _square(noise: Float64[np.ndarray, " n"] | Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    return np.diag(noise) if noise.ndim == 1 else noise


@dataclass(frozen=True)
class Cells:
    """Each cell of the grid, given the scores.

    Attributes:
        log_likelihood: of the scores, with y0 and g integrated out.
        mean: posterior mean of (y0, g).
        covariance: posterior covariance of (y0, g).
        residual_covariance: of the scores around y0 - g s(x), for each wander and noise.
    """

    log_likelihood: Float64[np.ndarray, "wander noise slopes shapes"]
    mean: Float64[np.ndarray, "wander noise slopes shapes 2"]
    covariance: Float64[np.ndarray, "wander noise slopes shapes 2 2"]
    residual_covariance: Float64[np.ndarray, "wander noise n n"]


def posterior_cells(given: Units, grid: Grid) -> Cells:
    """The likelihood of each cell, and level and slope in it.

    Example:
        >>> n = np.array([100.0, 200.0, 400.0, 800.0])
        >>> grid = Grid(np.array([[0.5, 0.5]]), np.array([0.5]), np.zeros(1), np.array([1e-4]), np.array([1e-4]), 0.0)
        >>> given = units(n, 2 / np.sqrt(n), None, "loss", grid.noise_exponent)
        >>> level, slope = posterior_cells(given, grid).mean[0, 0, 0, 0]
        >>> bool(np.isclose(given.level + given.unit * level, 2 / np.sqrt(800)))
        True
        >>> round(float(slope * given.unit / (2 / np.sqrt(800))), 3)  # g / y0 is the exponent where the limit is 0
        0.5
    """
    n = len(given.scores)
    wander = grid.wander[:, None, None, None] ** 2 * wander_covariance(given.ratios, given.ratios)
    covariance = wander + _square(given.known) + grid.noise[:, None, None] ** 2 * _square(given.unknown)
    factor = np.linalg.cholesky(covariance)
    shapes = fall(given.ratios[:, None], grid.exponents, grid.delays)
    sides = np.concatenate([np.ones((n, 1)), given.scores[:, None], -shapes], axis=1)
    white = np.linalg.solve(factor, sides)
    ones, data, of_shapes = white[..., 0], white[..., 1], white[..., 2:]
    log_determinant = 2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)[..., None, None]

    mean, spread = grid.slopes[:, 0, None], grid.slopes[:, 1, None]
    level_precision = 1 / LEVEL_ERROR**2
    one_one = (ones * ones).sum(-1)[..., None, None] + level_precision
    one_shape = np.einsum("wnk,wnks->wns", ones, of_shapes)[..., None, :]
    shape_shape = (of_shapes**2).sum(-2)[..., None, :] + 1 / spread**2
    right_one = (ones * data).sum(-1)[..., None, None]
    right_shape = np.einsum("wnk,wnks->wns", data, of_shapes)[..., None, :] + mean / spread**2
    determinant = one_one * shape_shape - one_shape**2
    level = (shape_shape * right_one - one_shape * right_shape) / determinant
    slope = (one_one * right_shape - one_shape * right_one) / determinant
    square = (data * data).sum(-1)[..., None, None] + mean**2 / spread**2
    left = square - level * right_one - slope * right_shape
    prior_determinant = (spread * LEVEL_ERROR) ** 2
    log_likelihood = -0.5 * (
        left + log_determinant + np.log(determinant * prior_determinant) + n * math.log(2 * math.pi)
    )
    entries = np.stack(np.broadcast_arrays(shape_shape, -one_shape, -one_shape, one_one), axis=-1)
    inverse = (entries / determinant[..., None]).reshape(*determinant.shape, 2, 2)
    return Cells(log_likelihood, np.stack([level, slope], axis=-1), inverse, covariance)
