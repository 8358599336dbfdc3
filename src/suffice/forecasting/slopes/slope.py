r"""The slope s of a learning curve, :math:`L(k) = L_\infty + s / k`, with its standard error."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64


class Slope(NamedTuple):
    r"""s, with its standard error.

    Attributes:
        value: s.
        error: standard error of s.
        with_level: correlation of that error with the error of the level.
    """

    value: float
    error: float
    with_level: float = 0.0


@dataclass(frozen=True)
class FirstOrder:
    r"""The curve :math:`L(k) = L_\infty + s / k`.

    Attributes:
        name: of the estimator.
        samples: k_0.
        slope: s.

    Example:
        >>> FirstOrder("noise", 100, Slope(20.0, 1.0)).gain(np.array([50.0, 200.0, np.inf]))
        array([-0.2,  0.1,  0.2])
    """

    name: str
    samples: int
    slope: Slope

    def gain(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """s (1 / k_0 - 1 / k) at each size."""
        return np.asarray(self.slope.value * (1 / self.samples - 1 / sizes))


def standard_error(values: Float64[np.ndarray, " samples"]) -> float:
    """Standard error of the mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values)))
