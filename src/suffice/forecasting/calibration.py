"""Predictions at the temperature at which their mean loss is smallest."""

import math
from functools import cached_property

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize_scalar

from suffice.training.predictions import Predictions

TEMPERATURES = (math.log(1e-2), math.log(1e2))
"""Logarithms of the smallest and the largest temperature that are tried."""


class Calibrated:
    """Predictions divided by their temperature T; above 1 the outputs are too sure.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.

    Example:
        >>> sure = Predictions(10, np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]]), np.array([0, 0, 0, 1]))
        >>> round(Calibrated(sure).temperature, 2)  # right in three of four: 4 / log 3
        3.64
    """

    def __init__(self, predictions: Predictions) -> None:
        self._given = predictions

    @cached_property
    def temperature(self) -> float:
        """The T at which the mean loss of z / T is smallest."""
        found = minimize_scalar(
            lambda log: float(self._at(math.exp(log)).losses.mean()), bounds=TEMPERATURES, method="bounded"
        )
        return math.exp(found.x)

    @cached_property
    def predictions(self) -> Predictions:
        """The outputs at this temperature, z / T."""
        return self._at(self.temperature)

    @property
    def losses(self) -> Float64[np.ndarray, " samples"]:
        """Cross-entropy of each sample at this temperature."""
        return self.predictions.losses

    def _at(self, temperature: float) -> Predictions:
        return Predictions(self._given.samples, self._given.outputs / temperature, self._given.labels)
