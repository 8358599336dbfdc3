"""Heads as producers of evidence: one fit to all samples, and from there to all but each fold and to each half."""

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.doubts import copies_of_rows
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.head import fit_head
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.training.predictions import Predictions


def measure_head(
    features: Float64[np.ndarray, "samples columns"],
    labels: Int64[np.ndarray, " samples"],
    l2: float,
    seed: int = 0,
    others: tuple[Float64[np.ndarray, "others columns"], Int64[np.ndarray, " others"]] | None = None,
) -> Evidence:
    """Fits the head to all samples once, and from there to all but each fold and to each half.

    Copies stay in one fold and count once in k_0, unless samples repeat because few values are possible.

    Args:
        features: an intercept is a column of ones.
        labels: 0 to K - 1, each at least twice.
        l2: the penalty on the mean loss.
        seed: random seed of the folds.
        others: features and labels of unseen samples for the level, beside the folds.
    """
    classes = int(labels.max()) + 1
    head = fit_head(features, CrossEntropy(labels, classes), classes, l2)
    copies = copies_of_rows(features)
    groups = None if copies is None else copies.together
    samples = len(labels) if copies is None else copies.different

    def predicted(folds: int) -> Predictions:
        return Predictions(samples * (1 - 1 / folds), out_of_fold(head, labels, folds, seed, groups), labels)

    return Evidence(
        samples=samples,
        directions=head.weights.size / (classes - 1),
        own=Predictions(samples, head.outputs, labels),
        folds=predicted(min(FOLDS, samples)),
        halves=predicted(2),
        holdout=None if others is None else Predictions(samples, head.predict(others[0]), others[1]),
        head=head,
        penalty=l2,
        copies=copies,
    )
