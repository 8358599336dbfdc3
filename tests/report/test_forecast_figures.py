"""The figures of ``suffice forecast``, from results written by hand."""

import numpy as np
import pytest
from forecast_results import result

from suffice.report.figures.forecast import forecast_figures


def test_figures_are_those_of_the_result():
    accuracy, of_loss, of_accuracy, loss = forecast_figures(result(target_loss=0.34, target_accuracy=0.76))
    assert [figure.name for figure in (of_loss, of_accuracy)] == ["probability-loss", "probability-accuracy"]
    average, following = of_accuracy.curves
    assert np.interp(167, average.x, average.y) == pytest.approx(0.5, abs=0.02)
    assert (np.diff(average.y) >= 0).all()
    assert following.name == "next model"
    line, at_hand, parts = loss.curves
    assert (line.x[0], line.x[-1]) == (100, pytest.approx(1600))
    assert list(line.y) == pytest.approx([0.3 + 20 / size for size in line.x])
    assert np.subtract(line.high, line.low) == pytest.approx(0.09)
    assert (at_hand.x, at_hand.y) == ([100], [0.5])
    assert (parts.x, parts.y) == ([50, 90], [0.7, 0.52])
    assert [(mark.axis, mark.value) for mark in loss.marks] == [("y", 0.34), ("x", 506)]
    assert [mark.axis for mark in accuracy.marks] == ["y", "x"]
    accuracy, loss = forecast_figures(result(cost_per_sample=0.00001))
    assert [(mark.axis, mark.value) for mark in accuracy.marks] == [("x", 815)]
    assert not loss.marks
    assert accuracy.curves[1].y == pytest.approx([100 * (1 - 0.8 / 3)])
