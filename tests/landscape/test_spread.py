import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from suffice import InputError
from suffice.landscape.spread import Spread

SEEDS = st.integers(0, 2**32 - 1)


def naive_interval(losses, resamples, seed, confidence, relative):
    """The bootstrap-t interval of the logarithm, draw by draw, with influence values by numerical differentiation."""
    draw, samples = np.random.default_rng(seed), len(losses)
    squares = ((losses - losses.mean(0)) ** 2).mean(1)

    def log_estimate(rows):
        return np.log(rows.var(0, ddof=1).mean()) - (2 * np.log(rows[:, 0].mean()) if relative else 0)

    def error(chosen):
        variance, mean = losses[chosen].var(0).mean() * samples / (samples - 1), losses[chosen, 0].mean()

        def log_of(square, loss):
            return np.log(variance + square) - (2 * np.log(mean + loss) if relative else 0)

        step = 1e-6
        to_square = (log_of(step, 0) - log_of(-step, 0)) / (2 * step)
        to_loss = (log_of(0, step) - log_of(0, -step)) / (2 * step)
        influence = to_square * squares[chosen] + to_loss * losses[chosen, 0]
        return np.sqrt(influence.var() / samples)

    everything = np.arange(samples)
    t = []
    for _ in range(resamples):
        chosen = draw.integers(samples, size=samples)
        t.append((log_estimate(losses[chosen]) - log_estimate(losses)) / error(chosen))
    tail = (1 - confidence) / 2
    ends = log_estimate(losses) - error(everything) * np.quantile(t, [1 - tail, tail], method="inverted_cdf")
    return np.exp([min(ends[0], log_estimate(losses)), max(ends[1], log_estimate(losses))])


@given(seed=SEEDS, samples=st.integers(8, 25), probes=st.integers(1, 3), relative=st.booleans())
def test_interval_equals_a_naive_bootstrap_of_the_same_draws(seed, samples, probes, relative):
    losses = np.random.default_rng(seed).exponential(1, (samples, probes)) + 1
    found = Spread(losses, resamples=80, seed=seed).interval(0.8, relative)
    assert_allclose(found, naive_interval(losses, 80, seed, 0.8, relative), rtol=1e-5)


@given(seed=SEEDS, samples=st.integers(3, 40), confidence=st.floats(0.01, 0.99), relative=st.booleans())
def test_interval_contains_the_estimate(seed, samples, confidence, relative):
    losses = np.random.default_rng(seed).exponential(1, (samples, 2)) + 1
    spread = Spread(losses, resamples=30, seed=0)
    low, high = spread.interval(confidence, relative)
    assert low <= spread.variance / spread.scale(relative) ** 2 <= high


@given(seed=SEEDS, samples=st.integers(3, 20), probes=st.integers(1, 3), offset=st.sampled_from([0, 1, 1e6]))
def test_variances_are_unbiased_whatever_the_offset(seed, samples, probes, offset):
    losses = np.random.default_rng(seed).normal(size=(samples, probes)) + offset
    spread = Spread(losses, resamples=2, seed=0)
    assert_allclose(spread.variances, losses.var(0, ddof=1), rtol=1e-9)
    assert math.isclose(spread.variance, losses.var(0, ddof=1).mean(), rel_tol=1e-9)
    assert math.isclose(spread.center_loss, losses[:, 0].mean(), rel_tol=1e-9, abs_tol=1e-12)


def test_interval_shrinks_like_the_root_of_the_samples():
    draw = np.random.default_rng(0)

    def width(samples):
        low, high = Spread(draw.normal(size=(samples, 1)), resamples=500, seed=0).interval(0.9, relative=False)
        return high - low

    assert width(200) / width(3200) == pytest.approx(4, rel=0.3)


def test_interval_is_the_same_for_a_seed_and_another_for_another_seed():
    losses = np.random.default_rng(0).exponential(size=(30, 2))
    first, again, other = (Spread(losses, 100, seed).interval(0.9, relative=False) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_wider_confidence_gives_a_wider_interval():
    spread = Spread(np.random.default_rng(0).exponential(size=(30, 2)), 500, 0)
    narrow, wide = (spread.interval(confidence, relative=False) for confidence in (0.5, 0.95))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("relative", [True, False])
def test_interval_covers_the_truth_about_as_often_as_it_says(relative):
    draw = np.random.default_rng(0)
    truth = 4 / 25 if relative else 4
    intervals = [Spread(draw.normal(5, 2, (60, 1)), 200, seed).interval(0.9, relative) for seed in range(200)]
    assert 0.82 < np.mean([low <= truth <= high for low, high in intervals]) < 0.97


def test_equal_losses_have_no_spread():
    spread = Spread(np.full((5, 2), 0.1), resamples=10, seed=0)
    assert spread.variance == 0
    assert spread.interval(0.9, relative=False) == (0, 0)
    assert spread.coefficient_of_variation == 0


@given(seed=SEEDS)
def test_coefficient_of_variation_is_that_of_the_losses_at_the_center(seed):
    losses = np.random.default_rng(seed).exponential(size=(20, 3))
    expected = losses[:, 0].std(ddof=1) / losses[:, 0].mean()
    assert Spread(losses, 2, 0).coefficient_of_variation == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("center", [[-1.0, 0, 1], [-3.0, -2, -1], [0.0, 0, 0]])
def test_there_is_no_coefficient_of_variation_without_a_positive_mean(center):
    spread = Spread(np.array(center)[:, None], 2, 0)
    assert spread.coefficient_of_variation is None
    assert "absolute" in spread.unusable_scale(0.9)


def test_a_mean_loss_far_from_zero_is_a_usable_scale():
    assert Spread(np.array([[1.0], [1.1], [0.9]]), 2, 0).unusable_scale(0.9) is None
    assert Spread(np.full((3, 1), 0.1), 2, 0).unusable_scale(0.9) is None


def test_fewer_than_three_samples_are_refused():
    with pytest.raises(InputError, match="at least 3"):
        Spread(np.ones((2, 1)), 10, 0)


def test_few_samples_that_differ_leave_the_upper_end_open():
    losses = np.zeros((21, 1))
    losses[3] = 1
    spread = Spread(losses, 500, 0)
    assert spread.interval(0.9, relative=False)[1] == math.inf
    assert "too few" in spread.open_end(0.9, relative=False)
    assert Spread(np.arange(3.0)[:, None], 500, 0).open_end(0.9, relative=False) is None
