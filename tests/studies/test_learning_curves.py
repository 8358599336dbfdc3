"""Learning curves: means and intervals over seeds."""

import numpy as np
import pytest
from scipy import stats

from suffice.results import Cell
from suffice.studies import learning_curve


def cell(size, seed, loss=None, accuracy=None):
    status = "diverged" if loss is None else "finished"
    return Cell(
        task="all",
        method="head",
        size=size,
        seed=seed,
        status=status,
        moving_parameters=1,
        test_loss=loss,
        test_accuracy=accuracy,
    )


def test_means_and_intervals_are_those_of_student():
    draw = np.random.default_rng(0)
    values = {size: draw.random((4, 2)) for size in (10, 100)}
    cells = [cell(size, seed, *row) for size, rows in values.items() for seed, row in enumerate(rows.tolist())]
    curve = learning_curve(cells[::-1], 50)
    assert curve.sizes == [10, 100]
    for place, size in enumerate(curve.sizes):
        for column, band in enumerate((curve.loss, curve.accuracy)):
            sample = values[size][:, column]
            low, high = stats.t.interval(0.9, 3, sample.mean(), stats.sem(sample))
            found = [band.mean[place], band.low[place], band.high[place]]
            assert found == pytest.approx([sample.mean(), low, high], rel=1e-12)


def test_diverged_trainings_are_left_out_and_sizes_with_no_others():
    cells = [cell(10, 0, 1.0, 0.5), cell(10, 1), cell(10, 2, 3.0, 0.7), cell(20, 0), cell(30, 0, 2.0, 0.6)]
    curve = learning_curve(cells, 50)
    assert curve.sizes == [10, 30]
    assert curve.loss.mean.tolist() == [2.0, 2.0]
    low, high = stats.t.interval(0.9, 1, 2.0, stats.sem([1.0, 3.0]))
    assert [curve.loss.low[0], curve.loss.high[0]] == pytest.approx([low, high], rel=1e-12)


def test_one_seed_has_the_interval_of_its_test_samples():
    one = cell(10, 0, 1.5, 0.8).model_copy(update={"test_loss_error": 0.03})
    curve = learning_curve([one], 400)
    quantile = stats.norm.ppf(0.95)
    assert [curve.loss.low[0], curve.loss.mean[0], curve.loss.high[0]] == pytest.approx(
        [1.5 - quantile * 0.03, 1.5, 1.5 + quantile * 0.03], rel=1e-12
    )
    half = quantile * (0.8 * 0.2 / 400) ** 0.5
    assert [curve.accuracy.low[0], curve.accuracy.high[0]] == pytest.approx([0.8 - half, 0.8 + half], rel=1e-12)


def test_nothing_but_diverged_trainings_is_a_curve_without_sizes():
    curve = learning_curve([cell(10, 0)], 400)
    assert curve.sizes == []
    assert len(curve.loss.mean) == len(curve.accuracy.high) == 0
