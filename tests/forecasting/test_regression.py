"""Heads fitted by least squares: slopes against many retrainings, RMSE and R^2 against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_squared_error, r2_score

from suffice import InputError, forecast_head
from suffice.forecasting import estimators_of
from suffice.forecasting.heads import measure_regression
from suffice.forecasting.inputs import regression_targets
from suffice.forecasting.regression import r_squared_curve, rmse_curve, target_variance
from suffice.results import Curve, Draws

COLUMNS = 15


def drawn(samples, seed, outputs):
    """Targets whose noise is larger where the features are."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, COLUMNS))
    weights = np.random.default_rng(0).normal(size=(COLUMNS, outputs)) / 3
    noise = random.normal(size=(samples, outputs)) * (0.5 + 0.5 * np.abs(x[:, :1]))
    return x, x @ weights + noise


def retrained(samples, seed, outputs, l2):
    """The weights of ridge regression by the normal equations; the mean over outputs makes their penalty l2 K / 2."""
    x, y = drawn(samples, seed, outputs)
    return np.linalg.solve(x.T @ x / samples + l2 * outputs / 2 * np.eye(COLUMNS), x.T @ y / samples)


@pytest.mark.parametrize("outputs", [1, pytest.param(3, marks=pytest.mark.deep)])
@pytest.mark.parametrize("l2", [1e-4, 0.2])
def test_slope_and_level_of_ridge_regression_are_those_of_many_retrainings(outputs, l2):
    """From 500 samples to 4,000; the sandwich with residuals half-way between own and out-of-fold ones."""
    pilot, more, retrainings, pilots = 500, 4000, 150, 15
    x, y = drawn(30_000, 10**6, outputs)

    def mean_loss(samples):
        found = [retrained(samples, seed, outputs, l2) for seed in range(retrainings)]
        # the mean over trainings is quadratic in the weights: one product of the second moments
        moments, cross, squares = x.T @ x / len(x), x.T @ y / len(x), np.square(y).mean(0)
        of = [(np.einsum("ca,cd,da->a", w, moments, w) - 2 * (w * cross).sum(0) + squares).mean() for w in found]
        return np.mean(of)

    before, after = mean_loss(pilot), mean_loss(more)
    slope = (before - after) / (1 / pilot - 1 / more)
    found = [measure_regression(*drawn(pilot, 1000 + seed, outputs), l2, seed) for seed in range(pilots)]
    sandwich = np.array([estimators_of(one)["noise"].slope.value for one in found])
    assert sandwich.mean() == pytest.approx(slope, rel=0.12)
    assert sandwich.std() < 0.35 * slope
    assert all(one.unseen.samples == 450 for one in found)
    levels = np.array([one.unseen_loss for one in found]) - sandwich * (1 / 450 - 1 / 500)
    assert abs(levels.mean() - before) < 3 * levels.std(ddof=1) / np.sqrt(pilots)
    halves, unseen, own = (
        np.mean([getattr(one, name).losses.mean() for one in found]) for name in ("halves", "unseen", "own")
    )
    assert halves > unseen > own


def test_where_the_noise_has_one_variance_all_slopes_agree():
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 20))
    y = x[:, :2] + random.normal(size=(2000, 2))
    slopes = estimators_of(measure_regression(x, y, 1e-6))
    # 40 weights, variance 1, and the loss is the mean over 2 outputs
    for name in ("calibrated", "noise", "information", "symmetric"):
        assert slopes[name].slope.value == pytest.approx(20, rel=0.15), name


def flat(levels):
    """A curve of the loss that does not change."""
    draws = Draws(smallest=10, largest=20, level=levels, slope=[0.0], exponent=[1.0], noise=[0.0])
    return Curve(metric="loss", sizes=[20], draws=draws)


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    targets, outputs = random.normal(size=(50, 2)) * [1, 5], random.normal(size=(50, 2))
    losses = np.square(outputs - targets).mean(1)
    loss = flat(losses.mean(keepdims=True))
    assert rmse_curve(loss).mean[0] == pytest.approx(np.sqrt(mean_squared_error(targets, outputs)), rel=1e-5)
    variance = target_variance(targets, losses).value * 49 / 50  # theirs is that of the samples, not of more like them
    theirs = r2_score(targets, outputs, multioutput="variance_weighted")
    assert r_squared_curve(loss, np.array([variance])).mean[0] == pytest.approx(theirs, rel=1e-4)


