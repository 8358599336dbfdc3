r"""What a metric is now: its value for unseen samples, and how far these few may be off, few errors or none included.

Influences :math:`d_i` of the samples give the standard error :math:`\sigma^2 = \sum_i d_i^2`. A metric m between 0 and
1 is then as sure as a rate of :math:`n_e = m (1 - m) / \sigma^2` samples, and has the posterior of such a rate under
Jeffreys' prior,

.. math:: m \sim \mathrm{Beta}\left(n_e m + \tfrac12,\; n_e (1 - m) + \tfrac12\right)

For the accuracy and for the recall of a class :math:`n_e` is the number of samples. For the others it is computed where
there is one sample more of each class, half of it right, so that the interval is not empty where all are right.

That is the noise of the samples. Models that are trained on other samples are better or worse: this makes the variance
`LUCK` times as large, and :math:`n_e` smaller by that.

Source: L. Brown, T. Cai, A. DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import ndtr
from scipy.stats import beta

from suffice.forecasting.metrics.values import AUROC, Confusion, Metric, OfConfusion, confusion, known
from suffice.training.predictions import Predictions

LUCK = 1.4
"""Variance of a metric about its mean over trainings, over that of the samples alone.

The mean over the metrics on the tuning data sets of ``benchmarks/forecast/metric_rates.py``; 1.1 for the accuracy, 1.4
to 1.5 for the others.
"""


@dataclass(frozen=True)
class MetricNow:
    r"""A metric at the samples at hand.

    Attributes:
        value: m of the unseen samples.
        worth: :math:`n_e` over `LUCK`, the samples of a rate that are as informative.
        correlation: of its noise with that of the mean loss of the same samples; mostly negative.

    Example:
        >>> none_wrong = MetricNow(1.0, 40.0, 0.0)
        >>> none_wrong.quantiles(np.array([0.05, 0.95])).round(3)
        array([0.953, 1.   ])
    """

    value: float
    worth: float
    correlation: float

    @property
    def mean(self) -> float:
        """Of its posterior."""
        return (self.worth * self.value + 0.5) / (self.worth + 1)

    def quantiles(self, shares: Float64[np.ndarray, " shares"]) -> Float64[np.ndarray, " shares"]:
        """Quantiles of its posterior."""
        found: Float64[np.ndarray, " shares"] = beta.ppf(
            shares, self.worth * self.value + 0.5, self.worth * (1 - self.value) + 0.5
        )
        return found

    def draws(
        self, normals: Float64[np.ndarray, " draws"], own: Float64[np.ndarray, " draws"]
    ) -> Float64[np.ndarray, " draws"]:
        """Draws of its posterior, that go with the noise of the mean loss.

        Args:
            normals: standard normal scores of the noise of the mean loss, one a draw: above 0 where the loss is higher.
            own: the same of the part that does not go with it.

        Example:
            >>> normals, own = np.random.default_rng(1).normal(size=(2, 4000))
            >>> drawn = MetricNow(0.8, 100.0, -0.6).draws(normals, own)
            >>> np.round([drawn.mean(), drawn.std(), np.corrcoef(drawn, normals)[0, 1]], 2)
            array([ 0.8 ,  0.04, -0.61])
        """
        return self.quantiles(ndtr(self.correlation * normals + np.sqrt(1 - self.correlation**2) * own))


def metric_now(unseen: Predictions, metric: Metric, groups: Int64[np.ndarray, " samples"] | None = None) -> MetricNow:
    """A metric of unseen samples, with its posterior.

    Args:
        unseen: out-of-fold predictions, or those of a hold-out.
        metric: which.
        groups: samples of one group, as copies are, count as one; None where each is on its own.

    Raises:
        InputError: a metric that is not defined for these samples, as the recall of a class that has none.

    Example:
        >>> from suffice.forecasting.metrics.values import Accuracy
        >>> unseen = Predictions(10, np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), np.array([0, 0, 1, 0]))
        >>> now = metric_now(unseen, Accuracy())
        >>> now.value, round(now.worth, 9), now.quantiles(np.array([0.05, 0.95])).round(2)
        (0.75, 2.857142857, array([0.29, 0.97]))
    """
    truth = known(unseen.labels, unseen.outputs.shape[1])
    if isinstance(metric, OfConfusion):
        value, matrix = metric(unseen.outputs, truth), confusion(unseen.outputs, truth)
        changes = metric.influence(matrix)[unseen.labels, unseen.outputs.argmax(1)]
        samples = _samples_of(metric, matrix)
    elif isinstance(metric, AUROC):
        areas, changes = metric.areas_and_influence(unseen.outputs, truth)
        value = float(np.mean(list(areas.values())))
        samples = _samples_of_areas(areas, float((changes**2).sum()), truth.sum(0))
    else:
        raise TypeError(f"no posterior is known of {metric.name}")
    return MetricNow(value, samples / LUCK / _design_effect(changes, groups), _correlation(changes, unseen.losses))


def _design_effect(changes: Float64[np.ndarray, " samples"], groups: Int64[np.ndarray, " samples"] | None) -> float:
    """The variance of a metric over that if all samples were independent.

    Source: the cluster-robust variance; L. Kish, "Survey Sampling", 1965, for the name.
    """
    if groups is None:
        return 1.0
    squares = float(np.square(changes).sum())
    if squares == 0:
        return len(groups) / len(np.unique(groups))
    return max(1.0, float(np.square(np.bincount(groups, weights=changes)).sum()) / squares)


def _samples_of(metric: OfConfusion, matrix: Confusion) -> float:
    """n_e of a metric of the confusion matrix, computed with one more sample of each class, half of it right."""
    classes, counts = len(matrix), matrix.sum(1)
    halves = np.full((classes, classes), 0.5 / (classes - 1))
    np.fill_diagonal(halves, 0.5)
    more = matrix + halves * (counts > 0)[:, None]
    value, changes = metric.of(more), metric.influence(more)
    reached = float((matrix.sum(1) * (changes != 0).any(1)).sum())
    added = float(((counts > 0) * (changes != 0).any(1)).sum())
    return value * (1 - value) / float((more * changes**2).sum()) * reached / (reached + added)


def _samples_of_areas(areas: dict[int, float], variance: float, counts: Float64[np.ndarray, " classes"]) -> float:
    """n_e of the mean of areas: by the variance that was found, or by the larger one to be expected of such areas.

    That is the one of J. Hanley and B. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143
    (1982), of exponential scores, at an area with one more sample of the smaller side that is placed half-way: it is
    not 0 where all samples are in order.
    """
    nearly, expected = 0.0, 0.0
    for label, area in areas.items():
        positive, negative = counts[label], counts.sum() - counts[label]
        fewer = min(positive, negative)
        a = (area * fewer + 0.5) / (fewer + 1)
        above, below = a / (2 - a) - a * a, 2 * a * a / (1 + a) - a * a
        spread = a * (1 - a) + (positive - 1) * above + (negative - 1) * below
        nearly, expected = nearly + a / len(areas), expected + spread / (positive * negative) / len(areas) ** 2
    return nearly * (1 - nearly) / max(variance, expected)


def _correlation(one: Float64[np.ndarray, " samples"], other: Float64[np.ndarray, " samples"]) -> float:
    """0 where one of them does not vary."""
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / size, -1, 1)) if size > 0 else 0.0
