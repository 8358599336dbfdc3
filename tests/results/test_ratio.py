"""Weighted means as plain means of linearised values, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suffice.results import linearised

LOSSES = arrays(np.float64, 12, elements=st.floats(0, 10))
TOKENS = arrays(np.float64, 12, elements=st.integers(1, 500).map(float))


@given(LOSSES, TOKENS)
def test_the_mean_is_that_of_all_tokens(losses, tokens):
    every = np.repeat(losses, tokens.astype(int))
    assert linearised(losses, tokens).mean() == pytest.approx(every.mean(), rel=1e-9, abs=1e-12)


@given(LOSSES, LOSSES, TOKENS)
def test_differences_are_linearised_as_what_they_are_of(before, after, tokens):
    difference = linearised(after, tokens) - linearised(before, tokens)
    assert difference == pytest.approx(linearised(after - before, tokens), abs=1e-9)


@given(LOSSES, st.floats(0.5, 100))
def test_equal_weights_change_nothing(losses, weight):
    assert linearised(losses, np.full(12, weight)) == pytest.approx(losses, abs=1e-9)


def test_the_standard_error_is_that_of_leaving_out_one_sample():
    random = np.random.default_rng(0)
    tokens = random.integers(5, 60, 400).astype(float)
    losses = 1 + 0.02 * tokens + random.normal(0, 0.5, 400)
    without = [np.average(np.delete(losses, row), weights=np.delete(tokens, row)) for row in range(400)]
    jackknife = np.sqrt(399 / 400 * np.square(np.array(without) - np.mean(without)).sum())
    assert linearised(losses, tokens).std(ddof=1) / 20 == pytest.approx(jackknife, rel=0.01)
    assert np.std(tokens / tokens.mean() * losses, ddof=1) / 20 > 1.5 * jackknife  # as of a mean with known weights
