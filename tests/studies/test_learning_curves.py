"""Learning curves: means and intervals over seeds and test samples."""

import numpy as np
import pytest
from scipy import stats

from suffice.results import Cell
from suffice.studies import last_gain, learning_curve
from suffice.studies.curves import over_seeds


def cell(size, seed, status="finished"):
    return Cell(task="all", method="head", size=size, seed=seed, status=status, moving_parameters=1)


def drawn(random, samples=50, accuracy=0.7):
    return np.stack([random.exponential(size=samples), random.random(samples) < accuracy]).astype(float)


def test_means_are_over_seeds_and_samples_in_any_order_of_cells():
    random = np.random.default_rng(0)
    cells = [cell(size, seed) for size in (10, 100) for seed in range(4)]
    found = {(of.size, of.seed): drawn(random) for of in cells}
    curve = learning_curve(cells[::-1], found)
    assert curve.sizes == [10, 100]
    for place, size in enumerate(curve.sizes):
        values = np.stack([found[size, seed] for seed in range(4)])
        for quantity, band in enumerate((curve.loss, curve.accuracy)):
            assert band.mean[place] == pytest.approx(values[:, quantity].mean(), rel=1e-12)
            assert band.low[place] < band.mean[place] < band.high[place]


def test_seeds_that_agree_have_the_error_of_their_test_samples():
    random = np.random.default_rng(0)
    one = drawn(random)
    curve = learning_curve([cell(10, seed) for seed in range(3)], {(10, seed): one for seed in range(3)})
    half = stats.norm.ppf(0.95) * stats.sem(one[0])
    assert [curve.loss.low[0], curve.loss.high[0]] == pytest.approx([one[0].mean() - half, one[0].mean() + half])


def test_samples_that_agree_have_the_error_of_the_seeds():
    losses = np.repeat([[1.0], [1.2], [1.7]], 400, axis=1)
    found = over_seeds(losses)
    assert [found.low, found.high] == pytest.approx(stats.t.interval(0.9, 2, 1.3, stats.sem([1.0, 1.2, 1.7])))


def test_groups_count_as_one_sample():
    random = np.random.default_rng(0)
    values, five = random.random((1, 40)), np.repeat(np.arange(40), 5)
    alone, grouped = over_seeds(values), over_seeds(values[:, five], groups=five)
    assert [grouped.low, grouped.high] == pytest.approx([alone.low, alone.high], rel=1e-9)
    plain = over_seeds(values[:, five])
    assert plain.high - plain.low < 0.5 * (alone.high - alone.low)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_where_all_are_right_or_wrong_there_is_an_error_too(right):
    found = over_seeds(np.full((3, 48), right), is_share=True)
    assert 0.02 < found.high - found.low < 0.1


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize("between", [0.0, 0.1, 0.5])
def test_intervals_hold_for_other_seeds_and_other_samples(seeds, between):
    random, samples, held, repeats = np.random.default_rng(seeds), 100, 0, 1000
    for _ in range(repeats):
        values = between * random.normal(size=(seeds, 1)) + random.normal(size=samples)
        values = values + random.normal(size=(seeds, samples))
        found = over_seeds(values)
        held += found.low <= 0 <= found.high
    # two variances of which one is of few seeds: at least what is said, and up to 98% with two seeds
    assert 0.88 <= held / repeats <= 0.985


def test_gains_are_of_the_same_samples_and_seeds():
    random = np.random.default_rng(0)
    before = (random.random((3, 60)) < 0.6).astype(float)
    found = {(size, seed): np.stack([before[seed], before[seed]]) for size in (10, 20) for seed in range(3)}
    for seed in range(3):
        found[20, seed][1, :6] = 1
    cells = [cell(size, seed) for size in (5, 10, 20) for seed in range(3)]
    cells[0] = cell(5, 0, "diverged")
    found |= {(5, seed): drawn(random, 60) for seed in (1, 2)}
    gain = last_gain(cells, found)
    assert gain.value == pytest.approx((1 - before[:, :6]).mean() / 10, rel=1e-12)
    # the noise of the level is in both sizes, and in no difference
    assert gain.high - gain.low < 0.3
    assert last_gain(cells[:3], found) is None


def test_diverged_trainings_are_left_out_and_sizes_with_no_others():
    random = np.random.default_rng(0)
    cells = [cell(10, 0), cell(10, 1, "diverged"), cell(10, 2), cell(20, 0, "diverged"), cell(30, 0)]
    found = {(of.size, of.seed): drawn(random) for of in cells if of.status == "finished"}
    curve = learning_curve(cells, found)
    assert curve.sizes == [10, 30]
    assert curve.loss.mean[0] == pytest.approx((found[10, 0][0].mean() + found[10, 2][0].mean()) / 2, rel=1e-12)


def test_nothing_but_diverged_trainings_is_a_curve_without_sizes():
    curve = learning_curve([cell(10, 0, "diverged")], {})
    assert curve.sizes == []
    assert len(curve.loss.mean) == len(curve.accuracy.high) == 0
