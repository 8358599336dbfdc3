"""What all estimators of the gain have in common."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64


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
