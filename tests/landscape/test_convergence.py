import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from suffice import Convergence, InputError

CRITERIA = ("remaining", "difference")


def normal_losses(most_samples, most_probes=3):
    """Losses (samples, probes) without structure."""
    shape = st.tuples(st.integers(3, most_samples), st.integers(1, most_probes))
    return st.builds(
        lambda shape, seed: np.random.default_rng(seed).normal(2, 1, shape), shape, st.integers(0, 2**32 - 1)
    )


def small_integer_losses():
    """Losses with ties, zeros and exact sums, where rounding and empty cases show."""
    shape = st.tuples(st.integers(3, 12), st.integers(1, 2))
    return shape.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(0, 9)))


@given(losses=normal_losses(most_samples=6))
def test_curves_are_exact_averages_over_all_orders(ledger_of, losses):
    samples = len(losses)
    orders = np.array(list(permutations(range(samples))))
    prefix_means = losses[orders].cumsum(1) / np.arange(1, samples + 1)[:, None]
    curves, sizes = Convergence(ledger_of(losses), resamples=2), np.arange(1, samples)

    def root_mean_square(values):
        return np.sqrt((values**2).mean((0, 2)))

    difference = root_mean_square(np.diff(prefix_means, axis=1))
    remaining = root_mean_square(prefix_means[:, :-1] - prefix_means[:, -1:])
    assert_allclose(curves.difference(sizes), difference, rtol=1e-12)
    assert_allclose(curves.remaining(sizes), remaining, rtol=1e-12)


@given(losses=normal_losses(most_samples=30))
def test_population_and_null_curves_are_those_of_the_unbiased_variance(ledger_of, losses):
    curves, sizes = Convergence(ledger_of(losses), resamples=2), np.arange(1, len(losses))
    variances = losses.var(0, ddof=1)
    assert_allclose(curves.remaining(sizes, population=True), np.sqrt(variances.mean() / sizes), rtol=1e-12)
    assert_allclose(curves.null(sizes), np.sqrt(variances[0] / (sizes * (sizes + 1))), rtol=1e-12)


def test_population_curve_is_the_expectation_over_fresh_samples(ledger_of):
    draw = np.random.default_rng(0)
    curves = Convergence(ledger_of(draw.exponential(size=(20_000, 1))), resamples=2)
    fresh = draw.exponential(size=(20_000, 25)).mean(1) - 1
    assert_allclose(curves.remaining([25], population=True), math.sqrt((fresh**2).mean()), rtol=0.05)


@given(losses=normal_losses(most_samples=20), data=st.data())
def test_in_order_equals_differences_of_prefix_means(ledger_of, losses, data):
    samples = len(losses)
    sizes = data.draw(st.lists(st.integers(1, samples - 1), min_size=1, max_size=8))  # unsorted, repeated
    order = np.array(data.draw(st.permutations(range(samples))))
    ledger = ledger_of(losses, order="shuffled", seed=1)

    def naive(rows):
        return np.array([abs(rows[: k + 1].mean(0) - rows[:k].mean(0)) for k in sizes])

    curves = Convergence(ledger, resamples=2)
    assert_allclose(curves.in_order(sizes), naive(losses[ledger.index]), atol=1e-14)
    assert_allclose(curves.in_order(sizes, order), naive(losses[ledger.index][order]), atol=1e-14)
    assert_allclose(curves.in_order(sizes, curves.source_order()), naive(losses), atol=1e-14)


@pytest.mark.parametrize("sizes", [[], [0], [5], [-1], [1, 5], [1.5], [[1, 2]], ["a"], [True, False]])
def test_sizes_that_are_not_below_the_number_of_samples_are_refused(ledger_of, sizes):
    curves = Convergence(ledger_of(np.eye(5)), resamples=2)
    for curve in (curves.difference, curves.remaining, curves.null, curves.in_order, curves.band):
        with pytest.raises(InputError, match="^sizes must be"):
            curve(sizes)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 3], [0, 1, 2, 3], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4]])
