"""Learning curves from scores that any trainer measured at a few sizes."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError, nearest
from suffice.forecasting.posterior import Cells, Units, posterior_cells, units, wander_covariance
from suffice.forecasting.shapes import Family, Grid, ShapePrior, shape_prior
from suffice.results import BOUNDS, HORIZON, RISES, Curve, Draws, Metric, fall, sample_counts

FAMILY: dict[Metric, Family] = {"error": "error", "accuracy": "error", "loss": "loss", "score": "score"}

DRAWN = 4000
"""Curves that are drawn from the posterior."""

STEP = 0.5
"""Doublings between knots of the wander beyond the largest size."""

WORSE = 0.75
"""Probability that more samples made the score worse, from which on there is no curve. Few curves of others do this."""

STEADILY = 0.9
"""Rank correlation of sizes and mean scores, from which on it got worse steadily: not by the noise of one training, and
not on a peak, beyond which many curves fall."""

MOST_SCORES = 500


def forecast_scores(
    sizes: Any,
    scores: Any,
    at: Any,
    errors: Any = None,
    metric: Metric = "error",
    seed: int = 0,
    kind: str = "any",
) -> Curve:
    r"""The learning curve behind a few scores, with its error, at any number of samples.

    The posterior over curves :math:`a + b / (n_0^c q + n^c)`, which are the power law :math:`a + b n^{-c}` where q = 0,
    with a random wander around them, given the scores and how common such curves are among those that others measured.
    Level and slope are integrated in closed form, exponent, delay, wander and noise on a grid; then curves are drawn.

    Args:
        sizes: (n,) numbers of training samples; repeats are welcome.
        scores: (n,) the score of a model trained on so many, on samples that it has not seen.
        at: sizes at which the curve is told.
        errors: (n,) standard errors of the scores against their mean over training sets and seeds. Not given, they
            follow from the scores.
        metric: "error" and "accuracy" are from 0 to 1, a "loss" is at least 0, a "score" may be anything. Errors and
            losses should fall, accuracies and scores rise.
        seed: of the draws.
        kind: kind of learner whose curves are taken as the prior: for an error or accuracy "linear", "kernel", "trees",
            "network" or "density"; for a loss "language model"; or "any".

    Raises:
        InputError: fewer than two sizes, arrays of different lengths, all scores equal, scores out of their range,
            percent, scores that get worse with size, or sizes that are not numbers of samples.

    Example:
        >>> n = np.array([100, 200, 400, 800])
        >>> curve = forecast_scores(n, 0.1 + 2 / np.sqrt(n), at=[3200, 6400])
        >>> truth = 0.1 + 2 / np.sqrt([3200, 6400])
        >>> bool((np.abs(curve.mean - truth) < 0.02).all())
        True
    """
    counts, values, known = _checked(sizes, scores, errors, metric)
    wanted = sample_counts(at, "at")
    falling = in_falling(values, metric)
    prior = shape_prior(FAMILY[metric], kind)
    given = units(counts, falling, known, FAMILY[metric], prior.grid.noise_exponent)
    curve = Curve(metric=metric, sizes=wanted, draws=curves_given(given, prior, seed))
    refuse_worse(curve, counts, values)
    return curve


def in_falling(scores: Float64[np.ndarray, " n"], metric: Metric) -> Float64[np.ndarray, " n"]:
    """Scores as numbers that fall: of an accuracy the error, of a score its negative."""
    if not RISES[metric]:
        return scores
    return 1 - scores if metric == "accuracy" else -scores


def curves_given(given: Units, prior: ShapePrior, seed: int) -> Draws:
    """Equally likely curves behind scores in units of their curve."""
    cells = posterior_cells(given, prior.grid)
    with np.errstate(divide="ignore"):
        log_weights = cells.log_likelihood + np.log(prior.shares(given.level))
    return _draw(given, cells, prior.grid, log_weights, np.random.default_rng(seed))


def _draw(
    given: Units,
    cells: Cells,
    grid: Grid,
    log_weights: Float64[np.ndarray, "wander noise slopes shapes"],
    random: np.random.Generator,
) -> Draws:
    """Curves from the posterior: cells in proportion to their weights, then level, slope and wander from normals."""
    weights = np.exp(log_weights - log_weights.max()).ravel()
    steps = (np.arange(DRAWN) + random.random()) / DRAWN  # systematic: each cell as often as its weight, to within one
    cell = np.minimum(np.searchsorted(np.cumsum(weights) / weights.sum(), steps), len(weights) - 1)
    of_wander, of_noise, of_slope, of_shape = np.unravel_index(cell, log_weights.shape)
    factor = np.linalg.cholesky(cells.covariance[of_wander, of_noise, of_slope, of_shape])
    both = cells.mean[of_wander, of_noise, of_slope, of_shape]
    both = both + np.einsum("dij,dj->di", factor, random.normal(size=(DRAWN, 2)))
    level, slope = both.T
    exponent, delay = grid.exponents[of_shape], grid.delays[of_shape]

    past = np.unique(given.ratios)[:-1]
    residuals = given.scores - level[:, None] + slope[:, None] * fall(given.ratios, exponent[:, None], delay[:, None])
    behind = np.empty((DRAWN, len(past)))
    for pair in np.unique(of_wander * len(grid.noise) + of_noise):
        wander, noise = divmod(int(pair), len(grid.noise))
        chosen = (of_wander == wander) & (of_noise == noise)
        square = grid.wander[wander] ** 2
        across = square * wander_covariance(past, given.ratios)
        gain = np.linalg.solve(cells.residual_covariance[wander, noise], across.T).T
        spread = square * wander_covariance(past, past) - gain @ across.T
        root = np.linalg.cholesky(spread + 1e-9 * square * np.eye(len(past)))
        normal = random.normal(size=(int(chosen.sum()), len(past)))
        behind[chosen] = residuals[chosen] @ gain.T + normal @ root.T

    ahead = np.arange(STEP, np.log2(HORIZON) + STEP, STEP)
    walk = np.cumsum(random.normal(size=(DRAWN, len(ahead))) * np.sqrt(STEP), axis=1)
    return Draws(
        offset=given.level,
        unit=given.unit,
        smallest=float(given.ratios.min() * given.largest),
        largest=given.largest,
        level=level,
        slope=slope,
        exponent=exponent,
        delay=delay,
        knots=np.concatenate([np.log2(past), [0.0], ahead]),
        wander=np.concatenate([behind, np.zeros((DRAWN, 1)), grid.wander[of_wander, None] * walk], axis=1),
        noise=given.unit * given.noise_unit * grid.noise[of_noise],
        noise_exponent=grid.noise_exponent,
    )


def _checked(
    sizes: Any, scores: Any, errors: Any, metric: Metric
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"], Float64[np.ndarray, " n"] | None]:
    if metric not in BOUNDS:
        raise InputError(f'metric "{metric}": must be one of {", ".join(BOUNDS)}{nearest(metric, list(BOUNDS))}')
    counts, values = sample_counts(sizes, "sizes"), _numbers(scores, "scores")
    if len(counts) != len(values):
        raise InputError(f"{len(counts)} sizes and {len(values)} scores: give one score for each size")
    if len(counts) > MOST_SCORES:
        raise InputError(f"{len(counts)} scores: at most {MOST_SCORES}; give means and standard errors of each size")
    refuse_out_of_range(values, metric)
    if len(np.unique(counts)) < 2:
        raise InputError(f"scores at {len(np.unique(counts))} size: a curve needs two sizes at least, better four")
    if np.ptp(values) == 0:
        raise InputError(f"all {len(values)} scores are {values[0]:g}: they say nothing about more samples")
    if errors is None:
        return counts, values, None
    known = _numbers(errors, "errors")
    if len(known) != len(values):
        raise InputError(f"{len(known)} errors and {len(values)} scores: give one error for each score")
    if (known < 0).any():
        raise InputError(f"errors: {known.min():g} is below 0; give standard errors of the scores")
    return counts, values, known


def refuse_out_of_range(values: Float64[np.ndarray, " n"], metric: Metric) -> None:
    """Whether all scores can be of the metric.

    Raises:
        InputError: one is out of range, or they are in percent.
    """
    low, high = BOUNDS[metric]
    outside = values[(values < low) | (values > high)]
    if len(outside):
        percent = high == 1 and values.min() >= 0 and values.max() <= 100
        worst = float(outside[np.abs(outside).argmax()])
        remedy = f"in percent? Then give {worst / 100:g} for {worst:g}" if percent else "check the metric"
        raise InputError(f"scores: {worst:g} is out of range for metric {metric}; {remedy}")


def _numbers(values: Any, name: str) -> Float64[np.ndarray, " n"]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: must be numbers") from None
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InputError(f"{name}: must be a list of finite numbers; leave out trainings that failed")
    return numbers


def refuse_worse(curve: Curve, sizes: Float64[np.ndarray, " n"], scores: Float64[np.ndarray, " n"]) -> None:
    """Whether there is a curve to continue.

    Raises:
        InputError: the scores got worse with more samples, steadily and by more than noise.
    """
    different = np.unique(sizes)
    least, most = float(different[0]), float(different[-1])
    first, last = curve.draws.means(np.array([least, most])).T
    means = np.array([scores[sizes == size].mean() for size in different])
    ranks = (-means if RISES[curve.metric] else means).argsort().argsort()
    steadily = np.corrcoef(np.arange(len(ranks)), ranks)[0, 1] >= STEADILY
    if (last > first).mean() < WORSE or not steadily:
        return
    before, after = float(means[0]), float(means[-1])
    other = {"error": "accuracy", "accuracy": "error", "loss": "score", "score": "loss"}[curve.metric]
    raise InputError(
        f"the {curve.metric} gets worse with more samples, from {before:.3g} at {least:,.0f} to {after:.3g} at "
        f'{most:,.0f}: there is no curve to continue; is it rather the metric "{other}"?'
    )
