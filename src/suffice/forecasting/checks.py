"""Whether the samples at hand allow a forecast, and what makes one less certain."""

import math
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.slopes import standard_error
from suffice.forecasting.slopes.best import ENOUGH
from suffice.results import CONFIDENCE
from suffice.training.predictions import Predictions

WIDTH = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors on each side of an interval."""

FAR, UNFITTED = 0.1, 0.75
"""A training has not converged where a gradient step lowers the training loss by more than the first share of the test
loss, and the training loss is above the second share of it.

Measured on the embedded ViT with 160 digits: 0.11 to 0.3 and 0.95 to 1 after 3 to 100 steps by each of three methods;
0.03 to 0.28 and 0.6 after 300 steps. At a minimum under a penalty: a step of 0.15, at half of the test loss.
"""

FREE = 0.5
"""From this mean leverage on, a first-order formula in 1/k no longer holds."""

ORDERS = 199
"""Random orders that the order of the samples is compared with."""

STEP = 1e-3
"""Relative step in k of the difference quotient for a slope."""


def slope_of(estimator: Estimator) -> float:
    """The slope of the curve against 1/k at k_0."""
    ahead = (1 + STEP) * estimator.samples
    return float(estimator.gain(np.array([ahead]))[0] / (1 / estimator.samples - 1 / ahead))


def reason_against(evidence: Evidence, estimator: Estimator) -> str | None:
    """Why these samples allow no forecast; None if they do."""
    test_loss = float(evidence.unseen.losses.mean())
    if evidence.descent > FAR * test_loss and evidence.own_loss > UNFITTED * test_loss:
        return (
            "The training has not converged: one gradient step would lower the training loss of "
            f"{evidence.own_loss:.3g} by {evidence.descent:.3g}. Train longer on these samples."
        )
    shares = np.bincount(evidence.unseen.labels) / len(evidence.unseen.labels)
    by_chance = -np.log(shares[evidence.unseen.labels])
    better = by_chance - Calibrated(evidence.unseen).losses
    if better.mean() < WIDTH * standard_error(better):
        return "On left-out samples the model is no better than the class frequencies: the labels look random."
    if slope_of(estimator) <= 0:
        return (
            "The loss on unseen samples is not above the training loss: the model was not trained on these samples, or "
            "it has seen the others too."
        )
    if evidence.halves is None:
        return None
    falls = evidence.halves.losses - evidence.apart.losses
    predicted = _predicted_fall(estimator, evidence.halves, evidence.apart)
    # the two halves share what noise their models have, so the standard error over samples is too small
    if predicted < 0 or falls.mean() < -predicted - 2 * WIDTH * standard_error(falls):
        return (
            f"The loss does not fall with more samples (half of them: {evidence.halves.losses.mean():.3g}, nearly all: "
            f"{evidence.apart.losses.mean():.3g}): such a curve is not extrapolated."
        )
    return None


def doubts(evidence: Evidence, estimator: Estimator, slope_error: float) -> list[str]:
    """What makes a forecast less certain than its interval: few samples, leverage, the curve below k_0, their order.

    Args:
        evidence: what was measured.
        estimator: of the gain.
        slope_error: the standard error of its slope.
    """
    return [
        *_fewness(evidence),
        *_leverage(evidence),
        *_disagreement(evidence, estimator, slope_error),
        *_drift(evidence),
    ]


def _fewness(evidence: Evidence) -> list[str]:
    per_class = evidence.samples / len(np.unique(evidence.own.labels))
    if per_class >= ENOUGH:
        return []
    return [
        f"There are {per_class:.0f} samples per class on average. With fewer than {ENOUGH}, the test loss at hand is "
        "mostly noise, and forecasts to 8 times as many samples were off by half."
    ]


def _leverage(evidence: Evidence) -> list[str]:
    """Of heads, whose slopes are of first order; from generalised cross-validation, see `gcv_slope`."""
    leverage = 1 - math.sqrt(min(1.0, evidence.own_loss / float(evidence.unseen.losses.mean())))
    if evidence.head is None or leverage < FREE:
        return []
    return [
        f"The mean leverage is {leverage:.2f}: there are too few samples, or too weak a penalty, for a first-order "
        "formula in 1/k."
    ]


def _disagreement(evidence: Evidence, estimator: Estimator, slope_error: float) -> list[str]:
    if evidence.halves is None:
        return []
    falls, predicted = (
        evidence.halves.losses - evidence.apart.losses,
        _predicted_fall(estimator, evidence.halves, evidence.apart),
    )
    error = np.hypot(standard_error(falls), slope_error * (1 / evidence.halves.samples - 1 / evidence.apart.samples))
    if abs(falls.mean() - predicted) < 2 * WIDTH * error:
        return []
    return [
        f"From half of the samples to nearly all, the loss fell by {falls.mean():.3g}; the forecast has "
        f"{predicted:.3g}: the curve is not a line in 1/k here."
    ]


def _drift(evidence: Evidence) -> list[str]:
    """Whether losses change along the order in which the samples came, class by class, since files are often sorted.

    The statistic is the largest cumulative sum of a class's centred losses, over its standard deviation (E. S. Page,
    "Continuous Inspection Schemes", Biometrika 1954).
    """
    losses, labels = evidence.unseen.losses, evidence.unseen.labels
    classes = [losses[labels == label] for label in np.unique(labels)]
    centred = [of - of.mean() for of in classes if of.std() > 0]
    random = np.random.default_rng(0)
    # equal sums in another order differ by rounding
    observed = _largest_sum(centred) * (1 - 1e-9)
    if not centred or any(_largest_sum([random.permutation(of) for of in centred]) >= observed for _ in range(ORDERS)):
        return []
    return [
        f"The loss changes along the order of the samples, more than in any of {ORDERS} random orders: the samples are "
        "not exchangeable, and more of them may differ from these."
    ]


def _largest_sum(classes: list[Float64[np.ndarray, " _"]]) -> float:
    return max((float(np.abs(of.cumsum()).max() / (of.std() * np.sqrt(len(of)))) for of in classes), default=0.0)


def _predicted_fall(estimator: Estimator, halves: Predictions, nearly_all: Predictions) -> float:
    """The forecast's fall of the loss from the halves to nearly all."""
    less, more = estimator.gain(np.array([halves.samples, nearly_all.samples]))
    return float(more - less)
