"""Random traces with the inverse Hessian of a head, as the slopes from its curvature take them."""

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head
from suffice.forecasting.losses import Outputs
from suffice.forecasting.slopes.slope import Slope

DRAWS = (4, 32)
"""Fewest and most random vectors of a trace."""

DRAWN = 10_000
"""Entries of all vectors together: the error of a trace is then 1 to 5%, far less than that of its slope."""

SOLVED = 0.03
"""Relative tolerance of solutions with the Hessian; it changes slopes by about a percent."""


def draws(head: Head) -> int:
    """How many random vectors a trace takes."""
    return int(np.clip(DRAWN // head.weights.size, *DRAWS))


def excess(head: Head, pushed: Outputs) -> Float64[np.ndarray, " draws"]:
    """Half of u^T H_0 u, from the changes of the outputs that u makes."""
    halves: Float64[np.ndarray, " draws"] = (pushed * head.derivatives.curvature(pushed)).sum(-1).mean(-1) / 2
    return halves


def mean_of_draws(of_draws: Float64[np.ndarray, " draws"]) -> Slope:
    """The mean over draws, with its standard error."""
    return Slope(float(of_draws.mean()), float(of_draws.std(ddof=1) / np.sqrt(len(of_draws))))
