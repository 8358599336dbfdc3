"""Heads fitted by least squares: slopes against many retrainings, RMSE and R^2 against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_squared_error, r2_score

from suffice import InputError
from suffice.forecasting.inputs import regression_targets
from suffice.forecasting.regression import measure_regression, r_squared, rmse, target_variance

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


@pytest.mark.parametrize("outputs", [1, 3])
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
    sandwich = np.array([one.slopes["noise"].value for one in found])
    assert sandwich.mean() == pytest.approx(slope, rel=0.12)
    assert sandwich.std() < 0.35 * slope
    assert all(one.unseen_samples == 450 for one in found)
    levels = np.array([one.unseen.mean() for one in found]) - sandwich * (1 / 450 - 1 / 500)
    assert abs(levels.mean() - before) < 3 * levels.std(ddof=1) / np.sqrt(pilots)
    halves, unseen, own = (np.mean([getattr(one, name) for one in found]) for name in ("halves", "unseen", "own"))
    assert halves > unseen > own


def test_where_the_noise_has_one_variance_all_slopes_agree():
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 20))
    y = x[:, :2] + random.normal(size=(2000, 2))
    slopes = measure_regression(x, y, 1e-6).slopes
    # 40 weights, variance 1, and the loss is the mean over 2 outputs
    for name, slope in slopes.items():
        assert slope.value == pytest.approx(20, rel=0.15), name


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    targets, outputs = random.normal(size=(50, 2)) * [1, 5], random.normal(size=(50, 2))
    losses = np.square(outputs - targets).mean(1)
    assert rmse(losses.mean(keepdims=True))[0] == pytest.approx(np.sqrt(mean_squared_error(targets, outputs)))
    variance = target_variance(targets, losses).value * 49 / 50  # theirs is that of the samples, not of more like them
    theirs = r2_score(targets, outputs, multioutput="variance_weighted")
    assert r_squared(losses.mean(keepdims=True)[None], np.array([variance]))[0, 0] == pytest.approx(theirs)


def test_the_noise_of_r_squared_is_that_from_data_set_to_data_set():
    """Level and variance are of the same samples: taken apart the interval would be too wide."""
    random = np.random.default_rng(0)
    normals = random.normal(size=4000)
    found, widths = [], []
    for _ in range(200):
        prediction = random.normal(size=300)
        targets, losses = prediction + random.normal(size=300), None
        losses = np.square(targets - prediction)
        variance = target_variance(targets[:, None], losses)
        level = losses.mean() + losses.std() / np.sqrt(300) * normals
        drawn = r_squared(level[:, None], variance.draws(normals))
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
