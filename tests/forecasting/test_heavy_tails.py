"""Losses that a few samples carry: they are found, and intervals of regressions give way to them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from suffice import forecast_head
from suffice.forecasting import curve_of, measure_head
from suffice.forecasting.doubts import about_tails, skewed, tail_noise
from suffice.forecasting.heads import folds_of_regression, measure_regression

COLUMNS, SAMPLES = 10, 200


def regression(noise, samples, seed, columns=COLUMNS):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    return x, x @ np.full(columns, columns**-0.5) + noise(random, samples)


def normal(random, samples):
    return random.normal(size=samples)


def log_normal(random, samples):
    return (np.exp(random.normal(size=samples)) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


def expected_loss(noise, samples, l2, columns=COLUMNS, trainings=200):
    """Of ridge regressions with an intercept, from their weights: features and noise have the variance 1."""
    losses = []
    for seed in range(trainings):
        x, y = regression(noise, samples, 10_000 + seed, columns)
        x = np.hstack([x, np.ones((samples, 1))])
        weights = np.linalg.solve(x.T @ x / samples + l2 / 2 * np.eye(columns + 1), x.T @ y / samples)
        losses.append(1 + np.square(weights - np.append(np.full(columns, columns**-0.5), 0)).sum())
    return np.mean(losses)


def test_the_noise_of_a_variance_is_that_from_data_set_to_data_set():
    random = np.random.default_rng(0)
    for draw in (random.normal, random.exponential):
        variances, noises = zip(*((x.var(), tail_noise(x)) for x in (draw(size=400) for _ in range(2000))), strict=True)
        relative = np.std(variances) / np.mean(variances)
        # 1 / n less, and to first order
        assert np.mean(noises) - 1 / 400 == pytest.approx(relative**2, rel=0.15)


def test_the_noise_has_no_unit_and_is_1_where_one_sample_carries_all():
    losses = np.random.default_rng(0).exponential(size=50)
    assert tail_noise(7 * losses + 3) == pytest.approx(tail_noise(losses))
    assert tail_noise(np.append(np.zeros(9999), 1.0)) == pytest.approx(1, abs=1e-3)
    assert tail_noise(np.ones(10)) == 0


def test_scores_keep_their_lower_side_and_their_median():
    normals, losses = np.linspace(-3, 3, 7), np.random.default_rng(0).exponential(size=50)
    found = skewed(normals, losses)
    np.testing.assert_array_equal(found[:4], normals[:4])
    np.testing.assert_allclose(found[4:], normals[4:] * (1 + 2 * np.sqrt(tail_noise(losses))))


def test_samples_that_carry_the_loss_are_named_by_their_rows():
    losses = np.full(60, 0.1)
    losses[[7, 30]] = 50.0
    finding = about_tails(losses, np.arange(60) + 100)
    assert finding.kind.code == "SUF030"
    assert "2 of 60 unseen samples carry 95% of the loss (rows 107, 130)" in finding.what
    x, y = regression(normal, SAMPLES, 0)
    y[11] += 40
    (found,) = [one for one in forecast_head(x, y, [400], 0.01, loss="squared").findings if one.code == "SUF030"]
    assert "row 11" in found.what


@pytest.mark.deep
def test_ordinary_losses_are_not_doubted():
    """Regressions with normal noise, and heads on the digits with at least ten errors."""
    for seed in range(5):
        curve = forecast_head(*regression(normal, SAMPLES, seed), [400], 0.01, loss="squared")
        assert "SUF030" not in {finding.code for finding in curve.findings}
    x, y = load_digits(return_X_y=True)
    x = np.hstack([x / 16, np.ones((len(x), 1))])
    for seed in range(5):
        rows = np.random.default_rng(seed).permutation(len(x))[:200]
        evidence = measure_head(x[rows], y[rows], 1e-4, seed)
        assert evidence.unseen.wrong.sum() >= 10
        assert "SUF030" not in {finding.code for finding in curve_of(evidence, [400]).findings}


@pytest.mark.deep
@pytest.mark.parametrize(("noise", "least"), [(normal, 25), (log_normal, 22)])
def test_intervals_of_regressions_hold_although_a_few_samples_carry_the_loss(noise, least):
    """With sides of equal length they hold in 18 of 30 for log-normal noise; 27 are expected."""
    now, then = (expected_loss(noise, size, 0.01) for size in (SAMPLES, 4 * SAMPLES))
    held = {"level": 0, "gain": 0}
    for seed in range(30):
        x, y = regression(noise, SAMPLES, seed)
        evidence = measure_regression(np.hstack([x, np.ones((SAMPLES, 1))]), y[:, None], 0.01, seed)
        curve = curve_of(evidence, [SAMPLES, 4 * SAMPLES])
        level, later = curve.loss.samples.T
        for name, draws, true in (("level", level, now), ("gain", level - later, now - then)):
            low, high = np.quantile(draws, [0.05, 0.95])
            held[name] += bool(low <= true <= high)
    assert min(held.values()) >= least, held


def test_a_regression_has_ten_folds_where_weights_are_few_and_more_where_they_are_many():
    assert [folds_of_regression(weights, 200) for weights in (0, 5, 100, 180, 200, 1000)] == [10, 10, 40, 100, 100, 100]


@pytest.mark.deep
def test_the_level_is_that_of_retrainings_where_there_are_nearly_as_many_weights_as_samples():
    """100 weights and 150 samples: ten folds make the level 12% too high."""
    true = expected_loss(normal, 150, 1e-3, columns=100)
    levels = []
    for seed in range(6):
        x, y = regression(normal, 150, seed, columns=100)
        evidence = measure_regression(np.hstack([x, np.ones((150, 1))]), y[:, None], 1e-3, seed)
        assert evidence.unseen.samples > 145
        levels.append(np.median(curve_of(evidence, [150]).loss.samples))
    assert np.mean(levels) == pytest.approx(true, rel=0.08)
