"""From loss to accuracy."""

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.pilot import Pilot
from suffice.forecasting.slope import standard_error

LEAST = 4
"""The temperature is taken to fall to a quarter at most."""

SHARPER = np.geomspace(0.1, 100, 61)
"""Factors of the outputs at which loss and error rate are related."""


def error_rate(
    pilot: Pilot, places: Float64[np.ndarray, " places"], losses: Float64[np.ndarray, " places"]
) -> tuple[Float64[np.ndarray, " places"], Float64[np.ndarray, " places"]]:
    r"""The error rate of models for k samples, whose loss is known, and its standard error.

    A part of the loss is miscalibration, which classifies nothing wrong: what the outputs lose to themselves divided by
    T, the temperature at which the loss is smallest. T(k) is taken to be on the line in 1/k through those of the halves
    and of nearly all or, where there are no halves, to go from what is above 1 to 1 for ever more samples. The rest is
    the loss of probabilities that are true. By as much as it falls, these are taken to become sharper, all by the same
    factor, and the error rate to fall in proportion to what they let expect, the mean of :math:`1 - \max_c p_c`. Half
    of what the miscalibration makes out counts as an error of this, besides the noise of the error rate at hand.

    Args:
        pilot: what was measured.
        places: 1/k, 0 for the limit.
        losses: expected test loss there.
    """
    now, before = pilot.nearly_all, pilot.halves
    if before is None:
        pace = max(0.0, now.temperature - 1) * now.samples
    else:
        pace = (before.temperature - now.temperature) / (1 / before.samples - 1 / now.samples)
    temperatures = np.maximum(now.temperature - pace * (1 / now.samples - places), now.temperature / LEAST)
    falls = now.losses.mean() - losses
    left = np.array([now.miscalibration(temperature) for temperature in temperatures])
    of_calibrated = falls - (now.miscalibration(now.temperature) - left)
    # more samples do not make the probabilities that are true blunter
    of_calibrated = np.where(falls > 0, np.maximum(of_calibrated, 0.0), np.minimum(of_calibrated, 0.0))

    true_losses, true_rates = np.array([now.calibrated.sharpened(factor) for factor in SHARPER]).T
    as_now_loss, as_now_rate = now.calibrated.sharpened(1.0)

    def rate(falls: Float64[np.ndarray, " places"]) -> Float64[np.ndarray, " places"]:
        expected = np.interp(falls - as_now_loss, -true_losses, true_rates)
        rates: Float64[np.ndarray, " places"] = now.wrong.mean() / as_now_rate * expected
        return rates

    rates = rate(of_calibrated)
    return rates, np.hypot(standard_error(now.wrong), (rates - rate(falls)) / 2)
