r"""Which class to collect next: the gain from more samples of one class alone.

.. math:: L_{test} \approx L_\infty + \sum_c \frac{s_c}{n_c}, \qquad s_c = \pi_c^2 \, V_c
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.evidence import Evidence
from suffice.forecasting.head import Head, blocks
from suffice.forecasting.regression import Regressed
from suffice.forecasting.slopes import optimism_slope
from suffice.forecasting.slopes.best import best_outputs
from suffice.forecasting.slopes.traces import SOLVED, draws

LossesOfClasses = tuple[Float64[np.ndarray, " _"], Int64[np.ndarray, " _"]]
"""Losses of samples, and their classes, 0 to K - 1."""


OF_CLASSES = 4
"""Random vectors, in multiples of those for a slope: the error from them is a tenth to a third of the whole."""


@dataclass(frozen=True)
class ClassSlopes:
    r"""The part of the expected test loss that the noise of each class makes: :math:`s_c / n_c`.

    :math:`\pi_c` is the share of the class, and :math:`V_c` the cost of the noise of one of its gradients. More samples
    of one class are weighted so that the classes keep their shares in the objective, whose variance is then that of a
    stratified mean (J. Neyman, "On the two different aspects of the representative method", Journal of the Royal
    Statistical Society 1934).

    Attributes:
        counts: n_c, samples of each class at hand.
        values: s_c.
        errors: standard errors of these, for which samples of the class are at hand.

    Example:
        >>> slopes = ClassSlopes(np.array([50, 50]), np.array([3.0, 1.0]), np.array([0.0, 0.0]))
        >>> slopes.alone(50), slopes.alike(100), slopes.times[0]
        (array([0.03, 0.01]), 0.04, array([1.5, 0.5]))
    """

    counts: Int64[np.ndarray, " classes"]
    values: Float64[np.ndarray, " classes"]
    errors: Float64[np.ndarray, " classes"]

    def alone(self, more: int) -> Float64[np.ndarray, " classes"]:
        """The gain from m more samples of each class alone: s_c (1 / n_c - 1 / (n_c + m))."""
        return np.asarray(self.values * (1 / self.counts - 1 / (self.counts + more)))

    def alike(self, more: int) -> float:
        """The gain from as many more of all classes, in their present shares."""
        samples = self.counts.sum()
        return float((self.values / self.counts).sum() * (1 - samples / (samples + more)))

    @property
    def times(self) -> tuple[Float64[np.ndarray, " classes"], Float64[np.ndarray, " classes"]]:
        r"""The gain from the next sample of each class, relative to that of a random sample, with standard errors.

        It is :math:`V_c / \sum_j \pi_j V_j` at the samples at hand, and falls as :math:`1 / n_c^2`.
        """
        of_own = 1 / self.counts**2
        of_all = 1 / (self.counts * self.counts.sum())
        all_classes = max(float(self.values @ of_all), np.finfo(float).tiny)
        times = self.values * of_own / all_classes
        changes = (np.diag(of_own) - np.outer(times, of_all)) / all_classes
        return times, np.linalg.norm(changes * self.errors, axis=1)


def class_slopes(
    head: Head, outputs: Float64[np.ndarray, "samples outputs"], labels: Int64[np.ndarray, " samples"], seed: int = 0
) -> ClassSlopes:
    r"""The slopes of the classes, from the gradients of their samples.

    With :math:`g_i = J_i^T e_i` at the outputs given, :math:`C_c` their covariance within class c, and b and the third
    derivative :math:`\mathcal T` as in `suffice.forecasting.slopes.sandwich_slope`,

    .. math:: V_c = \tfrac12 \mathrm{Tr}(H^{-1} H_0 H^{-1} C_c) - \mathrm{Cov}_{i \in c}(h_i b, H^{-1} g_i)
            + \tfrac12 \mathcal T[b, H^{-1} C_c H^{-1}]

    These are the terms of the noise slope, one class after the other, and without what the classes differ by in their
    means: shares that are kept do not feel it. With random v of covariance H, :math:`q = H^{-1} v`,

    .. math:: V_c = \mathrm{E}_q \mathrm{Cov}_{i \in c} \left( g_i^T q, \; g_i^T r - b^T h_i q \right), \qquad
            r = \tfrac12 H^{-1} (H_0 + \mathcal T[b]) \, q

    so that two solutions for each draw do for all classes.

    Args:
        head: fitted to its samples.
        outputs: of each sample, at which its gradient is taken, as for `suffice.forecasting.slopes.sandwich_slope`.
        labels: 0 to K - 1, each at least twice.
        seed: random seed of the vectors.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import SquaredError
        >>> random = np.random.default_rng(0)
        >>> x, labels = random.normal(size=(4000, 5)), np.arange(4000) % 2
        >>> y = x.sum(1) + (1 + labels) * random.normal(size=4000)  # the second half has four times the variance
        >>> head = fit_head(x, SquaredError(y[:, None]), 1, penalty=1e-6)
        >>> class_slopes(head, head.outputs, labels).values.round()  # a quarter of 5 parameters times 1 and 4
        array([1., 5.])
    """
    residuals = head.loss.at(outputs).residuals
    random, root = np.random.default_rng(seed), np.sqrt(len(labels))
    # one vector, and then one block of samples, at a time: all together are (draws, samples, outputs)
    drawn = np.stack([head.pull(head.derivatives.draw(1, random)[0] * root) for _ in range(OF_CLASSES * draws(head))])
    penalised = np.sqrt(head.penalty) * random.choice([-1.0, 1.0], drawn.shape)
    changes = head.solve(drawn + penalised, SOLVED)
    bias = head.push(head.solve(head.penalty * head.weights, SOLVED))
    beside = changes.size // changes.shape[-2]
    sums = np.zeros_like(changes)
    for rows, x in blocks(head.features, beside):
        here, pushed = head.derivatives.take(rows), x @ changes
        sums += x.T @ (here.curvature(pushed) + here.bend(pushed, bias[rows]))
    answers = head.solve(sums / len(labels) / 2, SOLVED)
    own, other = np.empty((2, len(changes), len(labels)))
    for rows, x in blocks(head.features, beside):
        here, pushed = head.derivatives.take(rows), x @ changes
        own[:, rows] = (residuals[rows] * pushed).sum(-1)
        other[:, rows] = (residuals[rows] * (x @ answers)).sum(-1) - (here.curvature(bias[rows]) * pushed).sum(-1)
    noise = np.array([_covariance(own[:, of_class], other[:, of_class]) for of_class in _members(labels)])
    return _of_noise(np.bincount(labels), noise[:, 0], noise[:, 1])


def class_slopes_of(evidence: Evidence, slope: float, seed: int = 0) -> ClassSlopes | None:
    """The part of the test loss that the noise of each class makes: from gradients for heads, else from loss gaps.

    Args:
        evidence: what was measured.
        slope: s, of all classes together.
        seed: random seed of the vectors.

    Returns:
        None where it cannot be estimated, and of regressions.
    """
    own, unseen = evidence.own, evidence.unseen
    if isinstance(own, Regressed) or isinstance(unseen, Regressed):
        return None
    if evidence.head is not None:
        return class_slopes(evidence.head, best_outputs(evidence.head, evidence.apart.outputs), own.labels, seed)
    return class_slopes_of_gaps((own.losses, own.labels), (unseen.losses, unseen.labels), slope)


def class_slopes_of_gaps(own: LossesOfClasses, unseen: LossesOfClasses, slope: float) -> ClassSlopes | None:
    r"""The slopes of the classes of any model, from the gap between test and training loss of each class.

    To first order, a sample lowers its own loss by :math:`\frac1k g_i^\top H^{-1} g_i`, so the gap of a class measures
    the noise of its gradients, in the directions that the model can move:

    .. math:: V_c = s \; \frac{G_c}{\sum_j \pi_j G_j}, \qquad G_c = L_{test, c} - L_{train, c}

    Of heads on real data these are in the order of `class_slopes`, see `benchmarks/forecast/classes.py`.

    Args:
        own: losses and labels of the samples that the model was trained on, each class at least twice.
        unseen: of others, or of the same by models that were trained without them.
        slope: s, of all classes together.

    Returns:
        None where a class has fewer than two unseen samples, or where there is no gap.

    Example:
        >>> own, labels = np.array([0.1, 0.1, 0.1, 0.1]), np.array([0, 0, 1, 1])
        >>> slopes = class_slopes_of_gaps((own, labels), (np.array([0.2, 0.2, 0.4, 0.4]), labels), slope=8.0)
        >>> slopes.values  # a quarter of V_c
        array([1., 3.])
    """
    counts = np.bincount(own[1])
    of_unseen = np.bincount(unseen[1], minlength=len(counts))
    if of_unseen.min() < 2:
        return None
    samples = int(counts.sum())
    # only their ratios count, so k_f may be k
    gaps = [
        optimism_slope(own[0][own[1] == name], unseen[0][unseen[1] == name], samples, samples)
        for name in range(len(counts))
    ]
    noise, errors = (np.array([getattr(gap, what) for gap in gaps]) for what in ("value", "error"))
    total = float(counts @ noise) / samples
    if total <= 0:
        return None
    return _of_noise(counts, slope / total * noise, slope / total * errors)


def _of_noise(
    counts: Int64[np.ndarray, " classes"],
    noise: Float64[np.ndarray, " classes"],
    errors: Float64[np.ndarray, " classes"],
) -> ClassSlopes:
    """From V_c and their errors: at least those for normal gradients of two directions, as few samples hide a tail."""
    squares = np.square(counts / counts.sum())
    return ClassSlopes(counts, squares * noise, squares * np.maximum(errors, np.abs(noise) / np.sqrt(counts - 1)))


def _members(labels: Int64[np.ndarray, " samples"]) -> list[Int64[np.ndarray, " _"]]:
    return [np.flatnonzero(labels == name) for name in range(int(labels.max()) + 1)]


def _covariance(
    own: Float64[np.ndarray, "draws samples"], other: Float64[np.ndarray, "draws samples"]
) -> tuple[float, float]:
    """V_c and its standard error."""
    count = own.shape[1]
    products = (own - own.mean(1, keepdims=True)) * (other - other.mean(1, keepdims=True))
    of_samples = products.mean(0) * count / (count - 1)
    value = float(of_samples.mean())
    return value, float(of_samples.std(ddof=1)) / count**0.5
