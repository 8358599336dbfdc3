"""The combined slope: the geometric mean of two estimates whose errors mostly have opposite signs."""

import math

from suffice.forecasting.slopes.slope import Slope


def geometric_mean(one: Slope, other: Slope, off: float) -> Slope:
    """The geometric mean of two estimates whose errors mostly have opposite signs.

    Args:
        one, other: positive.
        off: error of the mean, relative to its distance from each of the two (in logarithms), besides their errors.

    Example:
        >>> mean = geometric_mean(Slope(40.0, 0.0), Slope(10.0, 0.0), off=0.5)
        >>> round(mean.value), round(mean.error, 1)
        (20, 6.9)
    """
    value = math.sqrt(one.value * other.value)
    apart = off * math.log(one.value / value)
    own = math.hypot(one.error / one.value, other.error / other.value) / 2
    return Slope(value, value * math.hypot(apart, own))
