"""Whether the samples at hand allow a forecast, and what makes one doubtful."""

import math
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.pilot import ENOUGH, Pilot
from suffice.forecasting.slopes import standard_error
from suffice.training.predictions import Predictions

CONFIDENCE = 0.9
WIDTH = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors on each side of an interval."""

FAR, UNFITTED = 0.1, 0.75
"""A model has hardly been trained where a step along the gradient lowers its training loss by more than the first share
of its test loss, and the training loss is above the second share of it.

Of the embedded ViT on 160 digits, 0.11 to 0.3 and 0.95 to 1 after 3 to 100 steps by each of three methods; 0.03 to 0.28
and 0.6 after 300. A minimum under a penalty has a step of 0.15, at half of its test loss.
"""

FREE = 0.5
"""A fit with this mean leverage is beyond the first order in 1/k."""

ORDERS = 199
"""Random orders that the order of the samples is compared with; none of them may be as even."""

STEP = 1e-3
"""By how much more samples a slope is taken."""


def slope_of(estimator: Estimator) -> float:
    """Of the curve against 1/k at k_0."""
    ahead = (1 + STEP) * estimator.samples
    return float(estimator.gain(np.array([ahead]))[0] / (1 / estimator.samples - 1 / ahead))


def reason_against(pilot: Pilot, estimator: Estimator) -> str | None:
    """Why these samples allow no forecast, or None if they do."""
    test_loss = float(pilot.nearly_all.losses.mean())
    if pilot.descent > FAR * test_loss and pilot.own_loss > UNFITTED * test_loss:
        return (
            "The model is far from stationary: a step along the gradient would lower its training loss by "
            f"{pilot.descent:.3g}, which is {pilot.own_loss:.3g}. Train it longer on these samples."
        )
    shares = np.bincount(pilot.nearly_all.labels) / len(pilot.nearly_all.labels)
    by_chance = -np.log(shares[pilot.nearly_all.labels])
    better = by_chance - Calibrated(pilot.nearly_all).losses
    if better.mean() < WIDTH * standard_error(better):
        return "On samples left out the model is no better than the shares of the classes: the labels look random."
    if slope_of(estimator) <= 0:
        return (
            "The loss of other samples is not above that of the model's own: it was not fitted to these samples, or "
            "has seen the others as well."
        )
    if pilot.halves is None:
        return None
    falls = pilot.halves.losses - pilot.nearly_all.losses
    told = _fall_told(estimator, pilot.halves, pilot.nearly_all)
    # the two halves share what noise their models have, so the standard error over samples is too small
    if told < 0 or falls.mean() < -told - 2 * WIDTH * standard_error(falls):
        return (
            f"The loss does not fall with more samples (half of them: {pilot.halves.losses.mean():.3g}, nearly all: "
            f"{pilot.nearly_all.losses.mean():.3g}): such a curve is not extrapolated."
        )
    return None


def doubts(pilot: Pilot, estimator: Estimator, slope_error: float) -> list[str]:
    """What makes a forecast doubtful, beyond its interval: few samples, leverage, the curve below k_0, their order.

    Args:
        pilot: what was measured.
        estimator: of the gain.
        slope_error: the standard error of its slope.
    """
    return [*_fewness(pilot), *_leverage(pilot), *_disagreement(pilot, estimator, slope_error), *_drift(pilot)]


def _fewness(pilot: Pilot) -> list[str]:
    per_class = pilot.samples / len(np.unique(pilot.own.labels))
    if per_class >= ENOUGH:
        return []
    return [
        f"There are {per_class:.0f} samples of a class on average: with fewer than {ENOUGH} the test loss at hand is "
        "mostly noise, and that of 8 times as many was forecast half too large or too small."
    ]


def _leverage(pilot: Pilot) -> list[str]:
    """Of heads, whose slopes are of first order; by generalised cross-validation, see `gcv_slope`."""
    leverage = 1 - math.sqrt(min(1.0, pilot.own_loss / float(pilot.nearly_all.losses.mean())))
    if pilot.head is None or leverage < FREE:
        return []
    return [
        f"Each sample pulls its own outputs about {leverage:.0%} of the way to its label: there are too few samples, "
        "or too weak a penalty, for a formula that is the first term in 1/k."
    ]


def _disagreement(pilot: Pilot, estimator: Estimator, slope_error: float) -> list[str]:
    if pilot.halves is None:
        return []
    falls, told = pilot.halves.losses - pilot.nearly_all.losses, _fall_told(estimator, pilot.halves, pilot.nearly_all)
    error = np.hypot(standard_error(falls), slope_error * (1 / pilot.halves.samples - 1 / pilot.nearly_all.samples))
    if abs(falls.mean() - told) < 2 * WIDTH * error:
        return []
    return [
        f"From half of the samples to nearly all the loss fell by {falls.mean():.3g}, where the forecast has "
        f"{told:.3g}: the curve is no line in 1/k here."
    ]


def _drift(pilot: Pilot) -> list[str]:
    """Whether losses change along the order in which the samples came, class by class, since files are often sorted.

    The statistic is the largest cumulative sum of a class's centred losses, over its standard deviation (E. S. Page,
    "Continuous Inspection Schemes", Biometrika 1954).
    """
    losses, labels = pilot.nearly_all.losses, pilot.nearly_all.labels
    classes = [losses[labels == label] for label in np.unique(labels)]
    centred = [of - of.mean() for of in classes if of.std() > 0]
    random = np.random.default_rng(0)
    # equal sums in another order differ by rounding
    observed = _largest_sum(centred) * (1 - 1e-9)
    if not centred or any(_largest_sum([random.permutation(of) for of in centred]) >= observed for _ in range(ORDERS)):
        return []
    return [
        "The loss changes along the order of the samples, more than in any of "
        f"{ORDERS} random orders: they are not exchangeable, and more of them may not be like these."
    ]


def _largest_sum(classes: list[Float64[np.ndarray, " _"]]) -> float:
    return max((float(np.abs(of.cumsum()).max() / (of.std() * np.sqrt(len(of)))) for of in classes), default=0.0)


def _fall_told(estimator: Estimator, halves: Predictions, nearly_all: Predictions) -> float:
    """What the forecast has the loss fall by from the halves to nearly all."""
    less, more = estimator.gain(np.array([halves.samples, nearly_all.samples]))
    return float(more - less)
