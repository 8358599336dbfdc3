"""Rates at which metrics rise as the loss falls, against retrainings and by their invariances."""

import numpy as np
import pytest

from suffice.forecasting.head import fit_head
from suffice.forecasting.levels.folds import out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.metrics import (
    AUROC,
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    Rates,
    Recall,
    known,
    metric_now,
)
from suffice.forecasting.metrics.rate import ALWAYS, FROM_NOISE, LEAST
from suffice.training.predictions import Predictions

EVERY = [Accuracy(), BalancedAccuracy(), MacroF1(), AUROC()]


def classified(samples, seed, classes=3, columns=12):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    return x, (1.5 * x[:, :classes] + [0.8, 0, 0] + random.gumbel(size=(samples, classes))).argmax(1)


@pytest.mark.parametrize(("l2", "within"), [(0.001, 0.3), pytest.param(0.03, 0.3, marks=pytest.mark.deep), (0.1, 0.6)])
def test_rises_of_logistic_regression_are_those_of_many_retrainings(l2, within):
    """From 150 samples to 600, with the fall of the loss as it is; under a strong penalty by up to half."""
    pilot, more, test = 150, 600, classified(6000, 10**6)
    truth = known(test[1], 3)

    def tested(samples, seed):
        x, y = classified(samples, seed)
        z = fit_head(x, CrossEntropy(y, 3), 3, l2).predict(test[0])
        return [CrossEntropy(test[1], 3).values(z).mean(), *(metric(z, truth) for metric in EVERY)]

    before, after = (np.mean([tested(k, seed) for seed in range(25)], 0) for k in (pilot, more))
    fall, rises = before[0] - after[0], after[1:] - before[1:]
    found = []
    for seed in range(20):
        x, y = classified(pilot, 1000 + seed)
        head = fit_head(x, CrossEntropy(y, 3), 3, l2)
        unseen = Predictions(0.9 * pilot, out_of_fold(head, y, 10, seed), y)
        rates = Rates(unseen, noise=0.1)
        found.append([rates.of(metric, metric_now(unseen, metric)) for metric in EVERY])
    errors = np.log(np.median([[of.value for of in one] for one in found], 0) * fall / rises)
    assert np.abs(errors).max() < within
    assert (np.abs(errors) < [1.645 * of.error for of in found[0]]).all()


@pytest.mark.parametrize("metric", [*EVERY, Recall(1)], ids=lambda metric: metric.name)
def test_a_loss_of_outputs_that_are_larger_changes_as_much_more(metric):
    """Metrics do not depend on the size of the outputs, and their rate is inverse to it."""
    random = np.random.default_rng(0)
    z = random.normal(scale=1.5, size=(400, 3))
    labels = (z + random.gumbel(size=z.shape)).argmax(1)
    one, other = (Predictions(360, factor * z, labels) for factor in (1.0, 2.5))
    rates = [Rates(unseen, 0.1).of(metric, metric_now(unseen, metric)).value for unseen in (one, other)]
    assert rates[0] == pytest.approx(2.5 * rates[1], rel=1e-3)


@pytest.mark.parametrize("outputs", [np.zeros((20, 2)), 50 * np.eye(2)[np.arange(20) % 2]], ids=["equal", "perfect"])
def test_where_nothing_can_be_expected_the_rate_is_positive_and_finite(outputs):
    labels = np.arange(20) % 2
    unseen = Predictions(18, outputs, labels)
    now = metric_now(unseen, Accuracy())
    found = Rates(unseen, np.inf).of(Accuracy(), now)
    assert np.isfinite(found.value)
    assert found.value >= LEAST * (1 - now.mean) / max(unseen.losses.mean(), 1e-15) > 0
    assert found.error == pytest.approx(np.hypot(ALWAYS, FROM_NOISE))
