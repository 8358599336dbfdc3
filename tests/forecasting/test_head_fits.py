"""Fits of a head, and solutions with its Hessian, against dense matrices and another library."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge

from suffice.forecasting import forecast_head
from suffice.forecasting import head as heads
from suffice.forecasting.head import STATIONARY, fit_head, refit
from suffice.forecasting.levels.folds import fold_of, out_of_fold
from suffice.forecasting.losses import CrossEntropy, SquaredError
from suffice.forecasting.penalty import choose_penalty

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed, samples=None):
    random = np.random.default_rng(seed)
    samples = int(random.integers(4, 60)) if samples is None else samples
    columns, classes = int(random.integers(1, 12)), int(random.integers(2, 5))
    x = random.normal(size=(samples, columns)) * random.uniform(0.1, 3, columns) + random.normal(size=columns)
    return x, random.integers(classes, size=samples), classes, float(10 ** random.uniform(-3, 0.5))


def dense_hessian(head):
    """Of the mean loss alone, (weights, weights), from its products with unit matrices."""
    shape = head.weights.shape
    units = np.eye(head.weights.size).reshape(-1, *shape)
    return head.curvature(units).reshape(len(units), -1)


@settings(deadline=None)
@given(SEEDS)
def test_the_gradient_is_zero_where_a_fit_ends(seed):
    x, y, classes, l2 = drawn(seed)
    head = fit_head(x, CrossEntropy(y, classes), classes, l2)
    weights = head.axes @ head.weights
    p = np.exp(log_softmax(x @ weights, axis=1))
    gradient = x.T @ (p - np.eye(classes)[y]) / len(x) + l2 * weights
    # the fit ends where g^T M^-1 g < STATIONARY^2; no eigenvalue of M is above those of x x^T by 1/2, plus l2
    largest = np.linalg.eigvalsh(x.T @ x / len(x))[-1] / 2 + l2
    assert np.linalg.norm(gradient) < STATIONARY * np.sqrt(largest)


def test_softmax_regression_is_that_of_another_library():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 6))
    y = (x[:, :3] + random.normal(size=(200, 3))).argmax(1)
    head = fit_head(x, CrossEntropy(y, 3), 3, penalty=0.02)
    other = LogisticRegression(C=1 / (200 * 0.02), fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, y)
    assert head.predict(x) == pytest.approx(x @ other.coef_.T, abs=1e-5)


def test_ridge_regression_is_that_of_another_library():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 50)), random.normal(size=(30, 2))
    head = fit_head(x, SquaredError(y), 2, penalty=0.3)
    # theirs: the sum over samples and outputs of squares, plus alpha ||W||^2; ours: the mean, plus 0.15 ||W||^2
    other = Ridge(alpha=0.15 * 30 * 2, fit_intercept=False).fit(x, y)
    assert head.axes @ head.weights == pytest.approx(other.coef_.T, abs=1e-7)


@settings(deadline=None)
@given(SEEDS)
def test_solutions_are_those_of_the_dense_hessian(seed):
    x, y, classes, l2 = drawn(seed)
    head = fit_head(x, CrossEntropy(y, classes), classes, l2)
    hessian = dense_hessian(head)
    assert hessian == pytest.approx(hessian.T, abs=1e-12)
    right = np.random.default_rng(seed).normal(size=(3, *head.weights.shape))
    expected = np.linalg.solve(hessian + l2 * np.eye(len(hessian)), right.reshape(3, -1).T).T
    assert head.solve(right, 1e-9).reshape(3, -1) == pytest.approx(
        expected, rel=1e-6, abs=1e-7 * np.abs(expected).max()
    )


@settings(deadline=None)
@given(SEEDS)
def test_a_fit_from_where_another_is_ends_where_one_from_nothing_does(seed):
    x, y, classes, l2 = drawn(seed, samples=40)
    rows = np.arange(0, 40, 3)
    head = fit_head(x, CrossEntropy(y, classes), classes, l2)
    again = fit_head(x[rows], CrossEntropy(y[rows], classes), classes, l2)
    assert x @ head.axes @ refit(head, rows).weights == pytest.approx(x @ again.axes @ again.weights, abs=1e-3)


def test_outputs_out_of_a_fold_are_those_of_heads_that_never_saw_it():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, 5)), np.arange(40) % 4
    head = fit_head(x, CrossEntropy(y, 4), 4, penalty=0.05)
    outputs = out_of_fold(head, y, folds=4, seed=3)
    changed = y.copy()
    seen = []
    for row in range(8):
        changed[row] = (y[row] + 1) % 4
        other = fit_head(x, CrossEntropy(changed, 4), 4, penalty=0.05)
        moved = np.abs(out_of_fold(other, y, folds=4, seed=3) - outputs).max(1) > 0.02
        assert not moved[row]
        seen.append(moved.sum())
        changed[row] = y[row]
    assert min(seen) >= 25


def test_folds_hold_the_classes_in_their_shares():
    labels = np.array([0] * 20 + [1] * 10)
    random = np.random.default_rng(0)
    head = fit_head(random.normal(size=(30, 3)), CrossEntropy(labels, 2), 2, penalty=0.1)
    found = out_of_fold(head, labels, folds=5)
    assert found.shape == (30, 2)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("unit", [1.0, pytest.param(1e-3, marks=pytest.mark.deep), 1e-6])
@pytest.mark.parametrize("l2", [1e-6, pytest.param(1e-2, marks=pytest.mark.deep)])
def test_folds_do_not_know_what_they_left_out_however_small_losses_and_penalty_are(l2, unit):
    """With more columns than samples the fit to all has a loss near 0, and so has any fit that stays where it is."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 100))
    y = unit * (x[:, :3].sum(1, keepdims=True) + random.normal(size=(60, 1)))
    fold = fold_of(np.zeros(60, dtype=np.int64), 10, 0)
    for loss, outputs in ((SquaredError(y), 1), (CrossEntropy((y[:, 0] > 0).astype(int), 2), 2)):
        head = fit_head(x, loss, outputs, l2)
        found = head.loss.values(out_of_fold(head, np.zeros(60, dtype=np.int64), 10))
        apart = np.empty(60)
        for number in range(10):
            others, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            fresh = fit_head(x[others], loss.take(others), outputs, l2)
            apart[held_out] = loss.take(held_out).values(fresh.predict(x[held_out]))
        assert found.mean() == pytest.approx(apart.mean(), rel=0.03)