def test_an_order_that_is_not_a_permutation_is_refused(ledger_of, order):
    with pytest.raises(InputError, match="permutation"):
        Convergence(ledger_of(np.eye(5)), resamples=2).in_order([1, 2], np.array(order))


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_confidence_outside_zero_to_one_is_refused(ledger_of, confidence):
    with pytest.raises(InputError, match="confidence"):
        Convergence(ledger_of(np.eye(5)), confidence=confidence)


@pytest.mark.parametrize("resamples", [-1, 0, 1])
def test_fewer_than_two_resamples_are_refused(ledger_of, resamples):
    with pytest.raises(InputError, match="resamples"):
        Convergence(ledger_of(np.eye(5)), resamples=resamples).sufficient_size(0.1, relative=False)


def test_ledgers_with_different_probes_are_refused(ledger_of):
    with pytest.raises(InputError, match="different probes"):
        Convergence(ledger_of(np.eye(5)), held_out=ledger_of(np.eye(5)[:, :3]))


@given(losses=normal_losses(most_samples=30), k=st.integers(1, 29))
def test_interval_of_a_curve_contains_it(ledger_of, losses, k):
    assume(k < len(losses))
    curves = Convergence(ledger_of(losses), resamples=50)
    for curve, population in ((curves.difference([k]), False), (curves.remaining([k], population=True), True)):
        low, high = curves.interval(curve, population)
        assert low <= curve * (1 + 1e-12)
        assert curve <= high * (1 + 1e-12)
        assert low < high


def test_interval_against_the_population_is_that_of_the_held_out_samples(ledger_of):
    draw = np.random.default_rng(0)
    training, held_out = ledger_of(draw.normal(size=(50, 1))), ledger_of(draw.normal(size=(200, 1)))
    both, alone = Convergence(training, held_out), Convergence(held_out)
    curve = both.remaining([10], population=True)
    assert np.array_equal(curve, alone.remaining([10], population=True))
    assert np.array_equal(both.interval(curve, population=True), alone.interval(curve))
    assert np.array_equal(both.difference([10]), Convergence(training).difference([10]))


# sufficient sizes


@given(
    losses=small_integer_losses(),
    criterion=st.sampled_from(CRITERIA),
    tolerance=st.floats(0.01, 100),
    at_size=st.integers(0, 12),
    relative=st.booleans(),
)
def test_size_is_the_first_at_which_the_curve_is_within_the_tolerance(
    ledger_of, losses, criterion, tolerance, at_size, relative
):
    curves = Convergence(ledger_of(losses), resamples=20)

    def curve(k):
        return curves.difference([k])[0] if criterion == "difference" else curves.remaining([k], population=True)[0]

    scale = losses[:, 0].mean() if relative else 1.0
    if 0 < at_size < len(losses) and scale * curve(at_size) > 0:
        tolerance = float(curve(at_size) / scale)  # exactly on the curve
    answer = curves.sufficient_size(tolerance, criterion, relative)
    assume(answer.status != "cannot_tell")
    if answer.size < len(losses):
        assert curve(answer.size) <= tolerance * scale
    if 1 < answer.size <= len(losses):
        assert curve(answer.size - 1) > tolerance * scale


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_tolerance_read_off_the_curve_gives_that_size_to_the_bit(ledger_of, criterion):
    curves = Convergence(ledger_of(np.random.default_rng(0).normal(size=(300, 2))), resamples=2)
    sizes = range(1, 300)
    values = curves.difference(sizes) if criterion == "difference" else curves.remaining(sizes, population=True)
    assert [curves.sufficient_size(float(value), criterion, relative=False).size for value in values] == list(sizes)


