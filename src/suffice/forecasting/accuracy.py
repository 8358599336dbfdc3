"""From loss to accuracy."""

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.pilot import Pilot
from suffice.forecasting.slopes import standard_error

LEAST = 4
"""The temperature is taken to fall to a quarter at most."""

SHARPER = np.geomspace(0.1, 100, 61)
"""Factors of the outputs at which loss and error rate are related."""


def error_rate(
    pilot: Pilot, inverse_sizes: Float64[np.ndarray, " inverse_sizes"], losses: Float64[np.ndarray, " inverse_sizes"]
) -> tuple[Float64[np.ndarray, " inverse_sizes"], Float64[np.ndarray, " inverse_sizes"]]:
    r"""The error rate of models for k samples, whose loss is known, and its standard error.

    A part of the loss is miscalibration, which classifies nothing wrong: what the outputs lose to themselves divided by
    T, the temperature at which the loss is smallest. T(k) is taken to be on the line in 1/k through those of the halves
    and of nearly all or, where there are no halves, to go from what is above 1 to 1 for ever more samples. The rest is
    the loss of probabilities that are true. By as much as it falls, these are taken to become sharper, all by the same
    factor, and the error rate to fall in proportion to what they let expect, the mean of :math:`1 - \max_c p_c`. Half
    of what the miscalibration makes out counts as an error of this, besides the noise of the error rate at hand.

    Args:
        pilot: what was measured.
        inverse_sizes: 1/k, 0 for the limit.
        losses: expected test loss there.
    """
    nearly_all, before = pilot.nearly_all, pilot.halves
    now = Calibrated(nearly_all)
    if before is None:
        pace = max(0.0, now.temperature - 1) * nearly_all.samples
    else:
        pace = (Calibrated(before).temperature - now.temperature) / (1 / before.samples - 1 / nearly_all.samples)
    temperatures = np.maximum(
        now.temperature - pace * (1 / nearly_all.samples - inverse_sizes), now.temperature / LEAST
    )
    falls = nearly_all.losses.mean() - losses
    left = np.array([now.miscalibration(temperature) for temperature in temperatures])
    of_calibrated = falls - (now.miscalibration(now.temperature) - left)
    # more samples do not make the probabilities that are true blunter
    of_calibrated = np.where(falls > 0, np.maximum(of_calibrated, 0.0), np.minimum(of_calibrated, 0.0))

    true_losses, true_rates = np.array([now.sharpened(factor) for factor in SHARPER]).T
    as_now_loss, as_now_rate = now.sharpened(1.0)

    def rate(falls: Float64[np.ndarray, " inverse_sizes"]) -> Float64[np.ndarray, " inverse_sizes"]:
        expected = np.interp(falls - as_now_loss, -true_losses, true_rates)
        rates: Float64[np.ndarray, " inverse_sizes"] = nearly_all.wrong.mean() / as_now_rate * expected
        return rates

    rates = rate(of_calibrated)
    return rates, np.hypot(standard_error(nearly_all.wrong), (rates - rate(falls)) / 2)
