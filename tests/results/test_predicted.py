"""A predicted curve: its values, its probabilities, and the sizes that it answers with."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from suffice import InputError, LearningCurve
from suffice.results import Band, Curve, Draws, fall

SCORES = norm.ppf((np.arange(1000) + 0.5) / 1000)


def first_order(level, slope, samples=100, spread=0.0, noise=0.0, metric="loss", sizes=(100, 200)):
    """L(k) = level - slope (1 / samples - 1 / k), with a normal error of the level."""
    draws = Draws(
        smallest=samples / 2,
        largest=samples,
        level=level + spread * SCORES,
        slope=[slope / samples],
        exponent=[1.0],
        noise=[noise],
    )
    return Curve(metric=metric, sizes=list(sizes), draws=draws)


@given(exponent=st.floats(0.05, 3), delay=st.floats(0, 5))
def test_a_fall_starts_at_0_with_slope_1_and_ends_at_its_limit(exponent, delay):
    step = 1e-5
    rise = (fall(1 + step, exponent, delay) - fall(1 - step, exponent, delay)) / (2 * step)
    assert fall(1.0, exponent, delay) == pytest.approx(0, abs=1e-12)
    assert rise == pytest.approx(1, rel=1e-4)
    assert fall(math.inf, exponent, delay) == pytest.approx((1 + delay) / exponent)


@given(slope=st.floats(1, 50), size=st.integers(110, 50_000))
def test_a_first_order_curve_meets_its_targets_where_it_should(slope, size):
    """Between searched sizes, which are 7% apart, the probability is a line: a size without error is off by as much."""
    curve = first_order(0.2 + slope / 100, slope)
    assert curve.at([size]).mean[0] == pytest.approx(0.2 + slope / size, rel=1e-4)
    for answer in (curve.sufficient_size(0.2 + slope / size), curve.near_limit(slope / size)):
        assert math.isclose(answer.size, size, rel_tol=0.08)
        assert answer.low <= answer.size <= answer.high
        assert answer.status == "extrapolated"


@given(slope=st.floats(1, 50), size=st.integers(150, 50_000))
def test_samples_pay_up_to_where_the_curve_is_as_steep_as_their_cost(slope, size):
    """The accuracy level + slope (1 / k0 - 1 / k) rises by slope / k^2."""
    curve = first_order(0.9, slope, metric="accuracy")
    answer = curve.worth(slope / size**2)
    assert math.isclose(answer.size, size, rel_tol=0.01)
    assert f"Beyond {answer.size:,} samples" in answer.explanation


def test_where_no_sample_pays_the_answer_is_below_those_at_hand():
    dear = first_order(0.5, 10.0, metric="accuracy").worth(0.01)
    assert (dear.size, dear.status) == (50, "reached")
    assert "One more sample than the 100 at hand costs more than it brings" in dear.explanation


@pytest.mark.parametrize("assurance", [0.2, 0.5, 0.8, 0.97])
def test_with_an_assurance_the_size_is_that_quantile_of_the_needed_size(assurance):
    """L(k) <= target where the level is at most target + slope (1 / k0 - 1 / k)."""
    curve = first_order(0.5, 30.0, spread=0.05)
    answer = curve.sufficient_size(0.4, assurance)
    level = 0.5 + 0.05 * norm.ppf(assurance)
    needed = 1 / (1 / 100 - (level - 0.4) / 30)
    assert math.isclose(answer.size, needed, rel_tol=0.03)
    assert answer.assurance == assurance
    assert answer.confidence == pytest.approx(max(0.9, 2 * assurance - 1))
    assert curve.at([answer.size]).probability(0.4)[0] == pytest.approx(assurance, abs=0.02)


def test_the_next_model_needs_more_samples_than_the_mean_to_be_as_sure():
    curve = first_order(0.5, 30.0, spread=0.02, noise=0.05)
    sizes = [answer.size for answer in (curve.sufficient_size(0.4, 0.9, of) for of in ("mean", "next"))]
    assert sizes[0] < sizes[1]
    answer = curve.sufficient_size(0.4, 0.9, "next")
    assert (answer.of, "by the next model" in answer.explanation) == ("next", True)
    of_next = curve.at([400]).probability(0.4, of="next")[0]
    spread = math.hypot(0.02, 0.05 * 100 / 400)
    assert of_next == pytest.approx(norm.cdf((0.4 - (0.5 - 30 * (1 / 100 - 1 / 400))) / spread), abs=0.005)


def test_a_target_beyond_the_limit_is_unreachable_with_the_largest_probability():
    answer = first_order(0.5, 30.0, spread=0.01).sufficient_size(0.1)
    assert (answer.status, answer.size, answer.low, answer.high) == ("unreachable", None, None, None)
    assert "its largest probability is 0" in answer.explanation
    half = first_order(0.5, 30.0, spread=0.05).sufficient_size(0.23)
    assert half.high is None
    assert half.status == "extrapolated"


@given(level=st.floats(0.2, 2), slope=st.floats(0.1, 50), exponent=st.floats(0.3, 2), knots=st.integers(0, 3))
def test_json_gives_the_same_curve_back(level, slope, exponent, knots):
    random = np.random.default_rng(knots)
    wander = {}
    if knots:
        wander = {"knots": np.arange(knots + 1.0), "wander": random.normal(size=(50, knots + 1))}
    draws = Draws(
        smallest=50,
        largest=100,
        level=level + random.normal(size=50),
        slope=[slope],
        exponent=[exponent],
        noise=[0.1],
        **wander,
    )
    loss = Curve(metric="loss", sizes=[100, 400], draws=draws)
    curve = LearningCurve(sizes=[100, 400], loss=loss, accuracy=loss, samples=100, status="extrapolated")
    again = LearningCurve.model_validate_json(curve.model_dump_json())
    assert isinstance(again.loss, Curve)
    assert again.model_dump_json() == curve.model_dump_json()
    assert again.loss.at([777]).mean == curve.loss.at([777]).mean


def test_a_learning_curve_asks_its_curves():
    loss, accuracy = first_order(0.5, 30.0, spread=0.02), first_order(0.3, 20.0, spread=0.02, metric="accuracy")
    curve = LearningCurve(sizes=[100, 200], loss=loss, accuracy=accuracy, samples=100, status="extrapolated")
    assert curve.sufficient_size(target_loss=0.4, assurance=0.8) == loss.sufficient_size(0.4, 0.8)
    assert curve.sufficient_size(target_accuracy=0.75, of="next") == accuracy.sufficient_size(0.75, of="next")
    assert curve.sufficient_size(excess=0.05) == loss.near_limit(0.05)
    assert curve.sufficient_size(cost_per_sample=1e-4) == accuracy.worth(1e-4)


def test_values_are_those_of_the_draws_and_within_what_is_possible():
    curve = first_order(0.02, 1.0, spread=0.05)
    assert (curve.low >= 0).all()
    assert curve([100, 200]).tolist() == curve.at([100, 200]).mean.tolist()
    assert np.median(curve.samples, axis=0) == pytest.approx(curve.mean)
    assert curve.limit.low <= curve.limit.mean <= curve.limit.high


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda curve: curve.sufficient_size(82.0), "is it 0.82, in percent"),
        (lambda curve: curve.sufficient_size(0.8, assurance=0.999), "assurance = 0.999: must be from"),
        (lambda curve: curve.probability(0.8, of="best"), 'of = "best"'),
        (lambda curve: curve.near_limit(0.0), "excess = 0: must be above 0"),
        (lambda curve: curve.worth(-1.0), "cost_per_sample = -1: must be above 0"),
        (lambda curve: curve.at([0.5]), "not a number of samples"),
    ],
)
def test_bad_questions_are_refused_in_one_line(ask, said):
    with pytest.raises(InputError, match=said) as error:
        ask(first_order(0.5, 10.0, metric="accuracy"))
    assert "\n" not in str(error.value)


def test_a_forecast_that_cannot_be_told_answers_so():
    nothing = Band(mean=[math.nan], low=[math.nan], high=[math.nan])
    curve = LearningCurve(sizes=[100], loss=nothing, accuracy=nothing, status="cannot_tell", explanation="Why not.")
    answer = curve.sufficient_size(target_accuracy=0.9, assurance=0.8)
    assert (answer.status, answer.explanation, answer.assurance) == ("cannot_tell", "Why not.", 0.8)
