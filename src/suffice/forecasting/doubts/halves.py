"""Does the forecast predict the fall of the loss from half of the samples to all?"""

import math

import numpy as np
from jaxtyping import Float64, Int64

from suffice.checks import Finding
from suffice.checks.registry import DISAGREEMENT
from suffice.forecasting.slopes.slope import standard_error

ERRORS = 4.5
"""Standard errors from which on two falls differ. The models of one half share their noise, which standard errors over
samples leave out: on sound samples the differences of heads have a standard deviation of 1.5 to 1.9 of these, and 1 of
300 is beyond 4.5."""


def about_halves(
    with_fewer: Float64[np.ndarray, " samples"],
    with_more: Float64[np.ndarray, " samples"],
    predicted: float,
    predicted_error: float,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Finding | None:
    """SUF027: the fall of the loss from the halves to nearly all samples is not the forecast's.

    Args:
        with_fewer: losses of unseen samples by models trained on half of the samples.
        with_more: losses of the same samples by models trained on nearly all.
        predicted: the forecast's fall.
        predicted_error: its standard error.
        groups: copies.

    Example:
        >>> before = np.random.default_rng(0).exponential(size=100)
        >>> print(about_halves(before, 0.5 * before, predicted=0.05, predicted_error=0.02))
        SUF027: from half of the samples to nearly all, the loss fell by 0.59; the forecast has 0.05: the curve has ...
        >>> about_halves(before, 0.9 * before, predicted=0.05, predicted_error=0.02)
    """
    falls = with_fewer - with_more
    if abs(falls.mean() - predicted) < ERRORS * math.hypot(standard_error(falls, groups), predicted_error):
        return None
    what = (
        f"from half of the samples to nearly all, the loss fell by {falls.mean():.3g}; the forecast has "
        f"{predicted:.3g}: the curve has another shape, or the trainings are not alike"
    )
    return Finding(DISAGREEMENT, what, "Check the forecast with the next samples before you trust it further")
