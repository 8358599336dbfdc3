"""The penalty of a head where none is given: the one with the smallest cross-validated loss."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.doubts import copies_of_rows, kept_together
from suffice.forecasting.head import fit_head, refit
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy

PENALTIES = np.geomspace(1e-6, 1, 13)
"""Candidate penalties, relative to the mean squared norm of the features."""


def choose_penalty(
    features: Float64[np.ndarray, "samples columns"],
    labels: Int64[np.ndarray, " samples"],
    seed: int = 0,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> float:
    """The penalty with the smallest cross-validated loss.

    Candidates are tried from the largest on, each fit from where the last ended, until the loss rises.

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
    loss = CrossEntropy(labels, classes)
    groups = kept_together(copies_of_rows(features), groups)
    scale = float(np.square(features).sum(1).mean())
    head = fit_head(features, loss, classes, scale * PENALTIES[-1])
    best = (math.inf, head.penalty)
    for penalty in scale * PENALTIES[::-1]:
        head = refit(replace(head, penalty=float(penalty)))
        found = float(loss.values(out_of_fold(head, labels, FOLDS // 2, seed, groups)).mean())
        if found > best[0]:
            break
        best = (found, head.penalty)
    return best[1]
