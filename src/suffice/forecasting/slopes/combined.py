"""The combined slope: the geometric mean of two estimates that mostly err to different sides."""

import math

from suffice.forecasting.slopes.slope import Slope


def geometric_mean(one: Slope, other: Slope, off: float) -> Slope:
    """Of two estimates that mostly err to different sides.

    Args:
        one, other: positive.
        off: what the mean is off, over how far it is from each of the two (in logarithms), besides their own errors.

    Example:
        >>> mean = geometric_mean(Slope(40.0, 0.0), Slope(10.0, 0.0), off=0.5)
        >>> round(mean.value), round(mean.error, 1)
        (20, 6.9)
    """
    value = math.sqrt(one.value * other.value)
    apart = off * math.log(one.value / value)
    own = math.hypot(one.error / one.value, other.error / other.value) / 2
    return Slope(value, value * math.hypot(apart, own))
