r"""The slope s of the learning curve at one fitted head: :math:`L_{test}(k) \approx L_\infty + s / k`."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head
from suffice.forecasting.losses import Outputs

DRAWS = (4, 32)
"""Fewest and most random vectors of a trace."""

DRAWN = 10_000
"""Weights in all of them together: a trace is then off by 1 to 5%, far less than its slope may be."""

SOLVED = 0.03
"""Where solutions with the Hessian end; it changes slopes by about a percent."""


class Slope(NamedTuple):
    r"""s, with its standard error.

    Attributes:
        value: s.
        error: from random traces, or from the noise of losses.
    """

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


def geometric_mean(one: Slope, other: Slope, off: float) -> Slope:
    """Of two estimates that mostly err to different sides.

    Args:
        one, other: positive.
        off: what the mean is off, over how far it is from each of the two (in logarithms), besides their own errors.

    Example:
        >>> mean = geometric_mean(Slope(40.0, 0.0), Slope(10.0, 0.0), off=0.5)
        >>> round(mean.value), round(mean.error, 1)
        (20, 6.9)
    """
    value = math.sqrt(one.value * other.value)
    apart = off * math.log(one.value / value)
    own = math.hypot(one.error / one.value, other.error / other.value) / 2
    return Slope(value, value * math.hypot(apart, own))


def symmetric_slope(
    own: Float64[np.ndarray, " samples"], unseen: Float64[np.ndarray, " unseen"], samples: float
) -> Slope:
    r"""The slope with which test loss and training loss meet half-way: :math:`\tfrac k2 (L_{test} - L_{train})`.

    To first order the test loss is above its limit by :math:`\frac1{2k} \mathrm{Tr}(H^{-1} H_0 H^{-1} C)` and the
    training loss below it by as much, where there is no penalty. With one, the slope is smaller than this.

    Source: C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 1993; N. Murata, S.
    Yoshizawa, S. Amari, "Network Information Criterion", IEEE Transactions on Neural Networks 1994.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of samples by models that were trained without them: of the same samples, or of others.
        samples: k, of those models.

    Example:
        >>> symmetric_slope(np.array([0.1, 0.3]), np.array([0.5, 0.5]), samples=100).value
        15.0
    """
    gap = float(unseen.mean() - own.mean())
    paired = len(own) == len(unseen)
    error = standard_error(unseen - own) if paired else math.hypot(standard_error(unseen), standard_error(own))
    return Slope(samples * gap / 2, samples * error / 2)


def gcv_slope(
    own: Float64[np.ndarray, " samples"], unseen: Float64[np.ndarray, " unseen"], samples: float, directions: float
) -> Slope:
    r"""The slope by generalised cross-validation, for a fit that follows all directions open to it equally far.

    Generalised cross-validation has :math:`L_{train} = L_{test} (1 - \tau)^2` with :math:`\tau = \mathrm{df}_1 / k`,
    and what the noise of the fit costs is :math:`L_{test}\, \mathrm{df}_2 / k`, with the traces of the smoother and of
    its square. Where all its eigenvalues are the same :math:`\mathrm{df}_2 = \tau\, \mathrm{df}_1 / \rho`, with
    :math:`\rho` the number of directions over that of samples, at most 1; so

    .. math:: s = k L_{test}\, \tau \min(1, \tau / \rho), \qquad \tau = 1 - \sqrt{L_{train} / L_{test}}

    This is exact for least squares without a penalty, where :math:`\tau = \rho`. For large models it is a rule, since
    eigenvalues are not the same and losses are no squares: :math:`s = k (\sqrt{L_{test}} - \sqrt{L_{train}})^2`, far
    below `symmetric_slope` for a training that was stopped early, and twice that for one that knows its samples by
    heart.

    Source: P. Craven, G. Wahba, "Smoothing noisy data with spline functions", Numerische Mathematik 31 (1979); T.
    Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, section 7.10, for both.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of others, as for `symmetric_slope`.
        samples: k.
        directions: weights that move, over the free outputs of a sample.

    Example:
        >>> gcv_slope(np.array([0.25, 0.25]), np.array([1.0, 1.0]), samples=100, directions=1000).value
        25.0
    """
    symmetric = symmetric_slope(own, unseen, samples)
    tau = 1 - math.sqrt(min(1.0, float(own.mean() / unseen.mean())))
    value = samples * float(unseen.mean()) * tau * min(1.0, tau / min(1.0, directions / samples))
    # it goes with at most the square of the gap
    return Slope(value, 2 * value * symmetric.error / max(abs(symmetric.value), 1e-300))


def noise_slope(head: Head, outputs: Float64[np.ndarray, "samples outputs"], seed: int = 0) -> Slope:
    r"""The slope from the gradients of the samples, with the bias of the penalty.

    With :math:`g_i = J_i^T e_i` at the outputs given, C their covariance,
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
        outputs: of each sample, at which its gradient is taken. At those of the head itself C is too small, since the
            head has followed each sample; at those of heads that were fitted without it C is too large, since their own
            noise is in it.
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
    signs = random.choice([-1.0, 1.0], (draws(head), len(outputs), 1)) * np.sqrt(len(outputs))
    mean = head.pull(residuals)
    drawn = head.pull(signs * residuals) - signs.mean(1, keepdims=True) * mean
    changes = head.solve(drawn, SOLVED)
    pushed = head.push(changes)
    bias = head.push(head.solve(head.penalty * head.weights, SOLVED))
    bent = head.derivatives.curvature(bias)
    # E over signs of b^T (sum_i signs_i h_i) u is the sum over i of b^T h_i u_i
    drift = ((signs - signs.mean(1, keepdims=True)) * bent * pushed).mean(1).sum(-1)
    third = head.derivatives.third(pushed, bias).mean(-1)
    return _mean(_excess(head, pushed) - drift + third / 2)


def information_slope(head: Head, seed: int = 0) -> Slope:
    r"""The slope with C = H_0, as it is for a model that gives true probabilities: half of Tr[(H_0 H^-1)^2].

    It needs no residuals. It is too large where the model is less sure than it could be, as under a strong penalty on
    classes that are easy to tell. See `noise_slope` for the terms that it leaves out.

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
    residuals = head.derivatives.draw(draws(head), np.random.default_rng(seed)) * np.sqrt(len(head.features))
    changes = head.solve(head.pull(residuals), SOLVED)
    return _mean(_excess(head, head.push(changes)))


def draws(head: Head) -> int:
    """How many random vectors a trace takes."""
    return int(np.clip(DRAWN // head.weights.size, *DRAWS))


def _excess(head: Head, pushed: Outputs) -> Float64[np.ndarray, " draws"]:
    """Half of u^T H_0 u, from the changes of the outputs that u makes."""
    halves: Float64[np.ndarray, " draws"] = (pushed * head.derivatives.curvature(pushed)).sum(-1).mean(-1) / 2
    return halves


def _mean(of_draws: Float64[np.ndarray, " draws"]) -> Slope:
    return Slope(float(of_draws.mean()), float(of_draws.std(ddof=1) / np.sqrt(len(of_draws))))


def standard_error(values: Float64[np.ndarray, " samples"]) -> float:
    """Of the mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values)))
