r"""How fast a measured curve falls: its slope on log axes, and the effect of a moving average."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.signal import lfilter

from suffice.errors import InputError


class LogSlope(NamedTuple):
    """A slope on log axes with its standard error."""

    value: float
    error: float


def log_slope(sizes: Int64[np.ndarray, " sizes"], steps: Float64[np.ndarray, " sizes"]) -> LogSlope:
    r"""Ordinary least squares of :math:`\log` step on :math:`\log k`, with the standard error of the slope.

    The error takes the residuals as independent. Those of :math:`|L_{k+1} - L_k| = |l_{k+1} - L_k| / (k + 1)` are
    nearly so at log-spaced k: each has a sample :math:`l_{k+1}` of its own. At all k they are not, where the losses are
    skewed: the expected :math:`\log |l - L_k|` moves with :math:`L_k`, which neighbours share, and for squared normal
    errors the standard error of 2,000 samples comes out half of what it is.

    Args:
        sizes: k, log-spaced.
        steps: positive, one a size.

    Raises:
        InputError: fewer than 3 sizes, or a step that is not positive.

    Example:
        >>> k = np.array([10, 30, 100, 300, 1000])
        >>> slope = log_slope(k, 7 / k)
        >>> round(slope.value, 12), round(slope.error, 12)
        (-1.0, 0.0)
    """
    if len(sizes) < 3:
        raise InputError(f"{len(sizes)} sizes: a slope with its error needs at least 3")
    if not (steps > 0).all():
        raise InputError(
            "a step is zero: the losses of these samples are equal, and a slope on log axes has no meaning"
        )
    x, y = np.log(sizes), np.log(steps)
    x = x - x.mean()
    squares = float(x @ x)
    slope = float(x @ y) / squares
    residuals = y - y.mean() - slope * x
    return LogSlope(slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / squares)))


def moving_average(curve: Float64[np.ndarray, " sizes"], factor: float) -> Float64[np.ndarray, " sizes"]:
    r"""The exponential moving average :math:`v_k = f v_{k-1} + (1 - f) c_k`, which starts at :math:`v_1 = c_1`.

    It remembers the first values of a curve for about 1/(1 - f) steps, so what falls fast is drawn too high.

    Args:
        curve: c, at k = 1, 2, 3 ...
        factor: f, from 0 to below 1.

    Raises:
        InputError: a factor outside.

    Example:
        >>> k = np.arange(1, 501)
        >>> (moving_average(1 / k, 0.99) * k)[[99, 499]].round(1)  # against the true curve
        array([39. ,  4.8])
    """
    if not 0 <= factor < 1:
        raise InputError(f"factor = {factor}: must be at least 0 and below 1")
    smoothed, _ = lfilter([1 - factor], [1, -factor], curve, zi=[factor * curve[0]])
    return np.asarray(smoothed)
