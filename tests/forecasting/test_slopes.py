"""Slopes of the learning curve against dense matrices, and against many retrainings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from suffice.forecasting.head import fit_head
from suffice.forecasting.losses import CrossEntropy, SquaredError
from suffice.forecasting.slopes import effective_dimension_slope, gcv_slope, optimism_slope, sandwich_slope


def dense_hessian(head):
    units = np.eye(head.weights.size).reshape(-1, *head.weights.shape)
    return head.curvature(units).reshape(len(units), -1)


def averaged(slope, *arguments, seeds=8):
    """A slope as the mean over seeds, with the error of that."""
    found = [slope(*arguments, seed) for seed in range(seeds)]
    error = np.sqrt(np.mean([of_seed.error**2 for of_seed in found]) / seeds)
    return np.mean([of_seed.value for of_seed in found]), error


def classified(samples=80, columns=4, classes=3, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    return x, (2 * x[:, :classes] + random.gumbel(size=(samples, classes))).argmax(1)


@pytest.mark.parametrize("l2", [0.003, 0.1])
def test_the_effective_dimension_slope_is_half_the_trace_of_dense_matrices(l2):
    x, y = classified()
    head = fit_head(x, CrossEntropy(y, 3), 3, l2)
    loss = dense_hessian(head)
    ratio = loss @ np.linalg.inv(loss + l2 * np.eye(len(loss)))
    value, error = averaged(effective_dimension_slope, head)
    assert abs(value - np.trace(ratio @ ratio) / 2) < 4 * error
    assert error < 0.05 * value


@pytest.mark.parametrize("l2", [0.003, 0.1])
def test_the_sandwich_slope_is_that_of_dense_matrices(l2):
    """Every term written out: covariance, drift of the Hessians, third derivative by finite differences."""
    x, y = classified()
    classes, samples = 3, len(y)
    head = fit_head(x, CrossEntropy(y, classes), classes, l2)
    outputs = head.outputs + np.random.default_rng(1).normal(size=head.outputs.shape)
    features = head.features

    def hessian_at(weights, row=None):
        p = np.exp(log_softmax(features @ weights, axis=1))
        each = np.einsum("na,ab->nab", p, np.eye(classes)) - p[:, :, None] * p[:, None, :]
        chosen = slice(None) if row is None else slice(row, row + 1)
        matrix = np.einsum("nr,nab,ns->rasb", features[chosen], each[chosen], features[chosen]) / len(each[chosen])
        return matrix.reshape(weights.size, weights.size)

    loss = hessian_at(head.weights)
    inverse = np.linalg.inv(loss + l2 * np.eye(len(loss)))
    residuals = np.exp(log_softmax(outputs, axis=1)) - np.eye(classes)[y]
    gradients = (features[:, :, None] * residuals[:, None, :]).reshape(samples, -1)
    gradients = gradients - gradients.mean(0)
    covariance = gradients.T @ gradients / samples
    variance = np.trace(inverse @ loss @ inverse @ covariance) / 2
    bias = inverse @ (l2 * head.weights.reshape(-1))
    drift = np.mean([bias @ hessian_at(head.weights, row) @ inverse @ gradients[row] for row in range(samples)])
    step = 1e-5 * bias.reshape(head.weights.shape)
    third = (hessian_at(head.weights + step) - hessian_at(head.weights - step)) / 2e-5
    expected = variance - drift + np.sum(third * (inverse @ covariance @ inverse)) / 2
    value, error = averaged(sandwich_slope, head, outputs)
    assert abs(value - expected) < 4 * error
    assert error < 0.05 * value


@pytest.mark.deep
@pytest.mark.parametrize("l2", [0.002, *(pytest.param(l2, marks=pytest.mark.deep) for l2 in (0.2, 0.6))])
def test_the_sandwich_slope_of_ridge_regression_is_that_of_many_retrainings(l2):
    """The penalty on the sum of squares is half of l2: 0.001, 0.1 and 0.3. Retrained at k = 1,000, tested exactly."""
    columns, samples, retrainings = 20, 1000, 2000
    random = np.random.default_rng(0)
    truth = random.normal(size=columns) / np.sqrt(columns) * 2

    def data(count):
        x = random.normal(size=(count, columns))
        return x, x @ truth + random.normal(size=count)

    def excess(weights):
        return np.square(weights - truth).sum()

    limit = excess(truth / (1 + l2 / 2))
    found = []
    for _ in range(retrainings):
        x, y = data(samples)
        weights = np.linalg.solve(x.T @ x / samples + l2 / 2 * np.eye(columns), x.T @ y / samples)
        found.append((excess(weights) - limit) * samples)
    x, y = data(100_000)
    head = fit_head(x, SquaredError(y[:, None]), 1, l2)
    value, of_traces = averaged(sandwich_slope, head, head.outputs)
    error = np.hypot(np.std(found) / np.sqrt(retrainings), of_traces)
    assert error < 0.04 * value
    assert abs(value - np.mean(found)) < 3 * error
    # without the bias of the penalty it would be another
    variance = columns / (1 + l2 / 2) ** 2
    assert l2 < 0.5 or abs(variance - np.mean(found)) > 6 * error


def test_slopes_do_not_depend_on_the_order_of_samples_but_for_the_noise_of_the_traces():
    x, y = classified()
    order = np.random.default_rng(0).permutation(len(y))
    slopes = []
    for rows in (np.arange(len(y)), order):
        head = fit_head(x[rows], CrossEntropy(y[rows], 3), 3, 0.05)
        slopes.append(averaged(sandwich_slope, head, head.outputs))
    (first, of_first), (second, of_second) = slopes
    assert abs(first - second) < 4 * np.hypot(of_first, of_second)


def test_the_optimism_slope_of_least_squares_is_half_of_its_parameters_times_the_noise():
    """Without a penalty the excess of the test loss and the lack of the training loss are both d sigma^2 / k."""
    columns, count = 5, 400
    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        x, unseen = random.normal(size=(2, count, columns))
        y, other = x.sum(1) + random.normal(size=count), unseen.sum(1) + random.normal(size=count)
        weights = np.linalg.lstsq(x, y, rcond=None)[0]
        found.append(optimism_slope((y - x @ weights) ** 2, (other - unseen @ weights) ** 2, count, count))
    values = np.array([slope.value for slope in found])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert values.mean() == pytest.approx(columns, abs=4 * error)
    assert np.mean([slope.error for slope in found]) == pytest.approx(values.std(ddof=1), rel=0.2)


@pytest.mark.parametrize("parts", [(1 / 2, 1 / 2), (1 / 10,) * 10, (1 / 4, 3 / 4)])
def test_the_optimism_slope_of_folds_is_that_of_many_retrainings(parts):
    """The unseen losses are of models on fewer samples than the own ones; a slope k_f gap / 2 is too small."""
    columns, count, retrainings = 4, 240, 1000
    random = np.random.default_rng(0)
    ends = np.cumsum(np.round(np.array(parts) * count).astype(int))
    fold = np.searchsorted(ends, np.arange(count), side="right")
    folds = [(fold != number, fold == number) for number in range(len(parts))]

    def fitted(x, y):
        return np.linalg.lstsq(x, y, rcond=None)[0]

    at_fold = count / np.sum([held_out.sum() / kept.sum() for kept, held_out in folds])
    found, former, rises = [], [], []
    for _ in range(retrainings):
        x = random.normal(size=(count, columns))
        y = x.sum(1) + random.normal(size=count)
        weights = fitted(x, y)
        own, unseen = (y - x @ weights) ** 2, np.empty(count)
        for kept, held_out in folds:
            unseen[held_out] = (y[held_out] - x[held_out] @ fitted(x[kept], y[kept])) ** 2
        found.append(optimism_slope(own, unseen, count, at_fold).value)
        former.append(at_fold * (unseen.mean() - own.mean()) / 2)
        # the excess of the test loss over its limit, times k
        rises.append(count * np.square(weights - 1).sum())
    (mean, error), (before, _), (true, of_truth) = (
        (np.mean(values), np.std(values) / np.sqrt(retrainings)) for values in (found, former, rises)
    )
    # the next order, (P + 1) / k_f, is 3 to 5% here
    near = 3 * np.hypot(error, of_truth) + 0.06 * true
    assert near < 0.2 * true
    assert abs(mean - true) < near
    assert len(parts) == 10 or abs(before - true) > near  # of ten folds the former is only 5% too small


def test_the_gcv_slope_of_least_squares_is_what_its_noise_costs():
    """With Gaussian inputs the expected test loss of a fit to k samples is 1 + P / (k - P - 1)."""
    random, samples, columns = np.random.default_rng(0), 60, 20
    own, unseen = [], []
    for _ in range(400):
        x, y = random.normal(size=(samples, columns)), random.normal(size=samples)
        fitted = np.linalg.lstsq(x, y, rcond=None)[0]
        own.append(np.square(y - x @ fitted).mean())
        unseen.append(1 + np.square(fitted).sum())
    slope = gcv_slope(np.array(own), np.array(unseen), samples, samples, columns)
    cost = columns / (samples - columns - 1)
    assert slope.value / samples == pytest.approx(cost, rel=0.05)
    assert optimism_slope(np.array(own), np.array(unseen), samples, samples).value / samples < 0.9 * cost


@given(st.floats(1e-6, 0.999), st.floats(0.01, 10), st.integers(2, 10**6))
def test_the_gcv_slope_of_many_directions_is_the_square_of_the_difference_of_roots(share, test_loss, samples):
    own, unseen = np.full(3, share * test_loss), np.full(4, test_loss)
    many, few = (gcv_slope(own, unseen, samples, samples, factor * samples) for factor in (5, 0.01))
    assert many.value == pytest.approx(samples * (np.sqrt(test_loss) - np.sqrt(share * test_loss)) ** 2)
    assert many.value <= few.value * (1 + 1e-9)
    assert many.value <= samples * (test_loss - share * test_loss) * (1 + 1e-9)
    assert gcv_slope(unseen, own, samples, samples, samples).value == 0