@given(losses=normal_losses(most_samples=20), criterion=st.sampled_from(CRITERIA), tolerance=st.floats(1e-7, 10))
def test_size_solves_the_law_beyond_the_samples(ledger_of, losses, criterion, tolerance):
    size = Convergence(ledger_of(losses), resamples=20).sufficient_size(tolerance, criterion, relative=False).size
    least = Fraction(losses.var(0, ddof=1).mean()) / Fraction(tolerance) ** 2

    def product(k):
        return k if criterion == "remaining" else k * (k + 1)

    assert product(size) >= least * (1 - Fraction(1, 10**12))
    if size > 1:
        assert product(size - 1) < least * (1 + Fraction(1, 10**12))


@given(
    losses=small_integer_losses(),
    criterion=st.sampled_from(CRITERIA),
    tolerances=st.tuples(st.floats(1e-4, 10), st.floats(1e-4, 10)),
    relative=st.booleans(),
)
def test_size_does_not_grow_with_the_tolerance(ledger_of, losses, criterion, tolerances, relative):
    curves = Convergence(ledger_of(losses), resamples=20)
    tight, loose = (curves.sufficient_size(tolerance, criterion, relative) for tolerance in sorted(tolerances))
    assert tight.status == loose.status == "cannot_tell" or tight.size >= loose.size


@given(
    losses=small_integer_losses(),
    criterion=st.sampled_from(CRITERIA),
    tolerance=st.floats(1e-3, 10),
    at_size=st.integers(0, 50),
    relative=st.booleans(),
    resamples=st.integers(2, 50),
)
def test_size_lies_in_its_interval_and_the_status_fits_it(
    ledger_of, losses, criterion, tolerance, at_size, relative, resamples
):
    curves = Convergence(ledger_of(losses), resamples=resamples)
    scale = losses[:, 0].mean() if relative else 1.0
    if at_size > 0 and scale * losses.var(0).mean() > 0:  # where rounding decides
        product = at_size if criterion == "remaining" else at_size * (at_size + 1)
        tolerance = float(math.sqrt(losses.var(0, ddof=1).mean() / product) / scale)
    answer = curves.sufficient_size(tolerance, criterion, relative)
    assert (answer.criterion, answer.tolerance, answer.relative) == (criterion, tolerance, relative)
    if answer.status == "cannot_tell":
        assert (answer.low, answer.size, answer.high) == (None, None, None)
        assert relative or "bound its spread" in answer.explanation
    else:
        assert 1 <= answer.low <= answer.size <= answer.high
        assert (answer.status == "extrapolated") == (answer.size > len(losses))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rounding_never_puts_the_size_outside_its_interval(ledger_of, criterion):
    losses = np.array([5.0, 6, 7, 2, 9, 8, 5])[:, None]
    curves = Convergence(ledger_of(losses), resamples=3)  # one end of the interval is the estimate itself
    for k in range(1, 60):
        product = k if criterion == "remaining" else k * (k + 1)
        answer = curves.sufficient_size(math.sqrt(losses.var(ddof=1) / product) / 6, criterion)
        assert answer.low <= answer.size <= answer.high


@given(
    losses=small_integer_losses(),
    criterion=st.sampled_from(CRITERIA),
    tolerance=st.floats(min_value=0, max_value=1.7e308, exclude_min=True),
    relative=st.booleans(),
)
def test_every_positive_tolerance_gets_an_answer(ledger_of, losses, criterion, tolerance, relative):
    answer = Convergence(ledger_of(losses), resamples=20).sufficient_size(tolerance, criterion, relative)
    assert answer.status == "cannot_tell" or answer.size >= 1


@pytest.mark.parametrize("tolerance", [1e-200, 1e200])
def test_a_tolerance_whose_square_leaves_the_range_of_floats_gets_an_answer(ledger_of, tolerance):
    answer = Convergence(ledger_of(np.eye(5)), resamples=20).sufficient_size(tolerance, relative=False)
    assert answer.size == (1 if tolerance > 1 else None)


