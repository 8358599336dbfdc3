"""Heads as producers of evidence: one fit to all samples, and from there to all but each fold and to each half."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.doubts import copies_of_rows, kept_together
from suffice.forecasting.evidence import Evidence, Outcome
from suffice.forecasting.head import Head, fit_head
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy, Outputs, SquaredError
from suffice.forecasting.regression import Regressed
from suffice.training.predictions import Predictions

Features = Float64[np.ndarray, "samples columns"]
"""Of samples; an intercept is a column of ones."""


def measure_head(
    features: Features,
    labels: Int64[np.ndarray, " samples"],
    l2: float,
    seed: int = 0,
    others: tuple[Float64[np.ndarray, "others columns"], Int64[np.ndarray, " others"]] | None = None,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Evidence:
    """Fits a softmax regression to all samples once, and from there to all but each fold and to each half.

    Copies stay in one fold and count once in k_0, unless samples repeat because few values are possible.

    Args:
        features: of the samples at hand.
        labels: 0 to K - 1, each at least twice.
        l2: the penalty on the mean loss.
        seed: random seed of the folds.
        others: features and labels of unseen samples for the level, beside the folds.
        groups: samples that stay in one fold, such as those of a patient.
    """
    classes = int(labels.max()) + 1
    head = fit_head(features, CrossEntropy(labels, classes), classes, l2)
    return _measured(
        head,
        features,
        strata=labels,
        free=classes - 1,
        outcome=lambda size, outputs: Predictions(size, outputs, labels),
        of_others=lambda size: None if others is None else Predictions(size, head.predict(others[0]), others[1]),
        seed=seed,
        grouped=groups,
    )


def measure_regression(
    features: Features,
    targets: Float64[np.ndarray, "samples outputs"],
    l2: float,
    seed: int = 0,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Evidence:
    r"""Fits a head by least squares to all samples, and to all but each fold and each half of them.

    The head minimises :math:`\frac1{kK} \sum_i ||W^T x_i - y_i||^2 + \frac{l_2}2 ||W||^2` with K outputs.

    Args:
        features: of the samples at hand.
        targets: see `suffice.forecasting.inputs.regression_targets`.
        l2: the penalty.
        seed: random seed of the folds.
        groups: samples that stay in one fold, such as those of one patient.
    """
    outputs = targets.shape[1]
    head = fit_head(features, SquaredError(targets), outputs, l2)
    return _measured(
        head,
        features,
        strata=np.zeros(len(targets), dtype=np.int64),  # folds at random
        free=outputs,
        outcome=lambda size, found: Regressed(size, found, targets),
        of_others=lambda size: None,
        seed=seed,
        grouped=groups,
    )


def _measured(
    head: Head,
    features: Features,
    strata: Int64[np.ndarray, " samples"],
    free: int,
    outcome: Callable[[float, Outputs], Outcome],
    of_others: Callable[[float], Outcome | None],
    seed: int,
    grouped: Int64[np.ndarray, " samples"] | None = None,
) -> Evidence:
    copies = copies_of_rows(features)
    groups = kept_together(copies, grouped)
    samples = len(features) if copies is None else copies.different
    different = samples if groups is None else len(np.unique(groups))

    def left_out(folds: int) -> Outcome:
        return outcome(samples * (1 - 1 / folds), out_of_fold(head, strata, folds, seed, groups))

    return Evidence(
        samples=samples,
        directions=head.weights.size / free,
        own=outcome(samples, head.outputs),
        folds=left_out(min(FOLDS, different)),
        halves=left_out(2),
        holdout=of_others(samples),
        head=head,
        penalty=head.penalty,
        copies=copies,
        grouped=grouped,
    )
