"""Learning rates by step, against the formulas as they are written."""

import math

import pytest

from suffice.training import FineTuning
from suffice.training.schedule import share_of_peak

LENGTHS = [1, 2, 7, 30, 101]


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("warm_up", [0, 1, 10, 200])
def test_a_constant_rate_rises_and_stays(steps, warm_up):
    shares = [share_of_peak("constant", step, steps, warm_up) for step in range(steps)]
    assert shares == [(step + 1) / (warm_up + 1) if step < warm_up else 1.0 for step in range(steps)]


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("warm_up", [0, 1, 10])
def test_warm_up_stable_decay_is_constant_but_for_the_last_fifth(steps, warm_up):
    decay = max(1, round(steps / 5))
    for step in range(steps):
        rise, fall = (step + 1) / (warm_up + 1), (steps - step) / decay
        assert share_of_peak("warmup-stable-decay", step, steps, warm_up) == pytest.approx(min(1, rise, fall))


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("warm_up", [0, 1, 10])
def test_a_cosine_falls_from_the_end_of_the_warm_up_to_zero(steps, warm_up):
    for step in range(steps):
        at = (step - warm_up - 1) / (steps - warm_up - 1) if step > warm_up else 0
        expected = (step + 1) / (warm_up + 1) if step < warm_up else (1 + math.cos(math.pi * at)) / 2
        assert share_of_peak("cosine", step, steps, warm_up) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "warmup-stable-decay", "cosine"])
def test_no_step_is_without_a_rate_and_none_above_the_peak(schedule):
    for steps in LENGTHS:
        for step in range(steps):
            rate = FineTuning(learning_rate=0.1, schedule=schedule).rate(step, steps)
            assert 0 < rate <= 0.1


def test_a_tenth_of_the_steps_warms_up_by_default():
    rates = [FineTuning(learning_rate=1.0).rate(step, 40) for step in range(5)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
