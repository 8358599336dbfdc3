r"""Degrees of freedom of a head: :math:`\mathrm{Tr}(H_0 H^{-1})` and :math:`\mathrm{Tr}[(H_0 H^{-1})^2]`."""

from typing import NamedTuple

from suffice.forecasting.head import Head
from suffice.forecasting.slopes.traces import SOLVED, drawn_gradients, excess, mean_of_draws


class DegreesOfFreedom(NamedTuple):
    r"""Of a fit with a penalty.

    Attributes:
        first: df_1 = :math:`\mathrm{Tr}(H_0 H^{-1})`, how far the fit follows its samples.
        second: df_2 = :math:`\mathrm{Tr}[(H_0 H^{-1})^2]`, what its noise costs; at most df_1.
        error: relative standard error of df_2 by the random vectors.
    """

    first: float
    second: float
    error: float


def degrees_of_freedom(head: Head, seed: int = 0) -> DegreesOfFreedom:
    r"""Both degrees of freedom, by random traces with the same vectors.

    Source: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, section 5.4.1.

    Args:
        head: fitted to its samples.
        seed: random seed of the vectors, as for `suffice.forecasting.slopes.effective_dimension_slope`.

    Example:
        >>> import numpy as np
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import SquaredError
        >>> x = np.eye(4).repeat(50, 0)  # H_0 is 2 / 4 in each of four directions
        >>> found = degrees_of_freedom(fit_head(x, SquaredError(np.ones((200, 1))), 1, penalty=0.5))
        >>> round(found.first), round(found.second)
        (2, 1)
    """
    vectors = drawn_gradients(head, seed)
    changes = head.solve(vectors, SOLVED)
    half = mean_of_draws(excess(head, changes))
    return DegreesOfFreedom(
        first=float((vectors * changes).sum((-2, -1)).mean()), second=2 * half.value, error=half.error / half.value
    )
