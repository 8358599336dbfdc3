r"""Metrics of a classifier from its outputs: of samples whose labels are known, or expected where these are uncertain.

All take the logits z (samples, K) and for each sample the probabilities of its labels, :math:`q_{ic}`. Known labels are
rows with a single 1 (`known`), and a weight of a sample multiplies its row. Then the expected confusion matrix
:math:`C_{ac} = \sum_i q_{ia} [c = \arg\max_b z_{ib}]` takes the place of the confusion matrix, and a sample counts for
the area under the ROC curve of class c as :math:`q_{ic}` positive and :math:`\sum_a q_{ia} - q_{ic}` negative ones.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from suffice.errors import InputError, nearest

Outputs = Float64[np.ndarray, "samples classes"]
"""Logits z."""

Truth = Float64[np.ndarray, "samples classes"]
"""q: the probability of each label, times the weight of the sample."""

Confusion = Float64[np.ndarray, "classes classes"]
"""Weight of the samples of each class (rows), by the class that is predicted (columns)."""

Classes = Float64[np.ndarray, " classes"]
"""One number a class."""

RECALL = "recall of class "
"""Names of the metrics of one class begin so."""


class Metric(Protocol):
    """A metric between 0 and 1, higher is better."""

    @property
    def name(self) -> str:
        """Its name."""

    def __call__(self, outputs: Outputs, truth: Truth) -> float:
        """Its value.

        Raises:
            InputError: samples of which it is not defined.
        """


@runtime_checkable
class OfConfusion(Metric, Protocol):
    """A metric that reads the predicted classes alone."""

    def of(self, confusion: Confusion) -> float:
        """Its value for a confusion matrix, which may be an expected one; NaN where it is not defined."""

    def influence(self, confusion: Confusion) -> Confusion:
        r""":math:`\partial m / \partial C`: what one more sample in each cell does to it, 0 on average over samples."""


def known(labels: Int64[np.ndarray, " samples"], classes: int) -> Truth:
    """q of known labels: 1 for the label, 0 for the others.

    Example:
        >>> known(np.array([1, 0]), classes=2)
        array([[0., 1.],
               [1., 0.]])
    """
    return np.asarray(np.eye(classes)[labels])


def confusion(outputs: Outputs, truth: Truth) -> Confusion:
    """The confusion matrix, or the expected one: rows are labels, columns predictions; of equal logits the first is it.

    Example:
        >>> confusion(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), known(np.array([0, 0, 1]), 2))
        array([[1., 1.],
               [1., 0.]])
    """
    matrix: Confusion = truth.T @ np.eye(outputs.shape[1])[outputs.argmax(1)]
    return matrix


class _OfConfusion(ABC):
    @property
    @abstractmethod
    def name(self) -> str:
        """Its name."""

    def __call__(self, outputs: Outputs, truth: Truth) -> float:
        value = self.of(confusion(outputs, truth))
        if math.isnan(value):
            raise InputError(f"the {self.name} is not defined: there are no samples of it")
        return value

    @abstractmethod
    def of(self, confusion: Confusion) -> float:
        """As of every `OfConfusion`."""


@dataclass(frozen=True)
class Accuracy(_OfConfusion):
    """The share of the samples whose class is predicted.

    Example:
        >>> Accuracy().of(np.array([[3.0, 1.0], [0.0, 4.0]]))
        0.875
    """

    @property
    def name(self) -> str:
        return "accuracy"

    def of(self, confusion: Confusion) -> float:
        return float(np.trace(confusion) / confusion.sum())

    def influence(self, confusion: Confusion) -> Confusion:
        return np.asarray((np.eye(len(confusion)) - self.of(confusion)) / confusion.sum())


@dataclass(frozen=True)
class Recall(_OfConfusion):
    """The share of the samples of one class that are predicted as it.

    Example:
        >>> Recall(0).of(np.array([[3.0, 1.0], [0.0, 4.0]]))
        0.75
    """

    label: int

    @property
    def name(self) -> str:
        return f"{RECALL}{self.label}"

    def of(self, confusion: Confusion) -> float:
        return float(_recalls(confusion)[self.label])

    def influence(self, confusion: Confusion) -> Confusion:
        changes = np.zeros_like(confusion)
        changes[self.label] = _of_recalls(confusion)[self.label]
        return changes


@dataclass(frozen=True)
class BalancedAccuracy(_OfConfusion):
    """The mean of the recalls of the classes that have samples.

    Example:
        >>> BalancedAccuracy().of(np.array([[3.0, 1.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]))
        0.875
    """

    @property
    def name(self) -> str:
        return "balanced accuracy"

    def of(self, confusion: Confusion) -> float:
        return float(np.nanmean(_recalls(confusion)))

    def influence(self, confusion: Confusion) -> Confusion:
        return np.asarray(_of_recalls(confusion) / (confusion.sum(1) > 0).sum())


@dataclass(frozen=True)
class MacroF1(_OfConfusion):
    r"""The mean of :math:`F_1 = 2 TP / (2 TP + FP + FN)` of the classes that have samples or are predicted.

    A class that has samples and is never predicted, or that is predicted and has none, counts as 0.

    Example:
        >>> round(MacroF1().of(np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])), 4)
        0.7333
    """

    @property
    def name(self) -> str:
        return "macro F1"

    def of(self, confusion: Confusion) -> float:
        return float(np.nanmean(_f1(confusion)))

    def influence(self, confusion: Confusion) -> Confusion:
        every = confusion.sum(1) + confusion.sum(0)
        per_sample = _over(np.ones(len(every)), every, 0.0)
        lost = np.nan_to_num(_f1(confusion)) * per_sample
        return np.asarray((2 * np.diag(per_sample) - lost[:, None] - lost) / (every > 0).sum())


@dataclass(frozen=True)
class AUROC:
    r"""The probability that a sample of a class has a higher log-odds for it than one of the others; ties count half.

    With two classes that of class 1; with more the mean over the classes that have samples ("macro", one versus the
    rest). The log-odds are :math:`z_c - \log \sum_{a \ne c} e^{z_a}`, which orders samples as softmax does.

    Source: J. Hanley, B. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982).

    Example:
        >>> AUROC()(np.array([[0.0, 3.0], [0.0, 2.0], [0.0, 2.0], [0.0, 1.0]]), known(np.array([1, 1, 0, 0]), 2))
        0.875
    """

    @property
    def name(self) -> str:
        return "AUROC"

    def __call__(self, outputs: Outputs, truth: Truth) -> float:
        areas, _ = self.areas_and_influence(outputs, truth)
        return float(np.mean(list(areas.values())))

    def areas_and_influence(
        self, outputs: Outputs, truth: Truth
    ) -> tuple[dict[int, float], Float64[np.ndarray, " samples"]]:
        """The area of each class that has samples, and what one more of each sample does to their mean.

        That is the placement of the sample less the mean, over the samples of its kind.

        Source: E. DeLong, D. DeLong, D. Clarke-Pearson, "Comparing the areas under two or more correlated receiver
        operating characteristic curves", Biometrics 44 (1988).

        Raises:
            InputError: all samples are of one class.
        """
        classes, weights, odds = outputs.shape[1], truth.sum(1), log_odds(outputs)
        areas, changes = dict[int, float](), np.zeros(len(outputs))
        for label in [1] if classes == 2 else range(classes):
            positive = truth[:, label]
            negative = weights - positive
            if positive.sum() > 0 and negative.sum() > 0:
                below, above = placements(odds[:, label], positive, negative)
                area = areas[label] = float((positive * below).sum() / positive.sum())
                changes += positive * (below - area) / positive.sum() + negative * (above - area) / negative.sum()
        if not areas:
            raise InputError("the AUROC is not defined: all samples are of one class")
        return areas, changes / len(areas)


def log_odds(outputs: Outputs) -> Outputs:
    """Of each class: its logit less the logarithm of the sum of the exponentials of the others.

    Example:
        >>> log_odds(np.log([[1.0, 2.0, 5.0]])).round(3)
        array([[-1.946, -1.099,  0.511]])
    """
    # sums of what is before and after each class: 1 - p would lose the digits of a p near 1
    none = np.full((len(outputs), 1), -np.inf)
    before = np.hstack([none, np.logaddexp.accumulate(outputs[:, :-1], axis=1)])
    after = np.hstack([none, np.logaddexp.accumulate(outputs[:, :0:-1], axis=1)])[:, ::-1]
    odds: Outputs = outputs - np.logaddexp(before, after)
    return odds


def placements(
    scores: Float64[np.ndarray, " samples"],
    positive: Float64[np.ndarray, " samples"],
    negative: Float64[np.ndarray, " samples"],
) -> tuple[Float64[np.ndarray, " samples"], Float64[np.ndarray, " samples"]]:
    """For each score the share of the negatives below it, and that of the positives above it; equal ones count half.

    Example:
        >>> placements(np.array([3.0, 2.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0]))
        (array([1.  , 0.75, 0.75, 0.25]), array([0.25, 0.75, 0.75, 1.  ]))
    """
    _, rank = np.unique(scores, return_inverse=True)
    below, above = (np.bincount(rank, weights=weights) / weights.sum() for weights in (negative, positive))
    return (np.cumsum(below) - below / 2)[rank], (1 - np.cumsum(above) + above / 2)[rank]


def metric_named(name: str, classes: int) -> Metric:
    """The metric of that name: accuracy, balanced accuracy, macro F1, AUROC, recall of class C.

    Raises:
        InputError: an unknown name.

    Example:
        >>> metric_named("recall of class 1", classes=2)
        Recall(label=1)
    """
    every: list[Metric] = [Accuracy(), BalancedAccuracy(), MacroF1(), AUROC(), *map(Recall, range(classes))]
    named = {metric.name: metric for metric in every}
    if name not in named:
        known_names = [metric.name for metric in every[:4]] + [f"{RECALL}0 to {classes - 1}"]
        raise InputError(f'metric "{name}": must be one of {", ".join(known_names)}{nearest(name, list(named))}')
    return named[name]


def _recalls(confusion: Confusion) -> Classes:
    """NaN of a class that has no samples."""
    return _over(np.diag(confusion), confusion.sum(1), math.nan)


def _f1(confusion: Confusion) -> Classes:
    """NaN of a class that has no samples and is never predicted."""
    return _over(2 * np.diag(confusion), confusion.sum(1) + confusion.sum(0), math.nan)


def _of_recalls(confusion: Confusion) -> Confusion:
    """What one more sample in each cell does to the recall of its class; 0 of a class that has none."""
    away = np.eye(len(confusion)) - np.nan_to_num(_recalls(confusion))[:, None]
    return np.asarray(away * _over(np.ones(len(confusion)), confusion.sum(1), 0.0)[:, None])


def _over(numerator: Classes, denominator: Classes, otherwise: float) -> Classes:
    return np.asarray(
        np.divide(numerator, denominator, out=np.full(len(denominator), otherwise), where=denominator > 0)
    )
