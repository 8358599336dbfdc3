"""Heads as producers of evidence: one fit to all samples, and from there to all but each fold and to each half."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64, Int64

from suffice.forecasting.doubts import copies_of_rows, kept_together
from suffice.forecasting.evidence import Evidence, Outcome
from suffice.forecasting.head import Features, Head, fit_head
from suffice.forecasting.levels.folds import FOLDS, WithoutFold, heads_without_fold, mean_outputs, outputs_out_of_fold
from suffice.forecasting.losses import CrossEntropy, Outputs, SquaredError
from suffice.forecasting.recipes import AtPenalty, along_penalties
from suffice.forecasting.regression import Regressed
from suffice.forecasting.slopes.degrees_of_freedom import degrees_of_freedom
from suffice.results import Recipe
from suffice.training.predictions import Predictions

MOST_FOLDS = 100
"""Of regressions with nearly as many weights as samples."""


def measure_head(
    features: Features,
    labels: Int64[np.ndarray, " samples"],
    l2: float,
    seed: int = 0,
    others: tuple[Float[np.ndarray, "others columns"], Int64[np.ndarray, " others"]] | None = None,
    recipe: Recipe = "fixed",
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Evidence:
    """Fits a softmax regression to all samples once, and from there to all but each fold and to each half.

    Copies stay in one fold and count once in k_0, unless samples repeat because few values are possible.

    Args:
        features: of the samples at hand; an intercept is a column of ones.
        labels: 0 to K - 1, each at least twice.
        l2: the penalty on the mean loss.
        seed: random seed of the folds.
        others: features and labels of unseen samples for the level, beside the folds.
        recipe: which penalty heads of other sizes have; all but "fixed" need folds at other penalties as well.
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
        count=FOLDS,
        seed=seed,
        recipe=recipe,
        grouped=groups,
    )


def measure_regression(
    features: Features,
    targets: Float64[np.ndarray, "samples outputs"],
    l2: float,
    seed: int = 0,
    recipe: Recipe = "fixed",
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Evidence:
    r"""Fits a head by least squares to all samples, and to all but each fold and each half of them.

    The head minimises :math:`\frac1{kK} \sum_i ||W^T x_i - y_i||^2 + \frac{l_2}2 ||W||^2` with K outputs. There are ten
    folds, or more where weights are many, see `folds_of_regression`.

    Args:
        features: of the samples at hand; an intercept is a column of ones.
        targets: see `suffice.forecasting.inputs.regression_targets`.
        l2: the penalty.
        seed: random seed of the folds.
        recipe: as for `measure_head`.
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
        count=folds_of_regression(degrees_of_freedom(head).second / outputs, len(targets)),
        seed=seed,
        recipe=recipe,
        grouped=groups,
    )


def folds_of_regression(weights: float, samples: int) -> int:
    r"""How many folds the level of a regression needs: :math:`10 / (1 - p/k)^2`, and at most 100.

    The excess loss of least squares is proportional to p / (k - p) for p weights, and from k_f to k samples it falls by
    :math:`(1 - p/k)^{-2}` times what the first order in 1/k says. With so many folds that fall is as small as that of
    ten folds where weights are few. Measured with 100 weights and 150 samples: ten folds make the level 12% too high,
    60 folds 1% too low, and its 90% intervals hold in 77% and 92%.

    Args:
        weights: p, the effective number of weights of each output.
        samples: k.

    Example:
        >>> folds_of_regression(2, 300), folds_of_regression(50, 150), folds_of_regression(100, 150)
        (10, 22, 89)
    """
    left = max(1 - weights / samples, 0.0)
    return MOST_FOLDS if MOST_FOLDS * left**2 <= FOLDS else int(FOLDS / left**2)


def _measured(
    head: Head,
    features: Features,
    strata: Int64[np.ndarray, " samples"],
    free: int,
    outcome: Callable[[float, Outputs], Outcome],
    of_others: Callable[[float], Outcome | None],
    count: int,
    seed: int,
    grouped: Int64[np.ndarray, " samples"] | None,
    recipe: Recipe,
) -> Evidence:
    copies = copies_of_rows(features)
    groups = kept_together(copies, grouped)
    samples = len(features) if copies is None else copies.different
    different = samples if groups is None else len(np.unique(groups))

    def left_out(without: WithoutFold) -> Outcome:
        return outcome(samples * (1 - 1 / len(without)), outputs_out_of_fold(head, without))

    nearly_all, half = (heads_without_fold(head, strata, number, seed, groups) for number in (min(count, different), 2))
    folds, penalties = left_out(nearly_all), tuple[AtPenalty, ...]()
    if recipe != "fixed":
        penalties = along_penalties(head, folds.outputs, len(nearly_all), strata, free, samples, seed, groups)
    return Evidence(
        samples=samples,
        directions=head.weights.size / free,
        own=outcome(samples, head.outputs),
        folds=folds,
        halves=left_out(half),
        means=mean_outputs(head, nearly_all),
        holdout=of_others(samples),
        head=head,
        penalty=head.penalty,
        copies=copies,
        recipe=recipe,
        penalties=penalties,
        grouped=grouped,
    )
