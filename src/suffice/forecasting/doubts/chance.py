"""Is the model better than the class frequencies, or do the labels look random?"""

import math
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int64

from suffice.checks import Finding
from suffice.checks.registry import NOT_BETTER, RANDOM_LABELS

LEVEL = 0.05
"""The test's: so many models that have learned nothing pass."""

LITTLE = 0.02
"""Share of the entropy of the classes below which there is as good as nothing to explain."""

BOUND = 1.645
"""Standard errors to a one-sided 95% bound."""

OVER_FOLDS = 2.0
r"""Variance over that of permutations within folds. Outputs of one fold are made from the labels of the others, so with
outputs that are linear in the labels each pair (i, j) of samples in different folds is in the sum twice, as
:math:`y_i K_{ij} y_j`, and permutations within folds count it as two. Measured on random labels, softmax regressions of
7 kinds: standard deviations of 1.30 to 1.45 of the permutations'.
"""


def standardized_agreement(
    outputs: Float64[np.ndarray, "samples classes"],
    labels: Int64[np.ndarray, " samples"],
    fold: Int64[np.ndarray, " samples"] | None = None,
) -> float:
    r"""How much better outputs agree with labels than with permuted ones, in standard deviations.

    The statistic is the sum of the right classes' outputs, :math:`T = \sum_i z_{i, y_i}`, on which the likelihood
    depends at any temperature. Over all permutations of the labels within a fold of n samples, with
    :math:`a_{ij} = z_{i, y_j}` and d its doubly centred values,

    .. math:: E\,T = \frac1n \sum_{ij} a_{ij}, \qquad \mathrm{Var}\,T = \frac1{n - 1} \sum_{ij} d_{ij}^2

    and T is about normal. Folds add up. Class frequencies and constant outputs make no difference.

    Source: W. Hoeffding, "A combinatorial central limit theorem", Annals of Mathematical Statistics 1951.

    Args:
        outputs: logits of unseen samples.
        labels: their classes.
        fold: of each sample, where outputs are by models trained on the other folds: the variance is then twice that;
            None for a hold-out.

    Example:
        >>> z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> round(standardized_agreement(z, np.array([0, 0, 1, 1])), 3)
        1.732
    """
    hot = np.eye(outputs.shape[1])[labels]
    total, variance = 0.0, 0.0
    for part in [np.arange(len(labels))] if fold is None else [np.flatnonzero(fold == f) for f in np.unique(fold)]:
        z, y = outputs[part], hot[part]
        if len(part) < 2:
            continue
        # d = z_c y^T with both centred, so the sum of its squares is a trace of classes x classes
        z, y = z - z.mean(0), y - y.mean(0)
        total += float((z * y).sum())
        variance += float(((z.T @ z) * (y.T @ y)).sum()) / (len(part) - 1)
    return total / math.sqrt(variance * (1.0 if fold is None else OVER_FOLDS)) if variance > 0 else 0.0


def about_chance(
    outputs: Float64[np.ndarray, "samples classes"],
    labels: Int64[np.ndarray, " samples"],
    fold: Int64[np.ndarray, " samples"] | None = None,
    to_come: float = 0.0,
) -> Finding | None:
    r"""SUF028 and SUF029: a model that is not clearly better than the class frequencies.

    Where a standardised agreement is z, the model explains :math:`z^2 / 2n` nats a sample for a hold-out, and
    :math:`z^2 / n` for folds. With the bound z + 1.645 in its place, and with what the noise of its weights hides, this
    is the most that can be explained. Below 2% of the entropy of the classes the labels look random; otherwise it
    cannot be told yet.

    Args:
        outputs: logits of unseen samples.
        labels: their classes.
        fold: of each sample; None for a hold-out.
        to_come: what unlimited samples would lower the loss by, such as half of the loss gap.

    Example:
        >>> random = np.random.default_rng(0)
        >>> labels, outputs = random.integers(0, 2, 2000), random.normal(size=(2000, 2))
        >>> print(about_chance(outputs, labels))
        SUF028: on 2,000 unseen samples the model is no better than the class frequencies (p = 0.61), and at ...
        >>> about_chance(outputs + np.eye(2)[labels], labels)
    """
    z = standardized_agreement(outputs, labels, fold)
    p = NormalDist().cdf(-z)
    if p <= LEVEL:
        return None
    shares = np.bincount(labels) / len(labels)
    entropy = float(-np.log(shares[labels]).mean())
    nats = (max(z, 0.0) + BOUND) ** 2 / (len(labels) * (2 if fold is None else 1))
    share = (nats + max(to_come, 0.0)) / entropy if entropy > 0 else math.inf
    if share <= LITTLE:
        what = (
            f"on {len(labels):,} unseen samples the model is no better than the class frequencies (p = {p:.2g}), and "
            f"at most {share:.1%} of the classes' entropy can be explained: the labels look random"
        )
        return Finding(RANDOM_LABELS, what, "Check that labels and samples belong together")
    what = (
        f"with {len(labels):,} unseen samples the model is not clearly better than the class frequencies (p = {p:.2g})"
    )
    return Finding(NOT_BETTER, what, "Label more samples: it cannot be told yet whether there is anything to learn")
