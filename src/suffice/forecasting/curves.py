r"""From the evidence to curves that can be asked at any size: the loss and metrics, with their joint error.

With the slope s at the :math:`k_0` samples at hand and the exponent c of its shape, close to 1,

.. math:: L(k) = L(k_0) - \frac{s}{k_0} \, \frac{1 - (k / k_0)^{-c}}{c}, \qquad m(k) = m(k_0) + r \, (L(k_0) - L(k))

Each draw has its own level, slope, exponent and rate r at which the metric m rises. The level is measured with models
of :math:`k_f` samples, nearly all of those at hand, and brought to :math:`k_0` by the curve. Its error is log-normal,
as means of few losses are skewed, and has two parts: the noise of the samples that it is measured on, and that between
trainings.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtri
from scipy.stats import qmc

from suffice.forecasting.doubts import gap_of, skewed
from suffice.forecasting.estimator import Estimator, slope_of
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.metrics import Metric, Rates, metric_now
from suffice.forecasting.recipes import STRAIGHT, Bend
from suffice.forecasting.regression import Regressed, r_squared_curve, target_variance
from suffice.forecasting.slopes import (
    FirstOrder,
    between_trainings,
    measured_of_heads,
    part_errors,
    share_of_slope,
)
from suffice.forecasting.slopes.best import best_outputs
from suffice.forecasting.slopes.calibrated import FAR
from suffice.forecasting.slopes.slope import standard_error
from suffice.forecasting.slopes.traces import SOLVED
from suffice.results import HORIZON, Curve, Draws, fall
from suffice.training.predictions import Predictions

DRAWN = 2048
"""Curves that are drawn: a power of 2, as quasi-random sequences have them."""

KNOTS = np.arange(-2.0, math.log2(HORIZON) + 0.25, 0.25)
"""Doublings of the samples at hand, between which the curve of an estimator that is not of first order is a line."""


@dataclass(frozen=True)
class Shape:
    """What is known of the shape of curves of one kind, and of the noise around them.

    Attributes:
        exponent: median of c.
        deviation: standard deviation of log c.
        noise: standard deviation of the loss between trainings on k_0 samples.
        noise_exponent: e, where that on k samples is (k / k_0)^-e times as large.
        luck: the part of that noise that does not go with the losses of the samples, to first order.
    """

    exponent: float
    deviation: float
    noise: float
    noise_exponent: float
    luck: float


def shape_of(evidence: Evidence, slope: float, seed: int = 0) -> Shape:
    """The shape of heads, or that of other models, which is of first order as far as it was measured.

    Args:
        evidence: what was measured.
        slope: s.
        seed: random seed of the traces.
    """
    if evidence.head is None:
        noise = part_errors("full" if evidence.is_whole else "part").training * slope / evidence.samples
        return Shape(1.0, 0.0, noise, 1.0, noise)
    measured = measured_of_heads()
    between = between_trainings(evidence.head, best_outputs(evidence.head, evidence.apart.outputs), seed).at_slope(
        slope
    )
    now, then = measured.trainings * between.deviation(evidence.samples * np.array([1.0, FAR]))
    luck = measured.trainings * math.sqrt(between.second) / evidence.samples
    bend = math.log(now / then) / math.log(FAR)
    return Shape(measured.exponent, measured.exponent_deviation, float(now), bend, luck)


def loss_curve(
    evidence: Evidence,
    estimator: Estimator,
    error: float,
    sizes: Float64[np.ndarray, " sizes"],
    seed: int = 0,
    bend: Bend = STRAIGHT,
) -> Curve:
    """The expected loss on unseen samples.

    Args:
        evidence: what was measured.
        estimator: of the gain.
        error: standard error of the logarithm of its slope.
        sizes: k.
        seed: random seed of the traces.
        bend: what the recipe of the penalty makes of the curve, where the estimator is of first order.
    """
    unseen, scores = evidence.unseen, _scores()
    normals = _level_scores(evidence)
    shape = shape_of(evidence, slope_of(estimator), seed)
    off = math.hypot(_level_noise(evidence, shape), evidence.level_off * evidence.unseen_loss)
    at_fold = evidence.unseen_loss * np.exp(off / evidence.unseen_loss * normals)
    with_level = estimator.slope.with_level if isinstance(estimator, FirstOrder) else 0.0
    score = with_level * scores["level"] + math.sqrt(1 - with_level**2) * scores["slope"]
    # the noise of the targets of a regression makes both its level and its slope
    tied = at_fold / evidence.unseen_loss if isinstance(unseen, Regressed) else 1.0
    share = tied * np.exp(error * score)
    common = {
        "smallest": math.ceil(evidence.samples / 2),
        "largest": evidence.samples,
        "noise": [shape.noise],
        "noise_exponent": shape.noise_exponent,
    }
    if isinstance(estimator, FirstOrder):
        exponent = shape.exponent * np.exp(shape.deviation * scores["exponent"])
        slope = _fall_at_hand(estimator.slope.value / evidence.samples * share, exponent)
        level = np.maximum(at_fold + slope * fall(unseen.samples / evidence.samples, exponent, 0.0), 0.0)
        # the level is that of the penalty at hand: the recipes part from there on
        share = bend.times * tied * np.exp(math.hypot(error, bend.deviation) * score)
        exponent = bend.exponent * exponent
        slope = _fall_at_hand(estimator.slope.value / evidence.samples * share, exponent)
        draws = Draws(**common, level=level, slope=slope, exponent=exponent)
    else:
        gains = estimator.gain(np.append(unseen.samples, evidence.samples * 2.0**KNOTS))
        draws = Draws(
            **common,
            level=at_fold + share * gains[0],
            slope=[0.0],
            exponent=[1.0],
            knots=KNOTS,
            wander=-share[:, None] * gains[1:],
        )
    return Curve(metric="loss", sizes=sizes, draws=draws)


def _level_scores(evidence: Evidence) -> Float64[np.ndarray, " draws"]:
    """What the level's standard error is multiplied by: standard normal, of regressions with a longer upper side."""
    scores = _scores()["level"]
    return skewed(scores, evidence.unseen.losses) if isinstance(evidence.unseen, Regressed) else scores


