r"""The optimism slope: :math:`\tfrac k2 (L_{test} - L_{train})`."""

import math

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.slopes.slope import Slope, standard_error


def optimism_slope(
    own: Float64[np.ndarray, " samples"], unseen: Float64[np.ndarray, " unseen"], samples: float
) -> Slope:
    r"""The optimism slope: :math:`\tfrac k2 (L_{test} - L_{train})`.

    Without a penalty, to first order, the test loss is above its limit by
    :math:`\frac1{2k} \mathrm{Tr}(H^{-1} H_0 H^{-1} C)` and the training loss is below it by as much. With a penalty the
    slope is smaller than this.

    Source: C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 1993; N. Murata, S.
    Yoshizawa, S. Amari, "Network Information Criterion", IEEE Transactions on Neural Networks 1994.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of samples by models that were trained without them: of the same samples, or of others.
        samples: k, of those models.

    Example:
        >>> optimism_slope(np.array([0.1, 0.3]), np.array([0.5, 0.5]), samples=100).value
        15.0
    """
    gap = float(unseen.mean() - own.mean())
    paired = len(own) == len(unseen)
    error = standard_error(unseen - own) if paired else math.hypot(standard_error(unseen), standard_error(own))
    return Slope(samples * gap / 2, samples * error / 2)
