"""The penalty of a head where none is given: the one with the smallest cross-validated loss."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.doubts import copies_of_rows, kept_together
from suffice.forecasting.head import Features, blocks, fit_head, refit
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy, OutputLoss, SquaredError

RISEN = 1.1
"""A loss so many times the smallest has risen in earnest: while a penalty is so strong that a head knows little but the
shares of the classes, the loss of folds can rise by a few percent before it falls."""

PENALTIES = np.geomspace(1e-6, 1, 13)
"""Candidate penalties, relative to the mean squared norm of the features."""


def choose_penalty(
    features: Features,
    labels: Int64[np.ndarray, " samples"],
    seed: int = 0,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> float:
    """The penalty with the smallest cross-validated loss.

    Candidates are tried from the largest on, each fit from where the last ended, until the loss has risen by a tenth.

    Args:
        features: an intercept is a column of ones.
        labels: 0 to K - 1, each at least twice.
        seed: random seed of the folds.
        groups: samples that stay in one fold.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(60, 20))
        >>> y = (x[:, 0] + random.normal(size=60) > 0).astype(int)
        >>> 0.001 < choose_penalty(x, y) / 20 < 0.1
        True
    """
    classes = int(labels.max()) + 1
    return _chosen(features, CrossEntropy(labels, classes), classes, labels, seed, groups)


def choose_regression_penalty(
    features: Features,
    targets: Float64[np.ndarray, "samples outputs"],
    seed: int = 0,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> float:
    """The penalty of a head that is fitted by least squares, likewise; the folds are random.

    Args:
        features: an intercept is a column of ones.
        targets: less their mean, and of about unit variance.
        seed: random seed of the folds.
        groups: samples that stay in one fold, such as those of one patient.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(60, 20))
        >>> y = x[:, :1] + random.normal(size=(60, 1))
        >>> 0.0001 < choose_regression_penalty(x, y) / 20 < 0.1
        True
    """
    strata = np.zeros(len(targets), dtype=np.int64)
    return _chosen(features, SquaredError(targets), targets.shape[1], strata, seed, groups)


def _chosen(
    features: Features,
    loss: OutputLoss,
    outputs: int,
    strata: Int64[np.ndarray, " samples"],
    seed: int,
    groups: Int64[np.ndarray, " samples"] | None,
) -> float:
    groups = kept_together(copies_of_rows(features), groups)
    scale = sum(float(np.square(x).sum()) for _, x in blocks(features)) / len(features)
    head = fit_head(features, loss, outputs, scale * PENALTIES[-1])
    best = (math.inf, head.penalty)
    for penalty in scale * PENALTIES[::-1]:
        head = refit(replace(head, penalty=float(penalty)))
        found = float(loss.values(out_of_fold(head, strata, FOLDS // 2, seed, groups)).mean())
        if found > RISEN * best[0]:
            break
        best = min(best, (found, head.penalty))
    return best[1]
