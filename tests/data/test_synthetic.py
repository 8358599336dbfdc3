"""Synthetic regression: its distribution is the one that it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.data import SyntheticRegression
from suffice.errors import InputError

TARGETS = st.sampled_from(["teacher", "linear"])
MANY = 40_000


@given(TARGETS, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_same_seeds_give_the_same_samples_and_others_give_others(target, dimension, seed):
    one, same = (SyntheticRegression(target, dimension, 0.3, seed) for _ in range(2))
    assert one.fingerprint() == same.fingerprint()
    for drawn, again, other in zip(one.draw(20, 5), same.draw(20, 5), one.draw(20, 6), strict=True):
        assert np.array_equal(drawn, again)
        assert not np.isclose(drawn, other).any()
    assert one.fingerprint() != SyntheticRegression(target, dimension, 0.3, seed + 1).fingerprint()
    assert one.fingerprint() != SyntheticRegression(target, dimension, 0.4, seed).fingerprint()


@given(TARGETS, st.integers(1, 6), st.floats(0, 2), st.integers(0, 100))
def test_the_noise_has_its_variance_and_the_function_has_variance_1(target, dimension, noise, seed):
    regression = SyntheticRegression(target, dimension, noise, seed)
    x, y = regression.draw(MANY, seed)
    f = regression.expected(x)
    errors = y - f
    within = 6 / np.sqrt(MANY)
    assert abs(errors.mean()) <= within * noise
    assert errors.var() == pytest.approx(noise**2, rel=2 * within)
    assert f.var() == pytest.approx(1, rel=0.12)  # the teacher is calibrated over 10,000 inputs
    assert abs(f.mean()) < 0.08
    assert np.abs(x.mean(0)).max() <= within
    assert np.abs(x.T @ errors / MANY).max() <= within * noise + 1e-12


@given(st.integers(1, 6), st.integers(0, 100))
def test_linear_is_linear_and_the_teacher_is_not(dimension, seed):
    x = np.random.default_rng(seed).standard_normal((2, 50, dimension))

    def bends(target):
        f = SyntheticRegression(target, dimension, 0.0, seed).expected
        return np.abs(f(x[0] + x[1]) + f(0 * x[0]) - f(x[0]) - f(x[1])).max()

    assert bends("linear") < 1e-12
    assert bends("teacher") > 1e-3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quadratic", 3, 0.1), "target is 'teacher' or 'linear', not 'quadratic'"),
        (("linear", 0, 0.1), "dimension = 0"),
        (("linear", 3, -1.0), "noise = -1.0"),
        (("linear", 3, float("nan")), "noise = nan"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    with pytest.raises(InputError) as error:
        SyntheticRegression(*arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
