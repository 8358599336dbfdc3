"""The accuracy of a forecast, from its loss."""

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

    The loss has two parts. Miscalibration misclassifies nothing: it is the difference between the loss of the outputs
    and that of the outputs divided by T, the temperature at which the loss is smallest. T(k) is a line in 1/k through
    the temperatures of the halves and of nearly all samples; without halves, an excess of T over 1 vanishes as 1/k. The
    remainder is the loss of calibrated probabilities. As it falls, all probabilities become sharper by one factor, and
    the error rate falls in proportion to its expectation, the mean of :math:`1 - \max_c p_c`. The standard error
    combines the noise of the error rate at hand with half of the contribution of the miscalibration.

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
