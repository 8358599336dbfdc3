"""The slope by generalised cross-validation, from the losses of a model's own samples and of others."""

import math

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.forecasting.slopes.slope import Slope


def gcv_slope(
    own: Float64[np.ndarray, " samples"],
    unseen: Float64[np.ndarray, " unseen"],
    samples: float,
    unseen_samples: float,
    directions: float,
) -> Slope:
    r"""The slope by generalised cross-validation, for a fit with equal leverage in all its directions.

    Generalised cross-validation has :math:`L_{train} = L_{test} (1 - \tau)^2` with :math:`\tau = \mathrm{df}_1 / k`,
    and the noise of the fit costs :math:`L_{test}\, \mathrm{df}_2 / k`, with the traces of the smoother and of
    its square. Where all its eigenvalues are the same :math:`\mathrm{df}_2 = \tau\, \mathrm{df}_1 / \rho`, with
    :math:`\rho` the number of directions over that of samples, at most 1; so

    .. math:: s = k L_{test}\, \tau \min(1, \tau / \rho), \qquad \tau = 1 - \sqrt{L_{train} / L_{test}}

    This is exact for least squares without a penalty, where :math:`\tau = \rho`. For large models it is a rule, since
    eigenvalues are not the same and losses are no squares: :math:`s = k (\sqrt{L_{test}} - \sqrt{L_{train}})^2`, far
    below `optimism_slope` for a training that was stopped early, and twice that for one that interpolates. A test loss
    with fewer than k samples is first brought to k by the optimism slope.

    Source: P. Craven, G. Wahba, "Smoothing noisy data with spline functions", Numerische Mathematik 31 (1979); T.
    Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, section 7.10, for both.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of others, as for `optimism_slope`.
        samples: k, of the model for the own losses.
        unseen_samples: k_f, of the models for the unseen ones.
        directions: weights that move, over the free outputs of a sample.

    Example:
        >>> gcv_slope(np.array([0.25, 0.25]), np.array([1.0, 1.0]), 100, 100, directions=1000).value
        25.0
    """
    optimism = optimism_slope(own, unseen, samples, unseen_samples)
    test_loss = float(unseen.mean()) - optimism.value * (1 / unseen_samples - 1 / samples)
    tau = 1 - math.sqrt(min(1.0, float(own.mean()) / test_loss))
    value = samples * test_loss * tau * min(1.0, tau / min(1.0, directions / samples))
    # it goes with at most the square of the gap
    return Slope(value, 2 * value * optimism.error / max(abs(optimism.value), 1e-300))
