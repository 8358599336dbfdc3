"""What all estimators of the gain have in common."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

STEP = 1e-3
"""Relative step in k of the difference quotient for a slope."""


@runtime_checkable
class Estimator(Protocol):
    """An estimate, from a pilot of k0 samples, of the test loss of models trained on k samples.

    It gives the gain alone. The level L(k0) is measured, and is the same for all estimators that are compared.
    """

    @property
    def name(self) -> str:
        """Its name, for people."""

    @property
    def samples(self) -> int:
        """k0: the size of the pilot."""

    def gain(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """L(k0) - L(k): how far the expected test loss falls from k0 to each size k; negative below k0."""


def slope_of(estimator: Estimator) -> float:
    """The slope of its curve against 1/k at k_0.

    Example:
        >>> from suffice.forecasting.slopes import FirstOrder, Slope
        >>> round(slope_of(FirstOrder("noise", 100, Slope(20.0, 1.0))), 6)
        20.0
    """
    ahead = (1 + STEP) * estimator.samples
    return float(estimator.gain(np.array([ahead]))[0] / (1 / estimator.samples - 1 / ahead))
