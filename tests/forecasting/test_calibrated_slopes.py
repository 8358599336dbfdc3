"""The calibrated slope, degrees of freedom and variance between trainings, against dense matrices and retrainings."""

import json
import math
from importlib.resources import files

import numpy as np
import pytest

from suffice.forecasting.head import fit_head
from suffice.forecasting.levels import out_of_fold
from suffice.forecasting.losses import CrossEntropy, SquaredError
from suffice.forecasting.slopes import (
    between_trainings,
    calibrated_slope,
    degrees_of_freedom,
    measured_of_heads,
    share_of_slope,
)


class Ridge:
    """Linear regression with noise; losses of heads are exact."""

    columns, outputs, retrainings = 12, 1, 400

    def __init__(self):
        self.truth = np.random.default_rng(1).normal(size=(self.columns, 1)) / np.sqrt(self.columns)

    def draw(self, random, count):
        x = random.normal(size=(count, self.columns))
        return x, SquaredError(x @ self.truth + random.normal(size=(count, 1)))

    def test_loss(self, head, random):
        return 1 + np.square(head.axes @ head.weights - self.truth).sum()


class Logistic:
    """Labels that are true to a softmax of some of the columns; 2,000 test samples in common."""

    columns, outputs, retrainings = 10, 3, 120

    def __init__(self):
        self.truth = np.random.default_rng(1).normal(size=(self.columns, self.outputs))
        self.x, self.loss = self.draw(np.random.default_rng(2), 2000)

    def draw(self, random, count):
        x = random.normal(size=(count, self.columns))
        return x, CrossEntropy((x @ self.truth + random.gumbel(size=(count, self.outputs))).argmax(1), self.outputs)

    def test_loss(self, head, random):
        return self.loss.values(head.predict(self.x)).mean()


def retrained(task, samples, penalty, retrainings, seed=3):
    random = np.random.default_rng([seed, samples])
    heads = (fit_head(*task.draw(random, samples), task.outputs, penalty) for _ in range(retrainings))
    return np.array([task.test_loss(head, random) for head in heads])


def left_out(head, folds, seed):
    labels = getattr(head.loss, "labels", np.zeros(len(head.features), dtype=int))
    return out_of_fold(head, labels, folds, seed)


