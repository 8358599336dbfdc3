"""From loss to accuracy."""

import math

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.pilot import Pilot
from suffice.forecasting.slope import standard_error

SHARPER = np.geomspace(0.1, 100, 61)
"""Factors of the outputs at which loss and error rate are related."""


def error_rate(
    pilot: Pilot, places: Float64[np.ndarray, " places"], losses: Float64[np.ndarray, " places"]
) -> tuple[Float64[np.ndarray, " places"], Float64[np.ndarray, " places"]]:
    r"""The error rate of heads for k samples, whose loss is known, and its standard error.

    A part of the loss is miscalibration, which classifies nothing wrong: :math:`\frac12 \kappa \log^2 T(k)`, with T the
    temperature at which the loss is smallest. T(k) is taken to be on the line in 1/k through those of the halves and of
    nearly all, or to stay where there are no halves. The rest is the loss of probabilities that are true. By as much as
    it falls, these are taken to become sharper, all by the same factor, and the error rate to fall in proportion to
    what they let expect, the mean of :math:`1 - \max_c p_c`. Half of what the miscalibration makes out counts as an
    error of this, besides the noise of the error rate at hand.

    Args:
        pilot: what was measured.
        places: 1/k, 0 for the limit.
        losses: expected test loss there.
    """
    now, before = pilot.nearly_all, pilot.halves
    pace = 0.0
    if before is not None:
        pace = (before.temperature - now.temperature) / (1 / before.samples - 1 / now.samples)
    temperatures = np.maximum(now.temperature - pace * (1 / now.samples - places), now.temperature / 4)
    cost = now.cost_of_temperature / 2
    falls = now.losses.mean() - losses
    of_calibrated = falls + cost * (np.log(temperatures) ** 2 - math.log(now.temperature) ** 2)

    true_losses, true_rates = np.array([now.calibrated.sharpened(factor) for factor in SHARPER]).T
    as_now_loss, as_now_rate = now.calibrated.sharpened(1.0)

    def rate(falls: Float64[np.ndarray, " places"]) -> Float64[np.ndarray, " places"]:
        expected = np.interp(falls - as_now_loss, -true_losses, true_rates)
        rates: Float64[np.ndarray, " places"] = now.wrong.mean() / as_now_rate * expected
        return rates

    rates = rate(of_calibrated)
    return rates, np.hypot(standard_error(now.wrong), (rates - rate(falls)) / 2)
