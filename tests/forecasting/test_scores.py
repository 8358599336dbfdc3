"""Curves continued from scores: known answers, what every forecast has to keep, and calibration under the prior."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import suffice
from suffice.errors import InputError
from suffice.forecasting import forecast_scores, next_run
from suffice.forecasting.posterior import LEVEL_ERROR, posterior_cells, units, wander_covariance
from suffice.forecasting.shapes import Grid, shape_prior
from suffice.results import fall

SIZES = np.array([100, 200, 400, 800])
AHEAD = np.array([1600, 3200, 6400])
FALLING = np.array([0.31, 0.25, 0.21, 0.18])


def test_the_shape_is_the_power_law_without_delay_and_mmf4_with():
    ratios = np.geomspace(0.01, 100, 40)
    a, b, c = 0.1, 0.3, 0.7
    power = a + b * ratios**-c
    assert np.allclose(a + b - b * c * fall(ratios, c, 0.0), power, rtol=1e-12)
    q, height = 3.0, 0.8
    mmf4 = a + height / (q + ratios**c)
    slope = height * c / (1 + q) ** 2
    assert np.allclose(a + height / (1 + q) - slope * fall(ratios, c, q), mmf4, rtol=1e-12)


def test_the_likelihood_and_the_posterior_of_a_cell_are_those_of_the_joint_normal():
    grid = Grid(
        slopes=np.array([[0.3, 0.2], [-0.1, 0.5]]),
        exponents=np.array([0.5, 1.2]),
        delays=np.array([0.0, 2.0]),
        wander=np.array([0.05, 0.2]),
        noise=np.array([0.1]),
        noise_exponent=0.25,
    )
    given = units(np.array([100.0, 200, 200, 800]), np.array([0.4, 0.3, 0.33, 0.2]), None, "error", 0.25)
    cells = posterior_cells(given, grid)
    wander, slope, shape = 1, 0, 1
    shapes = fall(given.ratios, 1.2, 2.0)
    around = 0.2**2 * wander_covariance(given.ratios, given.ratios)
    around += np.diag(given.known + 0.1**2 * given.unknown)
    design = np.stack([np.ones(4), -shapes], axis=1)
    prior, prior_mean = np.diag([LEVEL_ERROR**2, 0.2**2]), np.array([0.0, 0.3])
    covariance = around + design @ prior @ design.T
    expected = multivariate_normal(design @ prior_mean, covariance).logpdf(given.scores)
    assert cells.log_likelihood[wander, 0, slope, shape] == pytest.approx(expected, rel=1e-8)
    gain = prior @ design.T @ np.linalg.inv(covariance)
    mean = prior_mean + gain @ (given.scores - design @ prior_mean)
    assert np.allclose(cells.mean[wander, 0, slope, shape], mean, rtol=1e-7)
    assert np.allclose(cells.covariance[wander, 0, slope, shape], prior - gain @ design @ prior, atol=1e-8)


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_many_exact_scores_of_a_power_law_are_continued(exponent):
    sizes = np.geomspace(50, 3200, 13).round()

    def curve(n):
        return 0.08 + 0.3 * (n / 50) ** -exponent

    told = forecast_scores(sizes, curve(sizes), at=[6400, 12800], errors=np.full(13, 1e-4))
    truth = curve(np.array([6400, 12800]))
    assert np.abs(told.mean - truth).max() < 0.01
    assert (told.low < truth).all()
    assert (told.high > truth).all()


def test_accuracy_is_one_less_the_error():
    error = forecast_scores(SIZES, FALLING, AHEAD)
    accuracy = forecast_scores(SIZES, 1 - FALLING, AHEAD, metric="accuracy")
    assert np.allclose(accuracy.mean, 1 - error.mean, atol=1e-9)
    assert np.allclose(accuracy.low, 1 - error.high, atol=1e-9)
    assert np.allclose(accuracy.probability(0.87), error.probability(0.13), atol=1e-3)


@given(factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_scores_of_any_scale_keep_it(factor, shift):
    at = [1600, 6400]
    plain = forecast_scores(SIZES, -FALLING, at, metric="score")
    moved = forecast_scores(SIZES, shift - factor * FALLING, at, metric="score")
    for name in ("low", "mean", "high"):
        assert np.allclose(getattr(moved, name), shift + factor * getattr(plain, name), atol=1e-5 * factor + 1e-9)


@given(factor=st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_losses_keep_their_unit(factor):
    plain = forecast_scores(SIZES, FALLING, AHEAD, metric="loss")
    assert np.allclose(forecast_scores(SIZES, factor * FALLING, AHEAD, metric="loss").mean, factor * plain.mean)


curves = st.tuples(
    st.lists(st.integers(10, 10_000), min_size=2, max_size=8, unique=True).map(sorted),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.4),
    st.floats(0.05, 0.5),
    st.floats(0.1, 1.5),
)


@given(curves)
@settings(max_examples=15, deadline=None)
def test_what_every_forecast_keeps(drawn):
    sizes, seed, limit, height, exponent = drawn
    n = np.array(sizes)
    noise = 0.01 * np.random.default_rng(seed).normal(size=len(n))
    scores = np.clip(limit + height * (n / n[0]) ** -exponent + noise, 0, 1)
    order = np.random.default_rng(seed).permutation(len(n))
    assume(scores[0] > scores[-1] + 0.02)
    told = forecast_scores(n, scores, at=[n[0], n[-1], 4 * n[-1], 100 * n[-1]])
    assert (told.low <= told.mean).all()
    assert (told.mean <= told.high).all()
    assert (told.low >= 0).all()
    assert (told.high <= 1).all()
    again = forecast_scores(n[order], scores[order], at=told.sizes)
    assert np.allclose(again.mean, told.mean, atol=0.01)
    assert np.array_equal(forecast_scores(n, scores, at=told.sizes).low, told.low)
    targets = np.linspace(0.05, 0.6, 6)
    for of in ("mean", "next"):
        chances = np.array([told.probability(target, of=of) for target in targets])
        assert (np.diff(chances, axis=0) >= 0).all()
        assert (chances >= 0).all()
        assert (chances <= 1).all()
    answers = [told.sufficient_size(0.3, assurance) for assurance in (0.3, 0.5, 0.8)]
    found = [answer.size for answer in answers if answer.size is not None]
    assert found == sorted(found)
    assert [answer.status == "unreachable" for answer in answers] == sorted(
        answer.status == "unreachable" for answer in answers
    )


def drawn_from_the_prior(random, level, sizes):
    """A curve with that level at the largest of the first four sizes, and its scores: all from the shipped prior."""
    prior = shape_prior("error")
    shares = prior.shares(level)
    cell = np.unravel_index(random.choice(shares.size, p=shares.ravel()), shares.shape)
    wander, noise, slope, shape = (int(index) for index in cell)
    ratios, grid = sizes / sizes[3], prior.grid
    g = random.normal(*grid.slopes[slope])
    walk = np.linalg.cholesky(wander_covariance(ratios, ratios) + 1e-12 * np.eye(len(ratios))) @ random.normal(size=6)
    curve = level * (1 - g * fall(ratios, grid.exponents[shape], grid.delays[shape]) + grid.wander[wander] * walk)
    deviation = grid.noise[noise] * np.sqrt(level * (1 - level)) * ratios**-grid.noise_exponent
    return curve, curve + deviation * random.normal(size=6)


@pytest.mark.deep
def test_intervals_hold_what_the_prior_draws():
    """90% of 200 curves, of which 9 in 10 are inside to within 3 standard errors; of the mean and of the next model."""
    random, sizes = np.random.default_rng(0), np.array([100.0, 200, 400, 800, 3200, 6400])
    inside, of_next = [], []
    while len(inside) < 200:
        curve, scores = drawn_from_the_prior(random, random.uniform(0.25, 0.4), sizes)
        if curve.min() < 0 or curve.max() > 1 or scores.min() < 0 or scores.max() > 1:
            continue
        try:
            told = forecast_scores(sizes[:4], scores[:4], at=sizes[4:])
        except InputError:
            continue
        inside.append((told.low <= curve[4:]) & (curve[4:] <= told.high))
        chance = told.at([6400]).probability(float(np.clip(scores[5], 1e-6, 1 - 1e-6)), of="next")[0]
        of_next.append(0.05 <= chance <= 0.95)
    assert np.abs(np.mean(inside, axis=0) - 0.9).max() < 3 * np.sqrt(0.9 * 0.1 / 200)
    assert abs(np.mean(of_next) - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 200)


def test_the_next_model_varies_more_than_the_mean_and_repeats_tell_by_how_much():
    random = np.random.default_rng(1)
    sizes = np.repeat(SIZES, 25)
    scores = np.repeat(FALLING, 25) + 0.03 * random.normal(size=100)
    told = forecast_scores(sizes, scores, AHEAD)
    assert np.median(told.draws.noise) == pytest.approx(0.03 * (1 / 4) ** 0.23, rel=0.5)
    at = told.at([800])
    assert at.probability(0.22)[0] > 0.99
    assert 0.7 < at.probability(0.22, of="next")[0] < 0.99
    few = forecast_scores(SIZES, FALLING, AHEAD)
    assert ((told.high - told.low) < (few.high - few.low)).all()


def test_small_errors_narrow_the_curve():
    exact = forecast_scores(SIZES, FALLING, AHEAD, errors=np.full(4, 0.0005))
    rough = forecast_scores(SIZES, FALLING, AHEAD, errors=np.full(4, 0.03))
    assert ((exact.high - exact.low) < (rough.high - rough.low)).all()
    assert exact.at([800]).mean[0] == pytest.approx(FALLING[-1], abs=0.003)


def test_assurance_is_the_probability_at_the_size():
    told = forecast_scores(SIZES, FALLING, AHEAD)
    answer = told.sufficient_size(0.16, assurance=0.6)
    assert answer.assurance == 0.6
    assert answer.criterion == "target_error"
    assert told.at([answer.size]).probability(0.16)[0] == pytest.approx(0.6, abs=0.01)
    assert told.at([answer.low]).probability(0.16)[0] == pytest.approx(0.05, abs=0.01)
    middle = told.sufficient_size(0.16)
    assert middle.assurance is None
    assert middle.size < answer.size
    assert told.sufficient_size(0.16, assurance=0.6, of="next").size > answer.size


def test_an_assurance_beyond_the_interval_raises_the_confidence():
    told = forecast_scores(SIZES, FALLING, AHEAD)
    answer = told.sufficient_size(0.2, assurance=0.96)
    assert answer.confidence == pytest.approx(0.92)
    assert answer.high == answer.size


def test_a_target_that_was_met_is_reached_and_one_beyond_the_limit_has_its_probability():
    told = forecast_scores(SIZES, FALLING, AHEAD)
    assert told.sufficient_size(0.3).status == "reached"
    beyond = told.sufficient_size(0.01, assurance=0.9)
    assert (beyond.status, beyond.size, beyond.low, beyond.high) == ("unreachable", None, None, None)
    assert "largest probability is 0." in beyond.explanation
    assert told.sufficient_size(0.15).high is None


def test_scores_may_be_below_zero():
    rmse = forecast_scores(SIZES, -10 * FALLING, AHEAD, metric="score")
    answer = rmse.sufficient_size(-1.7)
    assert answer.criterion == "target_score"
    assert answer.size is not None


def test_the_next_run_narrows_more_with_more_samples_at_hand():
    told = forecast_scores(SIZES, FALLING, AHEAD)
    now, then = next_run(told, 0.15), next_run(told, 0.15, samples=12_800)
    assert 0 < then.interval_left < now.interval_left <= 1
    assert then.size * then.seeds <= 12_800
    assert f"{then.size:,}" in then.explanation


def test_one_bad_training_is_not_a_curve_that_gets_worse():
    told = forecast_scores(SIZES, [0.2, 0.21, 0.36, 0.25], AHEAD)
    assert (told.mean < 0.3).all()


def test_kinds_of_learner_differ():
    any_kind, trees = (forecast_scores(SIZES, FALLING, AHEAD, kind=kind).mean for kind in ("any", "trees"))
    assert not np.allclose(any_kind, trees, atol=1e-4)
    with pytest.raises(InputError, match='kind "tree".*did you mean "trees"'):
        forecast_scores(SIZES, FALLING, AHEAD, kind="tree")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sizes": [100], "scores": [0.3]}, "needs two sizes"),
        ({"sizes": [100, 100], "scores": [0.3, 0.2]}, "needs two sizes"),
        ({"scores": [0.3] * 4}, "all 4 scores are 0.3"),
        ({"scores": [0.3, 0.2]}, "4 sizes and 2 scores"),
        ({"scores": [31, 25, 21, 18]}, "in percent. Then give 0.31 for 31"),
        ({"scores": [-0.1, 0.1, 0.2, 0.3]}, "-0.1 is out of range for metric error"),
        ({"scores": [2.0, 1.5, 1.2, -1.0], "metric": "loss"}, "-1 is out of range for metric loss"),
        ({"scores": [0.3, float("nan"), 0.2, 0.1]}, "leave out trainings that failed"),
        ({"scores": [0.1, 0.2, 0.3, 0.4]}, 'gets worse with more samples, from 0.1 at 100 to 0.4 at 800.*"accuracy"'),
        ({"metric": "accuracy"}, 'the accuracy gets worse.*"error"'),
        ({"sizes": [0.1, 0.2, 0.5, 1.0]}, "0.1 is not a number of samples"),
        ({"sizes": [0, 200, 400, 800]}, "0 is not a number of samples"),
        ({"sizes": ["a", "b", "c", "d"]}, "sizes: must be numbers"),
        ({"at": []}, "at: must be a list"),
        ({"metric": "acuracy"}, 'did you mean "accuracy"'),
        ({"errors": [0.1]}, "1 errors and 4 scores"),
        ({"errors": [0.1, 0.1, 0.1, -0.1]}, "errors: -0.1 is below 0"),
    ],
)
def test_bad_input_is_one_line(changed, message):
    arguments = {"sizes": SIZES, "scores": FALLING, "at": AHEAD} | changed
    with pytest.raises(InputError, match=message) as raised:
        forecast_scores(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("target", [82, 0.0, 1.0, -0.5])
def test_targets_are_in_range(target):
    told = forecast_scores(SIZES, 1 - FALLING, AHEAD, metric="accuracy")
    with pytest.raises(InputError, match="is it 0.82, in percent" if target == 82 else "above 0 and below 1"):
        told.sufficient_size(target)
    with pytest.raises(InputError, match="assurance = 1: must be from"):
        told.sufficient_size(0.8, assurance=1)
    with pytest.raises(InputError, match='of = "one": must be mean or next'):
        told.probability(0.8, of="one")


def test_it_is_public():
    assert suffice.forecast_scores is forecast_scores


@pytest.mark.parametrize("assurance", [0.02, 0.05, 0.5, 0.95, 0.98])
def test_the_size_lies_in_its_interval_whatever_the_assurance(assurance):
    n = np.array([100, 200, 400, 800])
    curve = forecast_scores(n, 0.1 + 2 / np.sqrt(n), at=[1600], errors=np.full(4, 0.01))
    answer = curve.sufficient_size(0.2, assurance)
    assert answer.low <= answer.size
    assert answer.high is None or answer.size <= answer.high
    assert answer.confidence == pytest.approx(max(0.9, abs(2 * assurance - 1)))


def test_no_run_is_suggested_below_the_smallest_size():
    n = np.array([100, 200, 400])
    curve = forecast_scores(n, 0.1 + 2 / np.sqrt(n), at=[1600], errors=np.full(3, 0.02))
    assert 100 <= next_run(curve, 0.13).size <= 400