def test_a_first_small_rise_does_not_end_the_search_for_a_penalty():
    """While a head knows the shares of the classes alone, the loss of folds rises; it falls where it learns more."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 120)
    centres = random.normal(size=(10, 40))
    apart = 0.3 * (centres[labels] + 0.5 * random.normal(size=(120, 40)))
    features = np.hstack([apart, np.full((120, 1), 100.0)])
    chosen = choose_penalty(features, labels)
    assert chosen < 0.01 * np.square(features).sum(1).mean()
    head = fit_head(features, CrossEntropy(labels, 10), 10, chosen)
    assert head.loss.values(out_of_fold(head, labels)).mean() < 0.5 * np.log(10)


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_the_hessian_is_that_of_finite_differences_of_the_gradient(seed):
    x, y, classes, l2 = drawn(seed)
    head = fit_head(x, CrossEntropy(y, classes), classes, l2)

    def gradient(weights):
        p = np.exp(log_softmax(head.features @ weights, axis=1))
        return head.features.T @ (p - np.eye(classes)[y]) / len(y)

    change = np.random.default_rng(seed).normal(size=head.weights.shape)
    step = 1e-5 / np.abs(change).max()
    expected = (gradient(head.weights + step * change) - gradient(head.weights - step * change)) / (2 * step)
    assert head.curvature(change) == pytest.approx(expected, rel=1e-6, abs=1e-8 * np.abs(expected).max())


def test_samples_in_blocks_give_what_all_at_once_give(monkeypatch):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 12)), np.arange(300) % 5
    x[:, 0] += y

    def forecast():
        curve = forecast_head(x, y, [600], 0.05)
        return [curve.slope, curve.slope_error, *curve.loss.mean, *curve.loss.low, *curve.accuracy.mean]

    whole = forecast()
    monkeypatch.setattr(heads, "BLOCK", 1)
    monkeypatch.setattr(heads, "LEAST_ROWS", 7)
    assert forecast() == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("columns", [12, 400], ids=["fewer columns than samples", "more"])
def test_features_in_float32_stay_so_and_give_what_float64_gives(monkeypatch, columns):
    monkeypatch.setattr("suffice.forecasting.inputs.WIDENED", 0)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, columns)).astype(np.float32), np.arange(300) % 5
    x[:, 0] += 2 * y
    narrow, wide = (forecast_head(features, y, [600], 0.05) for features in (x, x.astype(np.float64)))
    assert narrow.slope == pytest.approx(wide.slope, rel=1e-5)
    assert narrow.loss.mean == pytest.approx(wide.loss.mean, rel=1e-6)
    if columns < 300:
        assert fit_head(x, CrossEntropy(y, 5), 5, 0.05).features.dtype == np.float32


def test_folds_of_many_classes_end_where_fits_of_their_own_do(monkeypatch):
    """They have the preconditioner of the head that they start from, which changes the way alone."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(200, 6)), np.arange(200) % 20
    head = fit_head(x, CrossEntropy(y, 20), 20, 0.05)
    rows = np.arange(0, 200, 2)
    own = refit(head, rows)
    monkeypatch.setattr(heads, "MANY_OUTPUTS", 10)
    other = refit(head, rows)
    assert other.basis is not None
    assert other.weights == pytest.approx(own.weights, abs=1e-5)


def test_many_classes_take_little_memory():
    """A product with the Hessian holds no array of samples x classes for each class."""
    tracemalloc.start()
    random = np.random.default_rng(0)
    x, y = random.normal(size=(400, 8)), np.arange(400) % 200
    try:
        forecast_head(x, y, [800], 0.1)
        assert tracemalloc.get_traced_memory()[1] < 30e6  # 400 x 200 x 200 numbers are 128 MB
    finally:
        tracemalloc.stop()