def _fall_at_hand(
    far: Float64[np.ndarray, " draws"], exponent: Float64[np.ndarray, " draws"]
) -> Float64[np.ndarray, " draws"]:
    """The fall per e-fold of samples at k_0, of a curve that is known by the line to 8 times as many."""
    return np.asarray(far * share_of_slope(FAR, exponent) / fall(FAR, exponent, 0.0))


def _level_noise(evidence: Evidence, shape: Shape) -> float:
    r"""Standard error of the loss on unseen samples, as an estimate of the mean over trainings.

    The models were trained on some samples of many that there might have been. So the noise of that training is added
    to that of the unseen samples. Where a head is tested on its own samples, by folds, both go together: a sample
    changes the estimate by :math:`l_i + \lambda W^\top H^{-1} g_i`, its loss and the change of the expected loss that
    its gradient makes, to first order; what it makes to second order goes its own way.
    """
    head = evidence.head
    if head is None or evidence.holdout is not None:
        return math.hypot(evidence.level_noise, shape.noise)
    residuals = head.loss.at(best_outputs(head, evidence.apart.outputs)).residuals
    along = head.push(head.solve(head.penalty * head.weights, SOLVED))
    of_samples = standard_error(evidence.unseen.losses + (along * residuals).sum(-1), evidence.groups)
    return math.hypot(of_samples, shape.luck)


def metric_curve(evidence: Evidence, unseen: Predictions, loss: Curve, metric: Metric, straight: Curve) -> Curve:
    """The expected metric on unseen samples, which rises with the fall of the loss.

    Args:
        evidence: what was measured.
        unseen: its predictions for unseen samples.
        loss: the curve of the loss.
        metric: between 0 and 1, higher is better.
        straight: the loss at the fixed penalty, by which the level is brought to k_0.

    Raises:
        InputError: a metric that is not defined for these samples.
    """
    of_loss, scores = loss.draws, _scores()
    now = metric_now(unseen, metric, evidence.groups if evidence.holdout is None else None)
    noise = gap_of(evidence.own.losses, evidence.apart.losses, evidence.folds is not None, evidence.groups).noise
    rates = Rates(unseen, noise).of(metric, now).draws(scores["rate"])
    measured, at_hand = (
        straight.draws.means(np.array([size]))[:, 0] for size in (float(unseen.samples), of_loss.largest)
    )
    draws = Draws(
        smallest=of_loss.smallest,
        largest=of_loss.largest,
        level=1 - np.clip(now.draws(scores["level"], scores["metric"]) + rates * (measured - at_hand), 0.0, 1.0),
        slope=rates * of_loss.slope,
        exponent=of_loss.exponent,
        knots=of_loss.knots,
        wander=rates[:, None] * of_loss.wander if len(of_loss.knots) > 1 else of_loss.wander,
        noise=rates * of_loss.noise,
        noise_exponent=of_loss.noise_exponent,
    )
    return Curve(metric="accuracy", name=metric.name, sizes=loss.sizes, draws=draws)


def curve_of_r_squared(unseen: Regressed, loss: Curve) -> Curve:
    """R² on unseen samples, whose noise goes with that of the loss.

    Args:
        unseen: predictions for unseen samples.
        loss: the curve of the loss.
    """
    scores = _scores()
    variance = target_variance(unseen.targets, unseen.losses)
    return r_squared_curve(loss, variance.draws(skewed(scores["level"], unseen.losses), scores["metric"]))


@cache
def _scores() -> dict[str, Float64[np.ndarray, " draws"]]:
    """Independent standard normal numbers for each draw: the same for all curves, which are so paired.

    They are evenly spread, and each comes with its negative, so that medians are those of the distributions.
    """
    names = ("level", "slope", "exponent", "metric", "rate")
    points = ndtri(qmc.Sobol(len(names), seed=0).random(DRAWN // 2))
    return dict(zip(names, np.vstack([points, -points]).T, strict=True))
