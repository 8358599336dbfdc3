"""Forecasts of a head against many retrainings, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits

from suffice import InputError, LearningCurve, forecast_head
from suffice.forecasting.head import fit_head
from suffice.forecasting.inputs import whole_sizes
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import measured_of_heads


def classified(samples, seed, classes=3, columns=8):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    return x, (1.5 * x[:, :classes] + random.gumbel(size=(samples, classes))).argmax(1)


def expected(k, l2, test, draw, retrainings):
    """Mean test loss and accuracy of heads fitted to k samples."""
    found = []
    for seed in range(retrainings):
        x, y = draw(k, seed)
        classes = int(test[1].max()) + 1
        head = fit_head(_with_ones(x), CrossEntropy(y, classes), classes, l2)
        z = head.predict(_with_ones(test[0]))
        found.append((CrossEntropy(test[1], classes).values(z).mean(), (z.argmax(1) == test[1]).mean()))
    return np.mean(found, axis=0)


def predicted_gain(curve):
    """From the first to the last size: the median over draws, in each of which both go together."""
    losses = curve.loss.samples
    return np.median(losses[:, 0] - losses[:, -1])


def _with_ones(x):
    return np.hstack([x, np.ones((len(x), 1))])


@pytest.mark.deep
@pytest.mark.parametrize("l2", [0.001, pytest.param(0.03, marks=pytest.mark.deep)])
def test_forecasts_of_logistic_regression_are_those_of_many_retrainings(l2):
    """Forecasts of 20 pilots of 800 samples, and the mean over retrainings, tested on 20,000."""
    pilot, size, pilots = 800, 6400, 20
    test = classified(20_000, 10**6)
    before, after = (expected(k, l2, test, classified, 100) for k in (pilot, size))
    gain = before[0] - after[0]
    by_noise = [forecast_head(*classified(pilot, 1000 + seed), [pilot, size], l2, 0, "noise") for seed in range(pilots)]
    assert np.mean([predicted_gain(curve) for curve in by_noise]) == pytest.approx(gain, rel=0.1)
    curves = [forecast_head(*classified(pilot, 1000 + seed), [pilot, size], l2) for seed in range(pilots)]
    gains = np.array([predicted_gain(curve) for curve in curves])
    # not further off than from data set to data set
    assert np.sqrt(np.mean((gains - gain) ** 2)) < measured_of_heads().between * gain
    levels = np.array([curve.level for curve in curves])
    assert abs(levels.mean() - before[0]) < 3 * levels.std(ddof=1) / np.sqrt(pilots)
    inside = np.mean([curve.loss.low[1] <= after[0] <= curve.loss.high[1] for curve in curves])
    assert inside >= 0.7
    inside = np.mean([curve.accuracy.low[1] <= after[1] <= curve.accuracy.high[1] for curve in curves])
    assert inside >= 0.7


@pytest.mark.deep
def test_with_few_samples_for_each_weight_the_first_order_is_short_of_the_gain_by_about_a_quarter():
    """Of 150 samples and 18 free weights; docs/forecast.md says so."""
    pilot, size, l2 = 150, 1200, 0.001
    test = classified(20_000, 10**6)
    before, after = (expected(k, l2, test, classified, 60) for k in (pilot, size))
    curves = [forecast_head(*classified(pilot, 1000 + seed), [pilot, size], l2) for seed in range(10)]
    told = np.mean([predicted_gain(curve) for curve in curves])
    assert 0.65 < told / (before[0] - after[0]) < 0.85


def test_forecasts_of_real_digits_are_those_of_retrainings():
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = digits.data[order] / 16, digits.target[order]
    test, l2 = (x[1200:], y[1200:]), 0.01

    def draw(k, seed):
        rows = np.random.default_rng(seed).permutation(1200)[:k]
        return x[rows], y[rows]

    before, after = (expected(k, l2, test, draw, 8) for k in (200, 1000))
    curves = [forecast_head(*draw(200, 50 + seed), [200, 1000], l2) for seed in range(5)]
    gain = np.mean([predicted_gain(curve) for curve in curves])
    assert gain == pytest.approx(before[0] - after[0], rel=0.25)
    for curve in curves:
        rises = curve.accuracy.samples[:, 1] - curve.accuracy.samples[:, 0]
        low, high = np.quantile(rises, [0.05, 0.95])
        assert low < after[1] - before[1] < high
        assert curve.accuracy.low[1] < after[1] < curve.accuracy.high[1]


def test_a_forecast_is_consistent_with_itself():
    x, y = classified(200, 0)
    sizes = [50, 200, 400, 3200]
    curve = forecast_head(x, y, sizes, 0.01)
    assert curve.sizes == sizes
    assert (curve.samples, curve.status) == (200, "extrapolated")
    assert curve.loss.mean[1] == pytest.approx(curve.level)
    falls = np.median(curve.loss.samples[:, [1]] - curve.loss.samples, axis=0)
    assert falls == pytest.approx(curve.slope * (1 / 200 - 1 / np.array(sizes)), rel=0.1, abs=1e-12)
    for band in (curve.loss, curve.accuracy):
        assert ((band.low <= band.mean) & (band.mean <= band.high)).all()
    assert (np.diff(curve.accuracy.mean) > 0).all()
    assert curve.loss_limit.mean < curve.loss.mean[-1]
    answer = curve.sufficient_size(target_loss=float(curve.loss.mean[2]))
    assert answer.status == "extrapolated"
    assert answer.size == pytest.approx(400, rel=0.03)
    assert answer.low < 400
    assert answer.high is None or answer.high > 400  # None where the worse end never reaches the target
    excess = curve.sufficient_size(excess=curve.slope / 1000)
    assert excess.size == pytest.approx(1000, rel=0.1)
    assert LearningCurve.model_validate_json(curve.model_dump_json()).explanation == curve.explanation


def test_the_same_samples_give_the_same_forecast():
    x, y = classified(60, 0)
    first, again = (forecast_head(x, y, [100], 0.01) for _ in range(2))
    assert first.model_dump_json() == again.model_dump_json()
    other = forecast_head(x.astype(np.float32), y, [100], 0.01)
    assert other.loss.mean == pytest.approx(first.loss.mean, rel=1e-4)


def test_more_features_than_samples_are_no_trouble():
    random = np.random.default_rng(0)
    x, y = classified(60, 0)
    wide = np.hstack([x, 0.1 * random.normal(size=(60, 300))])
    curve = forecast_head(wide, y, [120], 0.01)
    assert curve.loss.mean[0] < curve.level


def test_random_labels_are_recognised():
    random = np.random.default_rng(0)
    few = forecast_head(random.normal(size=(100, 10)), random.integers(4, size=100), [200], 0.01)
    assert few.status == "cannot_tell"
    assert "cannot be told yet whether there is anything to learn" in few.explanation
    curve = forecast_head(random.normal(size=(1000, 10)), random.integers(4, size=1000), [2000, 4000], 0.01)
    assert curve.status == "cannot_tell"
    assert "the labels look random" in curve.explanation
    assert np.isnan(curve.loss.mean).all()
    assert len(curve.accuracy.high) == 2
    assert curve.sufficient_size(target_accuracy=0.9).status == "cannot_tell"
    assert curve.sufficient_size(cost_per_sample=0.001).status == "cannot_tell"
    stored = LearningCurve.model_validate_json(curve.model_dump_json())
    assert np.isnan(stored.loss.low).all()


def test_a_target_beyond_the_limit_is_answered_with_the_limit():
    curve = forecast_head(*classified(300, 0), [600], 0.01)
    answer = curve.sufficient_size(target_accuracy=0.999)
    assert answer.status == "unreachable"
    assert "its largest probability is" in answer.explanation


X, Y = classified(30, 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"labels": np.where(np.arange(30) == 0, 3, Y)}, "class 3 has 1 samples"),
        ({"labels": np.zeros(30, dtype=int)}, "at least two classes"),
        ({"labels": Y - 1}, "whole numbers from 0"),
        ({"labels": Y[:20]}, r"one number a sample, \(30,\), not \(20,\)"),
        ({"features": np.where(np.arange(30)[:, None] == 4, np.nan, X)}, "row 4 of the features is not finite"),
        ({"sizes": [1, 50]}, "sizes are whole numbers from 2 on, not 1"),
        ({"sizes": []}, "give at least one"),
        ({"l2": 0.0}, "l2 = 0.0: must be a positive number"),
        ({"l2": math.nan}, "must be a positive number"),
        ({"features": X + 1j}, "complex"),
        ({"features": np.ma.masked_less(X, 0)}, "masked"),
        ({"features": X.astype(str) + "a"}, "not numbers"),
        ({"features": X[:, :0]}, "at least one of each"),
        ({"features": [[1.0, 2.0], [3.0]]}, "one length"),
    ],
)
def test_bad_input_is_refused_in_one_line(values, said):
    with pytest.raises(InputError, match=said) as error:
        forecast_head(**({"features": X, "labels": Y, "sizes": [60], "l2": 0.1} | values))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.coo_array, sparse.csc_array, torch.from_numpy, np.ndarray.tolist, np.float32]
)
def test_features_of_any_kind_give_the_forecast_of_their_array(kind):
    x, y = classified(200, 0)
    x = np.where(x > 0, x, 0.0).astype(np.float32).astype(np.float64)
    expected = forecast_head(x, y, [400, 800], l2=0.1)
    found = forecast_head(kind(x), y.tolist(), [400, 800], l2=0.1)
    assert expected.status == "extrapolated"
    assert found.loss.mean.tolist() == expected.loss.mean.tolist()


@pytest.mark.parametrize("sizes", [[math.nan], [100.5], [True], [math.inf]])
def test_sizes_are_whole_numbers(sizes):
    with pytest.raises(InputError, match="whole numbers from 2 on"):
        whole_sizes(sizes)


SCALES = {
    "zero": lambda x: 0 * x,
    "constant": lambda x: 0 * x + 3,
    "tiny": lambda x: 1e-200 * x,
    "huge": lambda x: 1e200 * x,
    "large": lambda x: 1e8 * x,
    "far from zero": lambda x: x + 1e6,
}


@pytest.mark.parametrize("scale", SCALES)
def test_features_of_a_scale_that_no_head_can_be_fitted_to_are_refused(scale):
    digits = load_digits()
    with pytest.raises(InputError, match="standardise") as found:
        forecast_head(SCALES[scale](digits.data[:200] / 16), digits.target[:200], [400], l2=0.01)
    assert "\n" not in str(found.value)


def test_one_size_alone_is_told_to_be_a_list():
    with pytest.raises(InputError, match=r"such as \[400\]"):
        whole_sizes(400)
