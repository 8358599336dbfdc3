"""Slopes on log axes and moving averages, against simulation, brute force and what is known of 1/k."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from suffice.errors import InputError
from suffice.landscape import log_slope, moving_average

K = np.unique(np.geomspace(10, 999, 16).round().astype(np.int64))
POSITIVE = st.floats(1e-6, 1e6)


@given(POSITIVE, st.floats(-3, 3))
def test_an_exact_power_law_has_its_slope_and_no_error(height, power):
    slope = log_slope(K, height * K**power)
    assert slope.value == pytest.approx(power, abs=1e-9)
    assert slope.error == pytest.approx(0, abs=1e-9)


@given(st.lists(POSITIVE, min_size=3, max_size=len(K)))
def test_it_agrees_with_the_normal_equations(steps):
    k = K[: len(steps)]
    slope = log_slope(k, np.array(steps))
    design = np.stack([np.ones(len(k)), np.log(k)], 1)
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ np.log(steps)
    variance = np.square(np.log(steps) - design @ fitted).sum() / (len(k) - 2)
    assert slope.value == pytest.approx(fitted[1], rel=1e-6, abs=1e-6)
    assert slope.error == pytest.approx(np.sqrt(variance * inverse[1, 1]), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("power", "least"), [(1, 0.93), (2, 0.90)], ids=["normal losses", "squared normal losses"])
def test_the_standard_error_covers_the_slope_of_independent_losses_in_order(power, least):
    draw = np.random.default_rng(0)
    quantile = stats.t.ppf(0.975, len(K) - 2)
    covered = []
    for _ in range(2000):
        losses = draw.standard_normal(1000) ** power
        means = np.cumsum(losses)[K - 1] / K
        slope = log_slope(K, np.abs(losses[K] - means) / (K + 1))
        covered.append(abs(slope.value + 1) <= quantile * slope.error)
    assert least <= np.mean(covered) <= 0.97


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=200), st.floats(0, 0.999))
def test_a_moving_average_is_its_recursion(curve, factor):
    value, expected = curve[0], []
    for point in curve:
        value = factor * value + (1 - factor) * point
        expected.append(value)
    assert np.allclose(moving_average(np.array(curve), factor), expected, rtol=1e-9, atol=1e-9)


def test_a_moving_average_makes_39_times_and_5_times_of_an_exact_curve():
    k = np.arange(1, 501)
    ratio = moving_average(1 / k, 0.99) * k
    assert ratio[99] == pytest.approx(39, abs=0.5)
    assert ratio[499] == pytest.approx(4.8, abs=0.05)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: log_slope(K[:2], 1.0 / K[:2]), "2 sizes: a slope with its error needs at least 3"),
        (lambda: log_slope(K, np.zeros(len(K))), "a step is zero"),
        (lambda: moving_average(1.0 / K, 1.0), "factor = 1.0"),
        (lambda: moving_average(1.0 / K, -0.1), "factor = -0.1"),
    ],
)
def test_bad_input_is_one_line(call, said):
    with pytest.raises(InputError) as error:
        call()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
