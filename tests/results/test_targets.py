"""The size at which a learning curve meets a target, and from which on it keeps it."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from suffice import InputError, LearningCurve
from suffice.results import Band, Limit


def band(mean, width=0.0):
    mean = np.asarray(mean, dtype=float)
    return Band(mean=mean, low=mean - width, high=mean + width)


def measured(losses, width=0.0, sizes=(100, 200, 400)):
    return LearningCurve(sizes=list(sizes), loss=band(losses, width), accuracy=band(1 - np.array(losses), width))


def forecast(slope, limit, width=0.0, sizes=(150, 200, 800)):
    losses = limit + slope / np.array(sizes)
    limits = Limit(mean=limit, low=limit - width, high=limit + width)
    of_accuracy = Limit(mean=1 - limit, low=1 - limit - width, high=1 - limit + width)
    return LearningCurve(
        sizes=list(sizes),
        loss=band(losses, width),
        accuracy=band(1 - losses, width),
        samples=100,
        slope=slope,
        slope_error=0.1 * slope,
        loss_limit=limits,
        accuracy_limit=of_accuracy,
        status="extrapolated",
    )


@given(slope=st.floats(1, 50), limit=st.floats(0.05, 0.3), size=st.integers(160, 10**6))
def test_a_straight_line_in_one_over_k_is_met_where_it_is(slope, limit, size):
    curve, target = forecast(slope, limit), limit + slope / size
    assume(target < 1)
    answer = curve.sufficient_size(target_loss=target)
    assert math.isclose(answer.size, size, rel_tol=1e-6, abs_tol=1)
    assert (answer.low, answer.high) == (answer.size, answer.size)
    assert math.isclose(curve.sufficient_size(target_accuracy=1 - target).size, size, rel_tol=1e-4, abs_tol=1)
    excess = curve.sufficient_size(excess=slope / size)
    assert math.isclose(excess.size, size, rel_tol=1e-4, abs_tol=1)
    assert excess.low <= excess.size <= excess.high


def test_the_interval_of_an_excess_is_that_of_the_slope():
    answer = forecast(10.0, 0.2).sufficient_size(excess=0.01)
    share = 1.6448536 * 0.1
    assert (answer.low, answer.size, answer.high) == (
        math.ceil(1000 * (1 - share)),
        1000,
        math.ceil(1000 * (1 + share)),
    )


@given(losses=st.lists(st.floats(0.1, 1), min_size=3, max_size=3), target=st.floats(0.1, 1))
def test_from_the_answer_on_the_target_is_kept(losses, target):
    answer = measured(losses).sufficient_size(target_loss=target)
    if losses[-1] > target:
        assert answer.status == "cannot_tell"
        return
    assert answer.status == "reached"
    places = 1 / np.linspace(answer.size, 400, 50)
    curve = np.interp(-places, -1 / np.array([100, 200, 400]), losses)
    assert (curve <= target + 1e-9).all()


def test_the_ends_of_the_band_are_the_ends_of_the_interval():
    answer = forecast(10.0, 0.1, width=0.01).sufficient_size(target_loss=0.15)
    assert (answer.low, answer.size, answer.high) == (math.ceil(10 / 0.06), 200, math.ceil(10 / 0.04))


@given(slope=st.floats(1, 50), size=st.integers(150, 10**6))
def test_samples_pay_up_to_where_the_curve_is_as_steep_as_their_cost(slope, size):
    """The accuracy 1 - limit - slope / k rises by slope / k^2."""
    answer = forecast(slope, 0.05).sufficient_size(cost_per_sample=slope / size**2)
    assert math.isclose(answer.size, size, rel_tol=1e-6, abs_tol=1)
    assert (answer.low, answer.high, answer.status) == (answer.size, answer.size, "extrapolated")
    assert f"Beyond {answer.size:,} samples" in answer.explanation


@given(
    rises=st.lists(st.floats(0, 0.1), min_size=4, max_size=4),
    wider=st.floats(0, 0.1),
    cost=st.floats(1e-7, 1e-2),
)
def test_no_other_size_brings_more_accuracy_for_its_cost(rises, wider, cost):
    """A curve of any shape; the best size of gains that are larger or smaller is the end of the interval."""
    sizes, values = np.array([100, 200, 400]), 0.5 + np.cumsum(rises)
    curve = forecast(10.0, 0.1, sizes=sizes.tolist()).model_copy(
        update={
            "accuracy": band(values[:3], 0.03),
            "accuracy_limit": Limit(mean=values[3], low=values[3] - np.hypot(0.03, wider), high=1.0),
        }
    )
    answer = curve.sufficient_size(cost_per_sample=cost)
    assert answer.low <= answer.size <= answer.high
    share = wider / max(values[3] - values[0], 1e-15)
    tried = np.geomspace(100, 10**6, 400)
    for end, factor in ((answer.low, 1 - share), (answer.size, 1.0), (answer.high, 1 + share)):
        gains = np.interp(-1 / np.append(tried, end), [*(-1 / sizes), 0], values) - values[0]
        net = max(factor, 0) * gains - cost * np.append(tried, end)
        assert net[-1] >= net[:-1].max() - 2 * cost


def test_where_no_sample_pays_the_answer_is_those_at_hand():
    curve = forecast(10.0, 0.2, sizes=(100, 200))
    dear = curve.sufficient_size(cost_per_sample=0.01)
    assert (dear.low, dear.size, dear.high, dear.status) == (100, 100, 100, "reached")
    assert "One more sample than the 100 at hand costs more than it brings" in dear.explanation


def test_what_is_out_of_reach_is_said_with_the_limit():
    answer = forecast(10.0, 0.1, width=0.01).sufficient_size(target_loss=0.05)
    assert (answer.status, answer.size) == ("cannot_tell", None)
    assert "out of reach: the limit is 0.1 (0.09 to 0.11)" in answer.explanation
    half = forecast(10.0, 0.1, width=0.01).sufficient_size(target_loss=0.105)
    assert (half.low, half.size, half.high, half.status) == (667, 2000, None, "extrapolated")
    assert "2,000 samples (667 or more, no upper end)" in half.explanation
    tried = measured([0.5, 0.4, 0.3]).sufficient_size(target_loss=0.2)
    assert "not reached with 400 samples, the most that were tried" in tried.explanation


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({}, "give one of"),
        ({"target_loss": 0.3, "excess": 0.1}, "give one of"),
        ({"target_accuracy": 1.0}, "target_accuracy = 1.0: must be above 0 and below 1"),
        ({"target_loss": -1.0}, "target_loss = -1.0: must be above 0"),
        ({"target_loss": math.nan}, "target_loss = nan"),
        ({"excess": 0.1}, "a measured curve has none"),
        ({"cost_per_sample": 0.001}, "a measured curve has none"),
        ({"cost_per_sample": 0.0}, "cost_per_sample = 0.0: must be above 0"),
    ],
)
def test_bad_targets_are_refused(targets, said):
    with pytest.raises(InputError, match=said):
        measured([0.5, 0.4, 0.3]).sufficient_size(**targets)
