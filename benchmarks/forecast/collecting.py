"""How many samples a method asks for, so that the loss falls as far as it has to."""

import math

import numpy as np

from suffice.forecasting import CurveFit, sufficient_size

MOST = 10
"""Times the samples at hand: more are not collected in a round."""

EVEN = 0.01
"""The error of every loss that curves are fitted to, of which fits only see that they are alike."""

MARGINS = (0.0, 0.3, 0.5, 1.0)
"""Standard errors that are taken off the slope in the last round; before it less, in proportion to the rounds made."""

MARGIN = 0.5
"""Of these, what is told where one is told: on the tasks to tune on no single round of heads fails with it, and a tenth
of those of other models."""


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
