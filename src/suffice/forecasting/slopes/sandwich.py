r"""The sandwich slope of a head: :math:`\tfrac12 \mathrm{Tr}(H^{-1} H_0 H^{-1} C)` and the bias of the penalty."""

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head
from suffice.forecasting.slopes.slope import Slope
from suffice.forecasting.slopes.traces import SOLVED, excess, mean_of_draws, signed_gradients, signs_of


def sandwich_slope(head: Head, outputs: Float64[np.ndarray, "samples outputs"], seed: int = 0) -> Slope:
    r"""The slope from the gradients of the samples, with the bias of the penalty.

    With :math:`g_i = J_i^T e_i` at the outputs given, C their covariance,
    :math:`u_i = H^{-1} (g_i - \bar g)`, :math:`b = H^{-1} \lambda W` and the third derivative of the loss
    :math:`\mathcal T`,

    .. math:: s = \tfrac12 \mathrm{Tr}(H^{-1} H_0 H^{-1} C)
            - \mathrm{E}\, b^T h_i u_i + \tfrac12 \mathcal T[b, H^{-1} C H^{-1}]

    The first term is the classical one (N. Murata, S. Yoshizawa, S. Amari, "Network information criterion", IEEE
    Transactions on Neural Networks 1994, section IV), the cost of the noise of k gradients. The others are of the same
    order where there is a penalty: the minimum for k samples lies off that for all by O(1/k), and the gradient of the
    loss is not zero there but :math:`-\lambda W`. The traces are of random signs,
    :math:`v = k^{-1/2} \sum_i \epsilon_i (g_i - \bar g)`, one solution :math:`u = H^{-1} v` for each.

    Args:
        head: fitted to its samples.
        outputs: of each sample, at which its gradient is taken. At in-sample outputs C is too small, since the head has
            fitted each sample; at left-out outputs C is too large, since it contains the noise of the heads.
        seed: random seed of the signs.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import SquaredError
        >>> random = np.random.default_rng(0)
        >>> x, noise = random.normal(size=(2000, 5)), random.normal(size=(2000, 1))
        >>> head = fit_head(x, SquaredError(x.sum(1, keepdims=True) + noise), 1, penalty=1e-6)
        >>> round(sandwich_slope(head, head.outputs).value)  # 5 parameters, noise of variance 1: excess loss 5 / k
        5
    """
    residuals = head.loss.at(outputs).residuals
    changes = head.solve(signed_gradients(head, residuals, seed), SOLVED)
    bias = head.push(head.solve(head.penalty * head.weights, SOLVED))
    bent = head.derivatives.curvature(bias)
    of_penalty = []
    for signs, change in zip(signs_of(head, seed), changes, strict=True):
        pushed = head.push(change)
        # E over signs of b^T (sum_i signs_i h_i) u is the sum over i of b^T h_i u_i
        drift = ((signs - signs.mean()) * bent * pushed).mean(0).sum()
        of_penalty.append(head.derivatives.third(pushed, bias).mean() / 2 - drift)
    return mean_of_draws(excess(head, changes) + np.array(of_penalty))
