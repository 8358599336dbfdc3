"""Posteriors of metrics of few samples: of rates exactly, of others by coverage; never empty, never NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, norm

from suffice.forecasting.metrics import (
    AUROC,
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    MetricNow,
    Recall,
    metric_now,
)
from suffice.forecasting.metrics.now import LUCK
from suffice.training.predictions import Predictions

ENDS = np.array([0.05, 0.95])
EVERY = [Accuracy(), BalancedAccuracy(), MacroF1(), Recall(0), AUROC()]


def predicted(labels, named, classes):
    """Outputs that are sure of the classes named."""
    return Predictions(100, 6 * np.eye(classes)[named], np.asarray(labels))


@given(st.integers(1, 60), st.integers(0, 59), st.integers(2, 5))
def test_rates_have_the_posterior_of_jeffreys_of_as_many_samples(samples, wrong, classes):
    labels = np.append(np.zeros(samples, dtype=np.int64), np.arange(classes))
    named = labels.copy()
    named[: min(wrong, samples)] = 1
    unseen = predicted(labels, named, classes)
    for metric, right, of in (
        (Accuracy(), (labels == named).sum(), len(labels)),
        (Recall(0), ((labels == named) & (labels == 0)).sum(), samples + 1),
    ):
        expected = beta.ppf(ENDS, right / LUCK + 0.5, (of - right) / LUCK + 0.5)
        assert metric_now(unseen, metric).quantiles(ENDS) == pytest.approx(expected)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("each", [2, 20])
def test_where_nothing_is_wrong_the_interval_is_not_empty(metric, classes, each):
    labels = np.repeat(np.arange(classes), each)
    now = metric_now(predicted(labels, labels, classes), metric)
    low, high = now.quantiles(ENDS)
    assert now.value == 1.0
    assert 0.3 < low < 0.99 < high
    assert now.correlation == 0.0
    assert 1 - low < 4 / (each if isinstance(metric, Recall) else len(labels))


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_where_all_is_wrong_the_interval_is_not_empty_either(metric):
    labels = np.repeat([0, 1], 10)
    low, high = metric_now(predicted(labels, 1 - labels, 2), metric).quantiles(ENDS)
    assert 0 <= low < 0.01 < high < 0.5


@pytest.mark.parametrize("apart", [1.0, 2.5])
@pytest.mark.parametrize("metric", [BalancedAccuracy(), MacroF1(), AUROC()], ids=lambda metric: metric.name)
def test_intervals_hold_the_value_of_many_samples(metric, apart):
    """Two normal classes, 15 and 60 samples; without the variance of models the intervals are wider than they need."""
    random = np.random.default_rng(0)

    def drawn(few, many):
        labels = np.repeat([1, 0], [few, many])
        scores = apart * (labels - 0.5) + random.normal(size=len(labels))
        return Predictions(100, np.stack([0 * scores, scores], 1), labels)

    many = drawn(20_000, 80_000)
    true = metric_now(many, metric).value
    if isinstance(metric, AUROC):
        assert true == pytest.approx(norm.cdf(apart / np.sqrt(2)), abs=0.005)
    found = [metric_now(drawn(15, 60), metric).quantiles(ENDS) for _ in range(500)]
    inside = np.mean([low <= true <= high for low, high in found])
    assert 0.88 < inside < 1


def test_draws_have_the_posterior_and_go_with_the_noise_of_the_loss():
    now = MetricNow(0.97, 40.0, -0.7)
    normals, own = np.random.default_rng(0).normal(size=(2, 20_000))
    drawn = now.draws(normals, own)
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    assert np.quantile(drawn, shares) == pytest.approx(now.quantiles(shares), abs=0.003)
    assert drawn.mean() == pytest.approx(now.mean, abs=0.001)
    ranks = [values.argsort().argsort() for values in (drawn, normals)]
    # the correlation of ranks of two normal scores of correlation c is 6 / pi asin(c / 2)
    assert np.corrcoef(ranks)[0, 1] == pytest.approx(6 / np.pi * np.arcsin(-0.35), abs=0.02)


def test_errors_of_samples_go_with_their_losses():
    random = np.random.default_rng(0)
    z = random.normal(scale=2, size=(500, 3))
    unseen = Predictions(100, z, (z + random.gumbel(size=z.shape)).argmax(1))
    expected = np.corrcoef(unseen.right, unseen.losses)[0, 1]
    assert metric_now(unseen, Accuracy()).correlation == pytest.approx(expected)
    assert all(metric_now(unseen, metric).correlation < -0.3 for metric in EVERY)