def test_a_forecast_of_a_regression_is_that_of_retrainings():
    """Mean over pilots of R^2 and RMSE with 8 times the samples."""
    x, y = drawn(30_000, 10**6, 1)

    def tested(samples):
        return np.mean([np.square(x @ retrained(samples, seed, 1, 0.01) - y).mean() for seed in range(40)])

    curves = [forecast_head(*drawn(300, 1000 + seed, 1), [300, 2400], 0.01, loss="squared") for seed in range(15)]
    true = tested(2400)
    assert np.mean([curve.metrics["RMSE"].mean[1] for curve in curves]) == pytest.approx(np.sqrt(true), rel=0.03)
    assert np.mean([curve.accuracy.mean[1] for curve in curves]) == pytest.approx(1 - true / y.var(), abs=0.03)
    assert sum(curve.accuracy.low[1] < 1 - true / y.var() < curve.accuracy.high[1] for curve in curves) >= 11
    gains = [np.median(np.subtract(*curve.loss.samples.T)) for curve in curves]
    assert np.mean(gains) == pytest.approx(tested(300) - true, rel=0.3)
    assert curves[0].accuracy.name == "R²"


def test_the_noise_of_r_squared_is_that_from_data_set_to_data_set():
    """Level and variance are of the same samples: taken apart the interval would be too wide."""
    random = np.random.default_rng(0)
    normals, own = random.normal(size=(2, 4000))
    found, widths = [], []
    for _ in range(200):
        prediction = random.normal(size=300)
        targets, losses = prediction + random.normal(size=300), None
        losses = np.square(targets - prediction)
        variance = target_variance(targets[:, None], losses)
        level = losses.mean() + losses.std() / np.sqrt(300) * normals
        drawn = r_squared_curve(flat(level), variance.draws(normals, own)).samples
        found.append(1 - losses.mean() / variance.value)
        widths.append(drawn.std())
    assert np.mean(found) == pytest.approx(0.5, abs=0.01)
    assert np.mean(widths) == pytest.approx(np.std(found), rel=0.15)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([1.0, 2.0], r"targets are \(3,\) or \(3, outputs\), not \(2,\)"),
        ([1.0, np.nan, 2.0], "row 1 of the targets is not finite"),
        ([[1.0, 3.0], [2.0, 3.0], [4.0, 3.0]], "all targets of output 1 are 3"),
        (["a", "b", "c"], "not numbers"),
        ([1j, 2.0, 3.0], "complex"),
        (np.ma.masked_equal([1.0, 2.0, 3.0], 2.0), "masked"),
        (np.zeros((3, 0)), "outputs"),
    ],
)
def test_other_targets_are_refused(targets, said):
    with pytest.raises(InputError, match=said):
        regression_targets(targets, samples=3)


def test_the_unit_and_the_mean_of_the_targets_change_nothing_but_the_numbers_that_have_the_unit():
    x, y = drawn(200, 3, 1)
    one, other = (forecast_head(x, targets, [200, 1600], 0.01, loss="squared") for targets in (y, 1e-6 * y + 5))
    assert other.accuracy.mean == pytest.approx(one.accuracy.mean, abs=1e-4)
    assert other.metrics["RMSE"].mean == pytest.approx(1e-6 * one.metrics["RMSE"].mean, rel=1e-3)
    assert other.loss.high == pytest.approx(1e-12 * one.loss.high, rel=1e-3)
    assert other.slope == pytest.approx(1e-12 * one.slope, rel=1e-3)
    assert other.sufficient_size(target_loss=1e-12 * one.loss.mean[1]).size == pytest.approx(
        one.sufficient_size(target_loss=one.loss.mean[1]).size, rel=0.02
    )


@pytest.mark.parametrize("samples", [12, 40])
def test_r_squared_is_never_above_1(samples):
    for seed in range(5):
        curve = forecast_head(*drawn(samples, seed, 1), [samples, 8 * samples], 0.01, loss="squared")
        assert curve.status == "cannot_tell" or (curve.accuracy.high <= 1).all()
