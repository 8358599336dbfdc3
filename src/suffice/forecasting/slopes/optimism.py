r"""The optimism slope: :math:`(L_{test} - L_{train}) / (\tfrac1k + \tfrac1{k_f})`."""

import math

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.slopes.slope import Slope, standard_error


def optimism_slope(
    own: Float64[np.ndarray, " samples"],
    unseen: Float64[np.ndarray, " unseen"],
    samples: float,
    unseen_samples: float,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Slope:
    r"""The optimism slope: :math:`(L_{test} - L_{train}) / (\tfrac1k + \tfrac1{k_f})`.

    Without a penalty, to first order, the test loss of a model is above its limit by :math:`s / k`, with
    :math:`s = \tfrac12 \mathrm{Tr}(H^{-1} H_0 H^{-1} C)`, and its training loss is below the limit by as much. The
    models for unseen samples may have fewer samples than k, as those of folds have; then their test loss is above it by
    :math:`s / k_f`. With a penalty the slope is smaller than this.

    Source: C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 1993; N. Murata, S.
    Yoshizawa, S. Amari, "Network Information Criterion", IEEE Transactions on Neural Networks 1994.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of samples by models that were trained without them: of the same samples, or of others.
        samples: k, of the model for the own losses.
        unseen_samples: k_f, of the models for the unseen ones; of unequal folds the harmonic mean.
        groups: of the own samples; those of one count as one observation in the error.

    Example:
        >>> optimism_slope(np.array([0.1, 0.3]), np.array([0.5, 0.5]), 100, 100).value
        15.0
    """
    gap = float(unseen.mean() - own.mean())
    paired = len(own) == len(unseen)
    own_error = standard_error(own, groups)
    error = standard_error(unseen - own, groups) if paired else math.hypot(standard_error(unseen), own_error)
    apart = 1 / samples + 1 / unseen_samples
    return Slope(gap / apart, error / apart)
