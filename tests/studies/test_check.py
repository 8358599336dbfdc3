"""The check of k* against the size at which held-out loss and accuracy settle."""

import math
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from scipy import stats

from suffice.results import Cell, Check, Retrained, SufficientSize
from suffice.studies import agreement_of, check, check_of
from suffice.studies.check import settled_size

SIZES = [20, 50, 100, 400]


@pytest.fixture(scope="module", autouse=True)
def _few_draws():
    """Fewer bootstrap draws: what is asserted holds for any number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "DRAWS", 40)
        yield


def brute_force(sizes, values, within):
    """Where the broken line through (log size, value) last comes down to the last value + within."""
    limit = values[-1] + within
    if values[-2] > limit:
        return float(sizes[-1]), True
    settled = float(sizes[0])
    for (size, value), (after, lower) in pairwise(zip(sizes, values, strict=True)):
        if value > limit >= lower:
            share = (value - limit) / (value - lower)
            settled = size * (after / size) ** share
    return settled, False


@given(
    st.lists(st.integers(1, 5000), min_size=2, max_size=8, unique=True).map(sorted),
    st.lists(st.floats(0, 1), min_size=8, max_size=8),
    st.floats(1e-3, 1),
    st.booleans(),
)
def test_settled_size_is_where_the_curve_comes_within_for_good(sizes, falls, within, monotone):
    values = np.array(falls[: len(sizes)])
    values = values[::-1].cumsum()[::-1] if monotone else values
    assume(np.abs(values - values[-1] - within).min() > 1e-9)
    found, censored = settled_size(sizes, values[None], np.array([within]))
    expected, no_plateau = brute_force(sizes, values.tolist(), within)
    assert found[0] == pytest.approx(expected, rel=1e-8)
    assert censored[0] == no_plateau


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.floats(0.01, 1))
def test_a_wider_plateau_is_reached_no_later(values, within):
    found, _ = settled_size(SIZES, np.array([values, values]), np.array([within, within * 1.5]))
    assert found[1] <= found[0] * (1 + 1e-12)


def test_exactly_as_far_as_allowed_is_near_enough():
    accuracy = np.array([[-0.5, -0.94, -0.95]])
    found, censored = settled_size([10, 100, 1000], accuracy, np.array([0.01]))
    assert found[0] == pytest.approx(100)
    assert not censored[0]


@pytest.mark.parametrize("size", [3, 20, 50, 100, 150, 1000])
def test_what_settles_at_a_size_settles_at_that_size(size):
    found, _ = settled_size([size, 5000, 9000], np.array([[1.0, 1.0, 1.0]]), np.array([0.5]))
    assert found[0] == size
    found, _ = settled_size([1, size, 9000], np.array([[2.0, 1.5, 1.0]]), np.array([0.5]))
    assert found[0] == size


def test_curves_are_settled_one_by_one():
    values = np.random.default_rng(0).random((20, 4))
    within = np.linspace(0.05, 0.9, 20)
    together = settled_size(SIZES, values, within)
    for row in range(20):
        alone = settled_size(SIZES, values[row : row + 1], within[row : row + 1])
        assert (alone[0][0], alone[1][0]) == (together[0][row], together[1][row])


def cells_of(accuracies, seconds):
    return [
        Cell(
            task="all",
            method="head",
            size=size,
            seed=0,
            status="finished",
            moving_parameters=1,
            test_accuracy=accuracy,
            seconds=took,
        )
        for size, accuracy, took in zip(SIZES, accuracies, seconds, strict=True)
    ]


def answer(size, tolerance=0.05):
    return SufficientSize(
        criterion="remaining",
        tolerance=tolerance,
        relative=True,
        size=size,
        low=size,
        high=size,
        status="cannot_tell" if size is None else "reached",
        explanation="",
    )


def retrained(*answers):
    minima = ("own", "own_at_full", "full", "validation", "distance", "gradient", "gradient_at_full")
    curves = ("curve_sizes", "difference", "in_order", "remaining", "null")
    return Retrained(
        task="all",
        method="head",
        seed=0,
        samples=SIZES[-1],
        sizes=[SIZES[-1]],
        **{name: [] for name in minima + curves},
        coefficient_of_variation=0.7,
        sufficient_sizes=list(answers),
    )


def losses_of(levels, samples=200, seed=0):
    """Losses about the levels, and whether they are right: the smaller the loss, the more are."""
    draw = np.random.default_rng(seed)
    noise = draw.exponential(size=samples)
    return [np.stack([level * noise, (draw.random(samples) > 0.3 * level).astype(float)]) for level in levels]


def checks_of(*answers, tested=None):
    tested = losses_of([3.0, 1.5, 1.02, 1.0]) if tested is None else tested
    cells = cells_of([right.mean() for _, right in tested], [1.0, 2.0, 3.0, 10.0])
    return check_of(retrained(*answers), cells, tested)


def test_held_out_sizes_are_those_of_the_mean_loss_and_accuracy():
    tested = losses_of([3.0, 1.5, 1.02, 1.0])
    loss, accuracy = checks_of(answer(60), tested=tested)
    assert (loss.quantity, loss.within, accuracy.quantity, accuracy.within) == ("loss", 0.05, "accuracy", 0.01)
    means = [values.mean() for values, _ in tested]
    settled, censored = brute_force(SIZES, means, 0.05 * means[-1])
    assert (loss.held_out_size, loss.censored) == (math.ceil(settled - 1e-9), censored)
    wrong = [-right.mean() for _, right in tested]
    settled, censored = brute_force(SIZES, wrong, 0.01)
    assert (accuracy.held_out_size, accuracy.censored) == (math.ceil(settled - 1e-9), censored)


@given(st.lists(st.floats(0.1, 3), min_size=4, max_size=4), st.integers(0, 9))
def test_the_interval_holds_the_estimate_and_lies_within_the_sizes(levels, seed):
    for one in checks_of(answer(60), tested=losses_of(levels, 30, seed)):
        assert SIZES[0] <= one.low <= one.held_out_size <= one.high <= SIZES[-1]
        assert not one.censored or one.held_out_size == SIZES[-1]


def test_a_curve_that_still_falls_is_censored():
    loss, _ = checks_of(answer(60), tested=losses_of([3.0, 2.5, 2.0, 1.0]))
    assert (loss.censored, loss.held_out_size) == (True, SIZES[-1])


def test_each_answer_has_a_check_of_loss_and_of_accuracy():
    checks = checks_of(answer(60), answer(None, 0.1))
    assert [(one.quantity, one.tolerance, one.k_star) for one in checks] == [
        ("loss", 0.05, 60),
        ("loss", 0.1, None),
        ("accuracy", 0.05, 60),
        ("accuracy", 0.1, None),
    ]
    assert {one.coefficient_of_variation for one in checks} == {0.7}


@pytest.mark.parametrize(
    ("k_star", "labels", "seconds"),
    [
        (3, 380, 9.0),  # below the sizes: the least
        (20, 380, 9.0),
        (100, 300, 7.0),
        (200, 200, 3.5),  # half the way in the logarithm
        (400, 0, 0.0),
        (99_999, 0, 0.0),
        (None, None, None),
    ],
)
def test_savings_are_interpolated_between_the_sizes(k_star, labels, seconds):
    tested = losses_of([3.0, 1.5, 1.02, 1.0])
    accuracies = [right.mean() for _, right in tested]
    for one in checks_of(answer(k_star), tested=tested):
        assert one.labels_saved == labels
        if k_star is None:
            assert (one.seconds_saved, one.accuracy_lost) == (None, None)
            continue
        assert one.seconds_saved == pytest.approx(seconds)
        at = np.interp(math.log(k_star), np.log(SIZES), accuracies)
        assert one.accuracy_lost == pytest.approx(accuracies[-1] - at, abs=1e-12)


def combination(group, k_star, held_out_size, cv, censored=False, **values):
    return Check(
        **{
            "task": f"task {group}",
            "method": "head",
            "seed": 0,
            "criterion": "remaining",
            "tolerance": 0.05,
            "k_star": k_star,
            "k_star_low": k_star,
            "k_star_high": k_star,
            "quantity": "loss",
            "within": 0.05,
            "held_out_size": held_out_size,
            "low": held_out_size,
            "high": held_out_size,
            "censored": censored,
            "coefficient_of_variation": cv,
            "labels_saved": None,
            "seconds_saved": None,
            "accuracy_lost": None,
        }
        | values
    )


NUMBERS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30)), min_size=5, max_size=9)


@given(NUMBERS)
def test_rank_correlations_are_those_of_the_textbook(rows):
    k_star, sizes, cv = np.array(rows).T
    assume(min(len(set(column.tolist())) for column in (k_star, sizes, cv)) > 2)
    (agreement,) = agreement_of([combination(place, *map(int, row[:2]), row[2] / 10) for place, row in enumerate(rows)])
    correlation = {
        name: stats.spearmanr(*pair).statistic
        for name, pair in {"xy": (k_star, sizes), "xz": (k_star, cv), "yz": (sizes, cv)}.items()
    }
    assume(max(abs(correlation["xz"]), abs(correlation["yz"])) < 0.99)
    if agreement.rank_correlation is not None:
        assert agreement.rank_correlation.value == pytest.approx(correlation["xy"], abs=1e-12)
        assert agreement.rank_correlation.low <= agreement.rank_correlation.value <= agreement.rank_correlation.high
    if agreement.partial_correlation is not None:
        left = (1 - correlation["xz"] ** 2) * (1 - correlation["yz"] ** 2)
        expected = (correlation["xy"] - correlation["xz"] * correlation["yz"]) / left**0.5
        assert agreement.partial_correlation.value == pytest.approx(expected, abs=1e-9)


def some_checks(**values):
    draw = np.random.default_rng(0)
    rows = draw.integers(5, 500, (12, 2)).tolist()
    return [combination(place // 2, k, size, draw.random(), **values) for place, (k, size) in enumerate(rows)]


def test_correlations_of_some_numbers_are_told():
    (agreement,) = agreement_of(some_checks())
    assert agreement.rank_correlation is not None
    assert agreement.partial_correlation is not None
    assert agreement.combinations == 12


def test_perfect_agreement_is_one():
    checks = [
        combination(place, k, 3 * k, cv) for place, (k, cv) in enumerate([(5, 0.9), (80, 0.2), (9, 0.5), (30, 1)])
    ]
    (agreement,) = agreement_of(checks)
    assert agreement.rank_correlation.value == pytest.approx(1)
    assert agreement.partial_correlation.value == pytest.approx(1)
    assert agreement.ratio == pytest.approx(1 / 3)


def test_what_goes_with_the_coefficient_of_variation_alone_adds_nothing():
    sizes = [50, 20, 400, 90, 30, 70]
    checks = [combination(place, math.ceil(100 * cv), sizes[place], cv) for place, cv in enumerate([1, 2, 3, 4, 5, 6])]
    (agreement,) = agreement_of(checks)
    assert agreement.rank_correlation is not None
    assert agreement.partial_correlation is None


@pytest.mark.parametrize("groups", [1, 2])
def test_fewer_than_three_groups_have_no_correlation(groups):
    rows = [(5, 10, 0.3), (9, 4, 0.7), (30, 50, 0.1), (40, 41, 0.2)]
    (agreement,) = agreement_of([combination(place % groups, *row) for place, row in enumerate(rows)])
    assert (agreement.rank_correlation, agreement.partial_correlation) == (None, None)
    assert agreement.combinations == 4


def test_constant_sizes_have_no_correlation():
    (agreement,) = agreement_of([combination(place, 10 + place, 50, 0.1 * place) for place in range(5)])
    assert (agreement.rank_correlation, agreement.partial_correlation) == (None, None)


def test_what_cannot_be_told_is_left_out_and_what_is_censored_has_no_ratio():
    rows = [(5, 10, 0.3), (None, 4, 0.7), (9, 40, None), (30, 50, 0.1), (8, 2, 0.2)]
    checks = [combination(place, *row, censored=row[0] == 30) for place, row in enumerate(rows)]
    (agreement,) = agreement_of(checks)
    assert (agreement.combinations, agreement.censored) == (3, 1)
    assert agreement.ratio == pytest.approx(math.sqrt(5 / 10 * 8 / 2))


def test_each_criterion_tolerance_and_quantity_is_looked_at_by_itself():
    kinds = [("remaining", 0.05, "loss"), ("remaining", 0.05, "accuracy"), ("difference", 0.05, "loss")]
    checks = [
        one
        for criterion, tolerance, quantity in kinds
        for one in some_checks(criterion=criterion, tolerance=tolerance, quantity=quantity)
    ]
    found = agreement_of(checks)
    assert [(one.criterion, one.tolerance, one.quantity) for one in found] == kinds
    assert len({one.rank_correlation.value for one in found}) == 1


def test_the_seed_decides_the_intervals_and_not_the_estimates():
    first, same, other = (agreement_of(some_checks(), seed)[0].rank_correlation for seed in (0, 0, 1))
    assert first == same
    assert first != other
    assert first.value == other.value
