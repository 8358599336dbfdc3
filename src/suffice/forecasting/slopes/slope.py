r"""The slope s of a learning curve, :math:`L(k) = L_\infty + s / k`, with its standard error."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64


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


def standard_error(
    values: Float64[np.ndarray, " samples"], groups: Int64[np.ndarray, " samples"] | None = None
) -> float:
    r"""Standard error of a mean over samples, of which those of one group count as one observation.

    .. math:: \frac1n \sqrt{\frac{G}{G - 1} \sum_g \Big( \sum_{i \in g} (v_i - \bar v) \Big)^2}

    Source: the cluster-robust variance of Liang and Zeger, "Longitudinal data analysis using generalized linear
    models", Biometrika 1986, of a mean.

    Args:
        values: one a sample.
        groups: 0 and up, such as those of copies or of patients; None where there are none.

    Example:
        >>> v = np.array([1.0, 2.0, 4.0])
        >>> bool(np.isclose(standard_error(np.tile(v, 5), np.tile(np.arange(3), 5)), standard_error(v)))
        True
    """
    if groups is None:
        return float(values.std(ddof=1) / math.sqrt(len(values)))
    sums = np.bincount(groups, weights=values - values.mean())[np.unique(groups)]
    return math.sqrt(len(sums) / (len(sums) - 1) * float(sums @ sums)) / len(values)
