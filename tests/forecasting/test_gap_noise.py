"""A loss gap that is lost in its noise, or negative."""

import numpy as np
import pytest

from suffice.forecasting.doubts import Gap, about_gap, gap_of, largest_gain
from suffice.forecasting.slopes import optimism_slope


def test_the_error_of_a_gap_is_that_of_pairs_or_of_two_sets():
    random = np.random.default_rng(0)
    own, unseen = random.exponential(size=50), random.exponential(size=400)
    paired = gap_of(own, own + 0.1 + 0.01 * random.normal(size=50), paired=True)
    assert paired.error == pytest.approx(0.01 / np.sqrt(50), rel=0.3)
    apart = gap_of(own, unseen, paired=False)
    assert apart.error**2 == pytest.approx(own.var(ddof=1) / 50 + unseen.var(ddof=1) / 400)
    copied = gap_of(np.tile(own, 4), np.tile(own + 0.1 * random.normal(size=50), 4), True, np.tile(np.arange(50), 4))
    assert copied.test_samples == 50
    assert copied.error > 1.8 * gap_of(np.tile(own, 4), np.tile(own + 0.1 * random.normal(size=50), 4), True).error


def test_the_largest_gain_is_that_of_the_optimism_slope_of_the_largest_gap():
    gap = Gap(0.1, 0.0, 1.0, 0.0, 100)
    own, unseen = np.array([0.4, 0.6]), np.array([0.5, 0.7])
    slope = optimism_slope(own, unseen, 100, 100).value
    assert largest_gain(gap, 100, 100, ahead=8) == pytest.approx(slope * (1 / 100 - 1 / 800))


def test_the_largest_gain_is_exceeded_in_one_of_twenty():
    random = np.random.default_rng(1)
    true = largest_gain(Gap(0.05, 0.0, 1.0, 0.0, 100), 100, 90)
    found = [
        largest_gain(gap_of(own, own + random.normal(0.05, 0.5, 100), paired=True), 100, 90)
        for own in random.exponential(size=(2000, 100))
    ]
    assert np.mean(np.array(found) < true) == pytest.approx(0.05, abs=0.015)


def test_a_gap_within_its_noise_says_what_is_possible_at_most_and_what_helps():
    finding = about_gap(Gap(0.02, 0.03, 0.09, 0.0, 100), samples=100, trained_on=100)
    assert (finding.code, finding.severity) == ("SUF022", "error")
    most = (0.02 + 1.645 * 0.03) / 2 * 7 / 8
    assert f"8 times as many samples lower the loss by at most {most:.2g} (95%)" in finding.what
    # 0.09 / 625 is the square of 0.6 times the gap
    assert "label about 530 more to test on" in finding.remedy
    assert about_gap(Gap(0.05, 0.03, 0.09, 0.0, 100), 100, 100) is None


def test_a_gap_that_is_negative_by_chance_is_no_mistake_of_the_user():
    finding = about_gap(Gap(-0.01, 0.03, 0.09, 0.0, 100), samples=100, trained_on=100)
    assert finding.code == "SUF022"
    assert "indistinguishable from zero" in finding.what
    finding = about_gap(Gap(-0.1, 0.03, 0.09, 0.0, 100), samples=100, trained_on=100)
    assert (finding.code, finding.severity) == ("SUF023", "error")


def test_noise_of_the_training_losses_is_not_helped_by_more_to_test_on():
    finding = about_gap(Gap(0.02, 0.03, 0.01, 0.0008, 100), samples=100, trained_on=100)
    assert "label more to train on" in finding.remedy
