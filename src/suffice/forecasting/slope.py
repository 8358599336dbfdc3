r"""The slope s of the learning curve at one fitted head: :math:`L_{test}(k) \approx L_\infty + s / k`."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head
from suffice.forecasting.losses import Outputs

DRAWS = 32
"""Random vectors of a trace."""


class Slope(NamedTuple):
    """s, with the standard error of its random traces."""

    value: float
    error: float


@dataclass(frozen=True)
class FirstOrder:
    r"""The curve :math:`L(k) = L_\infty + s / k`, with the slope that the curvature at one fit tells.

    Attributes:
        name: of what the slope comes from.
        samples: k_0.
        slope: s.

    Example:
        >>> FirstOrder("noise", 100, Slope(20.0, 1.0)).gain(np.array([50.0, 200.0, np.inf]))
        array([-0.2,  0.1,  0.2])
    """

    name: str
    samples: int
    slope: Slope

    def gain(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """s (1 / k_0 - 1 / k) at each size."""
        return np.asarray(self.slope.value * (1 / self.samples - 1 / sizes))


def noise_slope(head: Head, outputs: Float64[np.ndarray, "samples outputs"], seed: int = 0) -> Slope:
    r"""The slope from the gradients of the samples, with the bias of the penalty.

    With :math:`g_i = J_i^T e_i` at outputs that a head without sample i gives, C their covariance,
    :math:`u_i = H^{-1} (g_i - \bar g)`, :math:`b = H^{-1} \lambda W` and the third derivative of the loss
    :math:`\mathcal T`,

    .. math:: s = \tfrac12 \mathrm{Tr}(H^{-1} H_0 H^{-1} C)
            - \mathrm{E}\, b^T h_i u_i + \tfrac12 \mathcal T[b, H^{-1} C H^{-1}]

    The first term is the classical one (N. Murata, S. Yoshizawa, S. Amari, "Network information criterion", IEEE
    Transactions on Neural Networks 1994, section IV), what the noise of k gradients costs. The others are of the same
    order where there is a penalty: the minimum for k samples lies off that for all by O(1/k), and the gradient of the
    loss is not zero there but :math:`-\lambda W`. The traces are of random signs,
    :math:`v = k^{-1/2} \sum_i \epsilon_i (g_i - \bar g)`, one solution :math:`u = H^{-1} v` for each.

    Args:
        head: fitted to its samples.
        outputs: of each sample, by heads that were fitted without it. Those of the head itself give a C that is too
            small by as much as the head is fitted to each sample.
        seed: of the signs.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import SquaredError
        >>> random = np.random.default_rng(0)
        >>> x, noise = random.normal(size=(2000, 5)), random.normal(size=(2000, 1))
        >>> head = fit_head(x, SquaredError(x.sum(1, keepdims=True) + noise), 1, penalty=1e-6)
        >>> round(noise_slope(head, head.outputs).value)  # 5 parameters, noise of variance 1: excess loss 5 / k
        5
    """
    residuals = head.loss.at(outputs).residuals
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], (DRAWS, len(outputs), 1)) * np.sqrt(len(outputs))
    mean = head.pull(residuals)
    changes = head.solve(head.pull(signs * residuals) - signs.mean(1, keepdims=True) * mean)
    pushed = head.push(changes)
    bias = head.push(head.solve(head.penalty * head.weights))
    bent = head.derivatives.curvature(bias)
    # E over signs of b^T (sum_i signs_i h_i) u is the sum over i of b^T h_i u_i
    drift = ((signs - signs.mean(1, keepdims=True)) * bent * pushed).mean(1).sum(-1)
    third = head.derivatives.third(pushed, bias).mean(-1)
    return _mean(_excess(head, pushed) - drift + third / 2)


def information_slope(head: Head, seed: int = 0) -> Slope:
    r"""The slope with C = H_0, as it is for a model that gives true probabilities: half of Tr[(H_0 H^-1)^2].

    It needs no residuals, and errs to the safe side where there are few samples for each parameter. See
    `noise_slope` for the terms that it leaves out.

    Args:
        head: fitted to its samples.
        seed: of the random vectors, :math:`v = k^{-1/2} \sum_i J_i^T a_i` with a of covariance S_i.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import CrossEntropy
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(500, 5))
        >>> head = fit_head(x, CrossEntropy(random.integers(3, size=500), 3), 3, penalty=1e-5)
        >>> round(2 * information_slope(head).value)  # 5 features, 3 classes: 10 free weights
        10
    """
    drawn = head.derivatives.draw(DRAWS, np.random.default_rng(seed)) * np.sqrt(len(head.features))
    return _mean(_excess(head, head.push(head.solve(head.pull(drawn)))))


def _excess(head: Head, pushed: Outputs) -> Float64[np.ndarray, " draws"]:
    """Half of u^T H_0 u, from the changes of the outputs that u makes."""
    halves: Float64[np.ndarray, " draws"] = (pushed * head.derivatives.curvature(pushed)).sum(-1).mean(-1) / 2
    return halves


def _mean(of_draws: Float64[np.ndarray, " draws"]) -> Slope:
    return Slope(float(of_draws.mean()), float(of_draws.std(ddof=1) / np.sqrt(len(of_draws))))
