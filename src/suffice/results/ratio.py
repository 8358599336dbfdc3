"""Means over samples that weigh more or less, as ratios of two sums over samples."""

import numpy as np
from jaxtyping import Float64


def linearised(
    losses: Float64[np.ndarray, " samples"], weights: Float64[np.ndarray, " samples"]
) -> Float64[np.ndarray, " samples"]:
    r"""Values whose plain mean is the weighted mean of losses, and whose standard error is that of it.

    .. math:: v_i = L + \frac{n_i}{\bar n} (l_i - L), \quad L = \frac{\sum_i n_i l_i}{\sum_i n_i}

    Where the samples are drawn, and their weights with them, L is a ratio of two means; to first order its error is the
    mean of :math:`v_i - L`. So it is for differences of two such L with the same weights.

    Source: W. Cochran, "Sampling Techniques", 3rd edition, 1977, chapter 6.

    Args:
        losses: l_i.
        weights: n_i, positive, such as numbers of tokens.

    Example:
        >>> linearised(np.array([1.0, 2.0]), np.array([1.0, 3.0]))  # around (1 + 3 x 2) / 4
        array([1.375, 2.125])
    """
    relative = weights / weights.mean()
    mean = float((relative * losses).mean())
    found: Float64[np.ndarray, " samples"] = mean + relative * (losses - mean)
    return found
