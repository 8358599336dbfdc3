"""The pilot: what is measured at the samples at hand, and its estimators for a head."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.classes import ClassSlopes, class_slopes, class_slopes_of_gaps
from suffice.forecasting.head import Head, fit_head, refit
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import (
    FirstOrder,
    effective_dimension_slope,
    geometric_mean,
    optimism_slope,
    sandwich_slope,
)
from suffice.training.predictions import Predictions

PENALTIES = np.geomspace(1e-6, 1, 13)
"""Candidate penalties, relative to the mean squared norm of the features."""

ENOUGH = 24
"""Samples per class from which on the best outputs are estimated half-way between a head's in-sample and left-out ones.
With fewer samples the estimate moves towards the left-out ones in proportion: the loss between is not quadratic.

Chosen on the tuning tasks of `benchmarks/forecast`.
"""

APART = 0.5
"""Error of the mean of two slopes, relative to its distance from each; somewhat less on the tuning tasks."""


@dataclass(frozen=True)
class Pilot:
    """What was measured at the k_0 samples at hand.

    Attributes:
        samples: k_0.
        nearly_all: predictions for unseen samples, by models trained on all or nearly all of the others.
        halves: the same by models trained on half of the samples; None where there are none.
        estimators: of the gain by name, the default first.
        penalty: lambda on half of the squared weights, as the training had it or acted as if it had; None if unknown.
        own: predictions of the model for its training samples.
        head: the fit to all samples, where the models are heads.
        level_off: relative error of the loss on unseen samples, besides its noise.
        descent: decrease of the training loss by the best step along its gradient.
    """

    samples: int
    nearly_all: Predictions
    halves: Predictions | None
    estimators: Mapping[str, FirstOrder]
    penalty: float | None
    own: Predictions
    head: Head | None = None
    level_off: float = 0.0
    descent: float = 0.0

    @property
    def own_loss(self) -> float:
        """The training loss of the model."""
        return float(self.own.losses.mean())

    def class_slopes(self, seed: int = 0) -> ClassSlopes | None:
        """The part of the test loss that the noise of each class makes: from gradients for heads, else from loss gaps.

        None where it cannot be estimated.
        """
        if self.head is not None and self.halves is not None:
            return class_slopes(self.head, _best(self.head, self.nearly_all), self.nearly_all.labels, seed)
        slope = next(iter(self.estimators.values())).slope.value
        own, unseen = ((part.losses, part.labels) for part in (self.own, self.nearly_all))
        return class_slopes_of_gaps(own, unseen, slope)


def measure_pilot(
    features: Float64[np.ndarray, "samples columns"],
    labels: Int64[np.ndarray, " samples"],
    l2: float,
    seed: int = 0,
    others: tuple[Float64[np.ndarray, "others columns"], Int64[np.ndarray, " others"]] | None = None,
) -> Pilot:
    """Fits the head to all samples once, and from there to all but each fold and to each half.

    Args:
        features: an intercept is a column of ones.
        labels: 0 to K - 1, each at least twice.
        l2: the penalty on the mean loss.
        seed: random seed of the folds and the traces.
        others: features and labels of unseen samples for the level, in place of the folds.
    """
    classes = int(labels.max()) + 1
    head = fit_head(features, CrossEntropy(labels, classes), classes, l2)
    folds = min(FOLDS, len(labels))

    def predicted(folds: int) -> Predictions:
        return Predictions(len(labels) * (1 - 1 / folds), out_of_fold(head, labels, folds, seed), labels)

    nearly_all = predicted(folds)
    return Pilot(
        samples=len(labels),
        nearly_all=nearly_all if others is None else Predictions(len(labels), head.predict(others[0]), others[1]),
        halves=predicted(2) if others is None else None,
        estimators=_estimators(head, nearly_all, seed),
        penalty=l2,
        head=head,
        own=Predictions(len(labels), head.outputs, labels),
    )


def _estimators(head: Head, unseen: Predictions, seed: int) -> dict[str, FirstOrder]:
    r"""The slope by several estimators.

    - ``noise``: the sandwich, with residuals of approximately the best head.
    - ``information``: the effective dimension, C = H_0; too large for an underconfident model.
    - ``symmetric``: the optimism; too large where a penalty restrains the fit.
    - ``combined``: the geometric mean of ``noise`` and ``information``, of which one trusts the labels and the other
      the model.
    """
    slopes = {
        "noise": sandwich_slope(head, _best(head, unseen), seed),
        "information": effective_dimension_slope(head, seed),
        "symmetric": optimism_slope(head.loss.values(head.outputs), unseen.losses, len(head.outputs), unseen.samples),
    }
    if min(slopes["noise"].value, slopes["information"].value) > 0:
        slopes = {"combined": geometric_mean(slopes["noise"], slopes["information"], APART)} | slopes
    return {name: FirstOrder(name, len(head.outputs), slope) for name, slope in slopes.items()}


def _best(head: Head, unseen: Predictions) -> Float64[np.ndarray, "samples classes"]:
    """Approximately the outputs of the best head: between a head's in-sample and its left-out outputs.

    In-sample residuals are too small, since the head has fitted each sample; left-out residuals are too large, since
    they contain the noise of the head. To first order the best ones are half-way, as the best loss is
    (`optimism_slope`).
    """
    samples, classes = head.outputs.shape
    share = 1 - min(1.0, samples / classes / ENOUGH) / 2
    between: Float64[np.ndarray, "samples classes"] = (1 - share) * head.outputs + share * unseen.outputs
    return between


def choose_penalty(
    features: Float64[np.ndarray, "samples columns"], labels: Int64[np.ndarray, " samples"], seed: int = 0
) -> float:
    """The penalty with the smallest cross-validated loss.

    Candidates are tried from the largest on, each fit from where the last ended, until the loss rises.

    Args:
        features: an intercept is a column of ones.
        labels: 0 to K - 1, each at least twice.
        seed: random seed of the folds.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(60, 20))
        >>> y = (x[:, 0] + random.normal(size=60) > 0).astype(int)
        >>> 0.001 < choose_penalty(x, y) / 20 < 0.1
        True
    """
    classes = int(labels.max()) + 1
    loss = CrossEntropy(labels, classes)
    scale = float(np.square(features).sum(1).mean())
    head = fit_head(features, loss, classes, scale * PENALTIES[-1])
    best = (math.inf, head.penalty)
    for penalty in scale * PENALTIES[::-1]:
        head = refit(replace(head, penalty=float(penalty)))
        found = float(loss.values(out_of_fold(head, labels, FOLDS // 2, seed)).mean())
        if found > best[0]:
            break
        best = (found, head.penalty)
    return best[1]
