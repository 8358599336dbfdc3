"""Stop labelling, or label more: the rule, on curves that are known, and the noise that looks share."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from suffice.errors import InputError
from suffice.forecasting import monitor_scores
from suffice.forecasting.labelling import gains_ahead, labelling_curve
from suffice.forecasting.looks import Measured
from suffice.forecasting.posterior import LEVEL_ERROR, Units, posterior_cells, wander_covariance
from suffice.forecasting.shapes import Grid
from suffice.forecasting.stopping import Wanted, decide, probability_of_less
from suffice.results import Curve, Draws, fall

T = 100.0 * np.arange(1, 11)


def known(fall_per_doubling, level=0.2, size=1000, spread=0.0):
    """An accuracy that is told exactly, or up to a spread of its slope."""
    slope = fall_per_doubling / np.log(2) * np.linspace(1 - spread, 1 + spread, 501)
    draws = Draws(smallest=100, largest=size, level=np.full(501, level), slope=slope, exponent=[1e-6], noise=[0.01])
    return Curve(metric="accuracy", sizes=[size], draws=draws)


def look(size=1000, score=0.8, low=0.75, high=0.85):
    return [Measured(size, score, low, high, None, None)]


def decided(curve, looks=None, **wanted):
    return decide(curve, looks or look(), Wanted(batch=100, **wanted), "no curve", 100, "why")


def test_it_stops_where_both_ways_say_that_doubling_brings_less():
    stop = decided(known(0.005), gain=0.02)
    assert (stop.action, stop.reason, stop.labels, stop.total) == ("stop", "little gain", 0, None)
    assert stop.probability > 0.99
    go_on = decided(known(0.015), gain=0.02)  # the curve says less, but gains may rise from one doubling to the next
    assert probability_of_less(known(0.015), 1000, 0.02) < 0.95
    assert (go_on.action, go_on.reason, go_on.labels) == ("label", "gain", 100)
    assert go_on.next.value == pytest.approx(0.015 * np.log2(1.1), rel=1e-3)


def test_the_last_doubling_is_continued_by_a_log_normal_ratio():
    by_curve, again = gains_ahead(known(0.03), 1000)
    assert np.allclose(by_curve, 0.03, rtol=1e-4)
    assert np.median(again) == pytest.approx(0.75 * 0.03, rel=0.05)
    assert np.log(again).std() == pytest.approx(0.5, rel=0.08)


def test_no_more_is_asked_for_than_the_pool_has():
    decision = decided(known(0.05), gain=0.02, pool=1030)
    assert decision.labels == 30
    assert decision.rest.value == pytest.approx(decision.next.value)
    done = decided(known(0.05), gain=0.02, pool=1000)
    assert (done.action, done.reason, done.rest, done.next) == ("stop", "pool", None, None)


def test_a_target_is_planned_for_in_whole_batches():
    decision = decided(known(0.05, spread=0.2), target=0.85)
    assert (decision.action, decision.reason) == ("label", "target ahead")
    assert decision.labels % 100 == 0
    assert decision.labels == pytest.approx(1000 * (2 ** (1 / 0.82) - 1), abs=110)  # reached by 95% of the slopes
    assert decision.probability >= 0.95
    assert decision.total.size == pytest.approx(2000, rel=0.02)
    all_of_it = decided(known(0.05, spread=0.2), target=0.85, pool=2000)
    assert all_of_it.labels == 1000
    assert 0.3 < all_of_it.probability < 0.7


def test_a_target_ends_labelling_as_measured_by_the_curve_or_out_of_reach():
    by_look = decided(known(0.05), look(low=0.79), target=0.78)
    assert (by_look.action, by_look.reason, by_look.probability) == ("stop", "target measured", None)
    by_curve = decided(known(0.05), look(low=0.75), target=0.78)
    assert (by_curve.action, by_curve.reason) == ("stop", "target by curve")
    far = decided(known(0.01), target=0.9, pool=3000)
    assert (far.action, far.reason, far.probability) == ("stop", "out of reach", 0.0)


def test_without_a_curve_it_cannot_tell_but_what_was_measured_still_counts():
    none = decided(None, gain=0.02)
    assert (none.action, none.reason, none.labels, none.explanation) == ("cannot tell", "no curve", 100, "why")
    reached = decided(None, look(low=0.79), target=0.78)
    assert reached.reason == "target measured"


@pytest.mark.parametrize("metric", ["accuracy", "error", "loss", "score"])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_target_lies_in_the_direction_of_its_metric_with_a_curve_or_without_one(metric, count):
    falling = 0.1 + 2 / np.sqrt(T[:count])
    rises = metric in ("accuracy", "score")
    scores = 1 - falling if rises else falling
    last, better = scores[-1], 1 if rises else -1
    for apart, reason in ((-0.05, "target measured"), (0.05, "few looks" if count < 4 else "target ahead")):
        target = float(last + better * apart)
        found = monitor_scores(T[:count], scores, target=target, metric=metric, errors=np.full(count, 0.004))
        assert found.decision.reason == reason, (metric, apart)


def test_few_looks_and_scores_without_a_curve_are_told():
    few = monitor_scores([100, 200], [0.7, 0.75], gain=0.01)
    assert (few.decision.reason, few.decision.labels, few.curve) == ("few looks", 200, None)
    flat = monitor_scores(T, np.full(10, 0.8), gain=0.01)
    assert (flat.decision.reason, flat.decision.labels) == ("no curve", 100)
    assert "they say nothing about more labels" in flat.decision.explanation
    worse = monitor_scores(T, 0.9 - 0.05 * np.log2(T), gain=0.01, holdout=2000)
    assert worse.decision.action == "cannot tell"
    assert "gets worse with more samples" in worse.decision.explanation


@pytest.mark.parametrize("metric", ["accuracy", "error", "loss", "score"])
def test_every_metric_is_continued_in_its_own_direction(metric):
    falling = 0.1 + 2 / np.sqrt(T)
    scores = {"accuracy": 1 - falling, "score": -30 * falling}.get(metric, falling)
    unit = 30 if metric == "score" else 1
    found = monitor_scores(T, scores, gain=0.001 * unit, metric=metric, errors=np.full(10, 0.002 * unit))
    true = unit * 2 * (1 - 1 / np.sqrt(2)) / np.sqrt(1000)
    assert found.decision.doubling.low < true < found.decision.doubling.high
    assert found.decision.action == "label"


def test_scores_of_samples_are_averaged_and_tell_their_own_error():
    draw = np.random.default_rng(0)
    hard = draw.random(400)
    right = (hard < (0.9 - 2 / np.sqrt(T))[:, None]).astype(float)
    by_sample = monitor_scores(T, right, gain=0.02)
    assert [look.score for look in by_sample.looks] == pytest.approx(right.mean(1))
    assert by_sample.looks[-1].low is not None
    by_size = monitor_scores(T, right.mean(1), gain=0.02, holdout=400)
    widths = [of.looks[-1].gain.high - of.looks[-1].gain.low for of in (by_sample, by_size)]
    assert widths[0] < widths[1]


def test_scores_of_one_size_are_averaged_and_sizes_sorted():
    twice = monitor_scores([200, 100, 200, 300, 400], [0.74, 0.7, 0.78, 0.8, 0.81], gain=0.01, batch=50)
    assert [(look.size, look.score) for look in twice.looks[:2]] == [(100, 0.7), (200, pytest.approx(0.76))]
    assert len(twice.looks) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gain": None}, "give a gain or a target"),
        ({"target": 0.9}, "give a gain or a target"),
        ({"gain": -0.1}, "gain = -0.1: must be above 0"),
        ({"gain": None, "target": 90}, "is it 0.9, in percent"),
        ({"pool": 0}, "pool = 0"),
        ({"assurance": 1.0}, "assurance = 1: must be at least 0.5 and below 1"),
        ({"holdout": 1}, "holdout = 1: must be at least 2"),
        ({"metric": "loss", "holdout": 100}, "tells the errors of accuracies and errors only"),
        ({"errors": [0.1]}, r"errors of shape \(1,\)"),
        ({"scores": [0.5] * 3}, r"scores of shape \(3,\) for 10 sizes"),
        ({"scores": [80.0] * 10}, "in percent"),
        ({"scores": ["a"] * 10}, "must be numbers"),
        ({"scores": np.ones((10, 1))}, "one sample tells nothing"),
        ({"sizes": [0.5] * 10}, "number"),
        ({"gain": 2}, "gain = 2: must be below 1 for metric accuracy; in percent. Then give 0.02"),
        ({"gain": 2, "metric": "error"}, "Then give 0.02"),
        ({"gain": 200}, "gain = 200: must be below 1 for metric accuracy$"),
        ({"pool": 300}, "pool = 300: less than the 1,000 labels at hand"),
        ({"kind": "foo"}, 'kind "foo": for this metric it must be one of any'),
        ({"kind": "language model", "sizes": [100], "scores": [0.7]}, 'kind "language model"'),
        ({"gain": None, "target": 90, "sizes": [100], "scores": [0.7]}, "is it 0.9, in percent"),
        ({"errors": [0.01] * 10, "holdout": 100}, "errors and holdout: give one of them"),
        ({"scores": np.ones((10, 4)), "holdout": 4}, "holdout and the score of each sample: give one of them"),
        ({"errors": [0.01] * 9 + [0]}, r"errors\[9\] is 0, .*give its size instead"),
        ({"errors": [0.0] * 10, "metric": "loss"}, r"errors\[0\] is 0, .*leave the errors out"),
        ({"scores": [0.5] * 9 + [np.nan]}, r"scores\[9\] is nan, and has to be a finite number"),
        ({"scores": [[0, 1]] * 9 + [[1, np.inf]]}, r"scores\[9, 1\] is inf"),
    ],
)
def test_bad_input_is_refused_in_one_line(changes, said):
    values = {"sizes": T, "scores": 0.9 - 2 / np.sqrt(T), "gain": 0.02} | changes
    with pytest.raises(InputError, match=said) as refusal:
        monitor_scores(**values)
    assert "\n" not in str(refusal.value)


def test_shared_noise_is_that_of_the_joint_normal():
    grid = Grid(np.array([[0.3, 0.2]]), np.array([0.5]), np.zeros(1), np.array([0.05]), np.array([0.1]), 0.25)
    ratios, scores = np.array([0.25, 0.5, 1.0]), np.array([0.4, 0.1, -0.1])
    first, second = (np.random.default_rng(seed).normal(size=(3, 5)) for seed in (0, 1))
    given = Units(800.0, 0.3, 1.0, 1.0, ratios, scores, known=first @ first.T, unknown=second @ second.T)
    cells = posterior_cells(given, grid)
    design = np.stack([np.ones(3), -fall(ratios, 0.5, 0.0)], axis=1)
    around = 0.05**2 * wander_covariance(ratios, ratios) + given.known + 0.1**2 * given.unknown
    covariance = around + design @ np.diag([LEVEL_ERROR**2, 0.2**2]) @ design.T
    expected = multivariate_normal(design @ [0.0, 0.3], covariance).logpdf(scores)
    assert cells.log_likelihood[0, 0, 0, 0] == pytest.approx(expected, rel=1e-8)


def test_noise_that_looks_share_moves_the_level_and_not_the_gain():
    """A hold-out that is easier than others by 5 points is so at each look."""
    scores = 0.85 - 2 / np.sqrt(T)
    errors = np.full(10, 0.02)
    own, easier = (labelling_curve(T, scores + shift, "accuracy", errors) for shift in (0.0, 0.05))
    gains = [np.median(curve.at([2000]).samples[:, 0] - curve.at([1000]).samples[:, 0]) for curve in (own, easier)]
    assert gains[0] == pytest.approx(gains[1], abs=0.004)
    level = own.at([1000])
    assert level.high[0] - level.low[0] > 2 * 0.015  # the error of the hold-out stays in the level


def test_a_sequence_of_a_known_curve_stops_late_enough():
    """An accuracy that rises by 3 points with each doubling is never stopped for a gain of 2."""
    draw = np.random.default_rng(0)
    true = 0.6 + 0.03 * np.log2(T / 100)
    hard, own = draw.random(500), draw.random((10, 500))
    right = np.where(own < 0.15, draw.random((10, 500)), hard) < true[:, None]
    actions = [monitor_scores(T[:n], right[:n].astype(float), gain=0.02).decision.action for n in range(4, 11)]
    assert actions == ["label"] * 7
