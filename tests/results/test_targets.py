"""The size at which a measured learning curve meets a target, and from which on it keeps it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError, LearningCurve
from suffice.results import Band


def band(mean, width=0.0):
    mean = np.asarray(mean, dtype=float)
    return Band(mean=mean, low=mean - width, high=mean + width)


def measured(losses, width=0.0, sizes=(100, 200, 400)):
    return LearningCurve(sizes=list(sizes), loss=band(losses, width), accuracy=band(1 - np.array(losses), width))


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
    answer = measured(0.1 + 10 / np.array([100, 200, 800]), width=0.01, sizes=(100, 200, 800)).sufficient_size(
        target_loss=0.15
    )
    assert (answer.low, answer.size, answer.high) == (math.ceil(10 / 0.06), 200, math.ceil(10 / 0.04))


def test_what_is_not_reached_is_said_with_the_sizes_that_were_tried():
    tried = measured([0.5, 0.4, 0.3]).sufficient_size(target_loss=0.2)
    assert (tried.status, tried.size) == ("cannot_tell", None)
    assert "not reached with 400 samples, the most that were tried" in tried.explanation


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({}, "give one of"),
        ({"target_loss": 0.3, "excess": 0.1}, "give one of"),
        ({"target_accuracy": 1.0}, "target_accuracy = 1.0: must be above 0 and below 1"),
        ({"target_loss": -1.0}, "target_loss = -1.0: must be above 0"),
        ({"target_loss": math.nan}, "target_loss = nan"),
        ({"excess": 0.1}, "excess needs a predicted curve"),
        ({"cost_per_sample": 0.001}, "cost_per_sample needs a predicted curve"),
        ({"target_loss": 0.35, "assurance": 0.8}, "an assurance needs a predicted curve"),
        ({"excess": 0.1, "of": "next"}, "goes with a target"),
        ({"cost_per_sample": 0.0}, "cost_per_sample = 0.0: must be above 0"),
    ],
)
def test_bad_targets_are_refused(targets, said):
    with pytest.raises(InputError, match=said):
        measured([0.5, 0.4, 0.3]).sufficient_size(**targets)
