"""How many samples a method asks for, so that the loss falls as far as it has to."""

import math

import numpy as np

from suffice.forecasting import CurveFit, sufficient_size
from suffice.results import Curve, LearningCurve

MOST = 10
"""Times the samples at hand: more are not collected in a round."""

EVEN = 0.01
"""The error of every loss that curves are fitted to, of which fits only see that they are alike."""

ASSURANCE = 0.9
"""What is told of heads where one is told."""

MARGIN = 0.5
"""Standard errors that are taken off the slope of fine-tuned models."""


def by_assurance(samples: int, level: float, fall: float, curve: LearningCurve, assurance: float) -> int:
    """From the equally likely curves of a forecast, with the level known."""
    if not isinstance(curve.loss, Curve):
        return _capped(samples, math.inf)
    if fall <= 0:
        return samples
    draws = curve.loss.draws.model_copy(update={"level": np.array([level]), "smallest": float(samples)})
    target = level - fall
    size = Curve(metric="loss", sizes=curve.loss.sizes, draws=draws).sufficient_size(target, assurance).size
    return _capped(samples, math.inf if size is None else size)


def by_slope(samples: int, fall: float, slope: float, error: float, margin: float) -> int:
    """From L(k) = L(k_0) - s (1 / k_0 - 1 / k), with a slope that is less by a margin of standard errors."""
    left = 1 / samples - fall / max(slope - margin * error, 1e-300)
    return _capped(samples, 1 / left if left > 0 else math.inf)


def by_fit(samples: int, fall: float, fit: CurveFit) -> int:
    """From a curve that was fitted to losses, from its value at the samples at hand on."""
    size = sufficient_size(fit, float(fit(np.array([float(samples)]))[0]) - fall, correction=0.0)
    return _capped(samples, math.inf if size is None else size)


def _capped(samples: int, asked: float) -> int:
    return math.ceil(min(max(asked, samples), MOST * samples))
