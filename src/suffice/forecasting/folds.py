"""What heads that were fitted without a sample say of it."""

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.head import Head, refit

FOLDS = 10

STATIONARY = 1e-3
"""Where the fit to the other folds ends: its objective is then within 1e-6 of the smallest, far below the noise."""


def out_of_fold(
    head: Head, labels: Int64[np.ndarray, " samples"], folds: int = FOLDS, seed: int = 0
) -> Float64[np.ndarray, "samples outputs"]:
    """The outputs of each sample by a head that was fitted to the other folds, from where the whole head is.

    Args:
        head: fitted to all its samples.
        labels: the folds have the classes in about the shares of the whole.
        folds: how many.
        seed: of the folds.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import CrossEntropy
        >>> x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 4
        >>> head = fit_head(x, CrossEntropy(y, 4), 4, penalty=0.1)
        >>> outputs = out_of_fold(head, y, folds=5)
        >>> bool(head.loss.values(outputs).mean() > head.loss.values(head.outputs).mean())
        True
    """
    outputs = np.empty_like(head.outputs)
    for fold in range(folds):
        held_out = np.flatnonzero(fold_of(labels, folds, seed) == fold)
        others = refit(head, np.setdiff1d(np.arange(len(labels)), held_out), STATIONARY)
        outputs[held_out] = head.features[held_out] @ others.weights
    return outputs


def fold_of(labels: Int64[np.ndarray, " samples"], folds: int, seed: int) -> Int64[np.ndarray, " samples"]:
    """Samples of a class, in a random order, one after the other to the next fold."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[by_class] = np.arange(len(labels)) % folds
    return fold