@pytest.mark.parametrize(
    ("task", "penalty", "near"),
    [(Ridge(), 0.02, 0.1), (Ridge(), 0.5, 0.1), (Logistic(), 0.003, 0.25), (Logistic(), 0.05, 0.1)],
)
def test_the_calibrated_slope_is_that_of_many_retrainings(task, penalty, near):
    """150 samples in seven folds, which are of unequal size; the truth is the gain to four times as many.

    Under the weakest penalty the curve falls faster than 1/k here, and the slope is a fifth too small.
    """
    samples, folds = 150, 7
    before, after = (
        retrained(task, size, penalty, count)
        for size, count in ((samples, task.retrainings), (4 * samples, task.retrainings // 2))
    )
    true = (before.mean() - after.mean()) / (1 / samples - 1 / (4 * samples))
    of_truth = np.hypot(*(part.std() / np.sqrt(len(part)) for part in (before, after))) / (before.mean() - after.mean())
    random, logs = np.random.default_rng(0), []
    for seed in range(10):
        head = fit_head(*task.draw(random, samples), task.outputs, penalty)
        found = calibrated_slope(head, left_out(head, folds, seed), samples * (1 - 1 / folds), seed=seed)
        assert found.tells
        logs.append(math.log(found.value / true))
    error = np.hypot(np.std(logs) / np.sqrt(len(logs)), of_truth)
    assert error < 0.08
    assert abs(np.mean(logs)) < near + 2 * error
    # one pilot is as far off as it says, or nearer
    assert np.std(logs) < 1.5 * found.log_error


def test_samples_of_others_give_the_slope_that_folds_give():
    task, random = Logistic(), np.random.default_rng(0)
    logs = []
    for seed in range(20):
        head = fit_head(*task.draw(random, 200), 3, 0.01)
        others, loss = task.draw(random, 400)
        folds = calibrated_slope(head, left_out(head, 10, seed), 180, seed=seed)
        logs.append(math.log(calibrated_slope(head, head.predict(others), 200, loss, seed).value / folds.value))
    assert abs(np.mean(logs)) < 3 * np.std(logs) / np.sqrt(len(logs)) < 0.3


def test_without_a_gap_nothing_is_told():
    task = Logistic()
    x, loss = task.draw(np.random.default_rng(0), 60)
    head = fit_head(x, loss, 3, 0.1)
    found = calibrated_slope(head, 3 * head.outputs, 54)
    assert not found.tells
    assert (found.gap_noise, found.log_error) == (math.inf, math.inf)
    assert found.value == pytest.approx(found.information)


def test_outputs_that_are_too_sure_give_the_losses_more_weight():
    task = Logistic()
    head = fit_head(*task.draw(np.random.default_rng(0), 100), 3, 0.01)
    unseen = left_out(head, 10, 0)
    sure, unsure = (calibrated_slope(head, factor * unseen, 90) for factor in (2.0, 0.5))
    assert sure.temperature == pytest.approx(4 * unsure.temperature, rel=1e-3)
    assert unsure.weight < sure.weight
    assert sure.information == unsure.information


@pytest.mark.parametrize("penalty", [0.003, 0.1])
def test_degrees_of_freedom_are_the_traces_of_dense_matrices(penalty):
    head = fit_head(*Logistic().draw(np.random.default_rng(0), 80), 3, penalty)
    size = head.weights.size
    hessian = head.curvature(np.eye(size).reshape(size, *head.weights.shape)).reshape(size, size)
    ratio = hessian @ np.linalg.inv(hessian + penalty * np.eye(size))
    drawn = [degrees_of_freedom(head, seed) for seed in range(20)]
    first, second, error = np.mean(drawn, axis=0)
    assert first == pytest.approx(np.trace(ratio), rel=0.04)
    assert second == pytest.approx(np.trace(ratio @ ratio), rel=0.04)
    assert second < first < size
    assert np.std([found.second for found in drawn]) == pytest.approx(error * second, rel=0.5)


@pytest.mark.deep
@pytest.mark.parametrize(("task", "penalty"), [(Ridge(), 0.02), (Ridge(), 0.5), (Logistic(), 0.05)])
def test_the_variance_between_trainings_is_that_of_many_retrainings(task, penalty):
    samples, retrainings = 400, 200
    losses = retrained(task, samples, penalty, retrainings)
    head = fit_head(*task.draw(np.random.default_rng(0), 4000), task.outputs, penalty)
    found = np.mean([between_trainings(head, head.outputs, seed) for seed in range(8)], axis=0)
    expected = np.sqrt(found[0] / samples + found[1] / samples**2)
    assert losses.std() == pytest.approx(expected, rel=0.17)  # three standard errors of 200 retrainings
    # of the excess of the loss, half of Tr(H_0 S), the variance is Tr[(H_0 S)^2] / 2
    assert found[1] < 2 * found[2] ** 2
    assert penalty < 0.05 or found[0] / samples > 0.3 * found[1] / samples**2


def test_the_error_of_the_traces_is_in_that_of_the_slope_of_a_large_head():
    random = np.random.default_rng(0)
    for classes in (3, 300):  # 30 and 3,000 weights
        x, y = random.normal(size=(600, 10)), np.arange(600) % classes
        head = fit_head(x, CrossEntropy(y, classes), classes, 0.1)
        found = calibrated_slope(head, 1.2 * head.outputs, 540)
        assert found.traces == (degrees_of_freedom(head).error if classes == 300 else 0.0)
        assert found.log_error**2 == pytest.approx(found.between**2 + found.noise**2 + found.traces**2)


def test_the_share_of_the_slope_is_the_same_at_eight_times_for_all_exponents():
    exponents = np.array([0.3, 1.0, 2.5])
    assert share_of_slope(8.0, exponents) == pytest.approx(np.full(3, 7 / 8))
    assert share_of_slope(1.0, exponents) == pytest.approx(np.zeros(3))
    ratios = np.array([1.5, 3.0, 20.0])
    assert share_of_slope(ratios, 1.0) == pytest.approx(1 - 1 / ratios)


def test_what_was_measured_comes_with_its_origin():
    stored = json.loads(files("suffice.forecasting.slopes").joinpath("heads.json").read_text())
    assert set(stored["about"]["data sets"]) == {"tuning", "development"}
    assert vars(measured_of_heads()) == stored["heads"]