def test_losses_that_vanish_in_some_resamples_get_an_answer(ledger_of):
    # one resample of 256 has the last sample four times, so a mean loss of zero
    answer = Convergence(ledger_of([[1.0], [1.0], [1.0], [0.0]]), resamples=1000).sufficient_size(0.1)
    assert answer.status == "cannot_tell" or answer.low <= answer.size <= answer.high


@given(losses=normal_losses(most_samples=30), criterion=st.sampled_from(CRITERIA), tolerance=st.floats(1e-3, 10))
def test_a_relative_tolerance_is_a_share_of_the_loss_at_the_center(ledger_of, losses, criterion, tolerance):
    curves = Convergence(ledger_of(losses), resamples=20)
    relative = curves.sufficient_size(tolerance, criterion)
    assume(relative.status != "cannot_tell")
    absolute = curves.sufficient_size(tolerance * float(losses[:, 0].mean()), criterion, relative=False)
    assert relative.size == absolute.size


@given(losses=normal_losses(most_samples=30), criterion=st.sampled_from(CRITERIA), power=st.integers(-60, 60))
def test_the_relative_answer_does_not_depend_on_the_unit_of_the_loss(ledger_of, losses, criterion, power):
    first, second = (
        Convergence(ledger_of(unit * losses), resamples=20).sufficient_size(0.05, criterion)
        for unit in (1.0, 2.0**power)
    )
    assert (first.status, first.low, first.size, first.high) == (second.status, second.low, second.size, second.high)


@given(losses=normal_losses(most_samples=30), criterion=st.sampled_from(CRITERIA))
def test_the_answer_does_not_depend_on_the_order_of_the_probes_beyond_the_center(ledger_of, losses, criterion):
    turned = np.column_stack([losses[:, :1], losses[:, :0:-1]])
    first, second = (
        Convergence(ledger_of(rows), resamples=20).sufficient_size(0.03, criterion) for rows in (losses, turned)
    )
    assert (first.status, first.size) == (second.status, second.size)


@pytest.mark.parametrize(
    "center",
    [np.zeros(9), np.linspace(-3, -1, 9), np.linspace(-4, 4, 9), np.eye(9)[0]],
    ids=lambda center: f"{center[0]:.0f}",
)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_mean_loss_that_may_be_zero_cannot_tell(ledger_of, center, criterion):
    losses = np.column_stack([center, np.linspace(1, 2, 9)])
    curves = Convergence(ledger_of(losses))
    answer = curves.sufficient_size(0.1, criterion)
    assert answer.status == "cannot_tell"
    assert (answer.low, answer.size, answer.high) == (None, None, None)
    assert "mean loss at w* is" in answer.explanation
    assert curves.sufficient_size(0.1, criterion, relative=False).size is not None


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("level", [0.1, 0.5, 3.0])
def test_losses_that_are_all_equal_need_one_sample(ledger_of, criterion, relative, level):
    answer = Convergence(ledger_of(np.full((7, 2), level))).sufficient_size(1e-3, criterion, relative)
    assert (answer.low, answer.size, answer.high, answer.status) == (1, 1, 1, "reached")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_answer_depends_on_the_shuffle(ledger_of, criterion):
    losses = np.random.default_rng(0).exponential(size=(60, 2))
    sizes = {
        Convergence(ledger_of(losses, order="shuffled", seed=seed)).sufficient_size(0.03, criterion).size
        for seed in range(4)
    }
    assert len(sizes) == 1


def test_held_out_samples_decide_what_remains_but_not_what_one_sample_does(ledger_of):
    draw = np.random.default_rng(0)
    training, held_out = ledger_of(draw.normal(5, 1, (100, 2))), ledger_of(draw.normal(5, 3, (100, 2)))
    both = Convergence(training, held_out)
    for relative in (True, False):
        remaining, difference = (both.sufficient_size(0.05, criterion, relative).size for criterion in CRITERIA)
        assert remaining == Convergence(held_out).sufficient_size(0.05, "remaining", relative).size
        assert difference == Convergence(training).sufficient_size(0.05, "difference", relative).size
    # all the same, what is reached is a matter of the samples that k counts
    size = both.sufficient_size(0.05).size
    assert both.sufficient_size(0.05).status == ("reached" if size <= 100 else "extrapolated")


@pytest.mark.parametrize("tolerance", [0.0, -0.1, math.nan, math.inf])
def test_a_tolerance_that_is_not_positive_and_finite_is_refused(ledger_of, tolerance):
    with pytest.raises(InputError, match="tolerance"):
        Convergence(ledger_of(np.eye(5))).sufficient_size(tolerance)


def test_an_unknown_criterion_is_refused(ledger_of):
    with pytest.raises(InputError, match="criterion is"):
        Convergence(ledger_of(np.eye(5))).sufficient_size(0.1, "rest")


# orders


@pytest.fixture(scope="module")
def unordered(ledger_of):
    return Convergence(ledger_of(np.random.default_rng(0).normal(1, 1, (120, 3))))


def test_band_holds_about_ninety_percent_of_fresh_random_orders(unordered):
    sizes, draw = np.array([3, 10, 40, 110]), np.random.default_rng(99)
    low, high = unordered.band(sizes, orders=400)
    fresh = np.array([np.sqrt((unordered.in_order(sizes, draw.permutation(120)) ** 2).mean(1)) for _ in range(400)])
    inside = ((low <= fresh) & (fresh <= high)).mean(0)
    assert np.all((inside > 0.84) & (inside < 0.96))


def test_band_surrounds_the_expected_difference(unordered):
    sizes = np.arange(1, 120)
    low, high = unordered.band(sizes)
    assert np.all(low < unordered.difference(sizes))
    assert np.all(unordered.difference(sizes) < high)


def test_band_of_a_size_needs_no_other_sizes(unordered):
    assert np.array_equal(unordered.band([5, 50])[:, 1], unordered.band([50, 5])[:, 0])
    assert np.array_equal(unordered.band([5, 5])[:, 0], unordered.band([5, 5])[:, 1])


def test_sorted_data_leave_the_band_and_are_not_exchangeable(ledger_of):
    losses = np.repeat([[0.1], [1.0], [5.0]], 40, axis=0)  # three classes, one after the other
    curves, sizes = Convergence(ledger_of(losses, order="shuffled")), np.arange(1, 120)
    (low, high), steps = curves.band(sizes), curves.in_order(sizes, curves.source_order())[:, 0]
    assert curves.exchangeability(orders=999) == 1 / 1000
    assert np.mean(steps < low) > 0.4  # within a class nothing moves
    assert np.all(steps[79:85] > high[79:85])  # where the last class begins
    steps = curves.in_order(sizes)[:, 0]
    assert np.mean((low <= steps) & (steps <= high)) > 0.8  # the shuffle mends it


def test_p_values_of_random_data_are_uniform(ledger_of):
    draw = np.random.default_rng(0)
    p_values = np.array(
        [Convergence(ledger_of(draw.exponential(size=(25, 1)))).exchangeability(99) for _ in range(100)]
    )
    for level in (0.05, 0.1, 0.25, 0.5, 0.75):
        assert abs(np.mean(p_values <= level) - level) < 4 * math.sqrt(level * (1 - level) / 100)


@pytest.mark.parametrize("drift", [0.0, 0.02])
def test_exchangeability_does_not_depend_on_the_shuffle(ledger_of, drift):
    losses = np.random.default_rng(0).normal(size=(60, 1)) + drift * np.arange(60)[:, None]
    p_values = {Convergence(ledger_of(losses, order="shuffled", seed=seed)).exchangeability() for seed in range(4)}
    assert len(p_values) == 1


def test_equal_losses_are_exchangeable(ledger_of):
    assert Convergence(ledger_of(np.full((9, 1), 0.1))).exchangeability() == 1
