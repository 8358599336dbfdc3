"""The figures of ``suffice study``, from results written by hand."""

import statistics

import pytest
from study_results import FIGURES, METHODS, SIZES, values

from suffice.report.figures.study import study_figures
from suffice.results import StudyResult


@pytest.fixture(scope="module")
def result():
    return StudyResult.model_validate(values())


@pytest.fixture(scope="module")
def figures(result):
    return {figure.name: figure for figure in study_figures(result)}


def named(figure, name):
    return next(curve for curve in figure.curves if curve.name == name or curve.name.startswith(f"{name}, "))


def of_style(figure, style, color):
    """Curves of measured points: those without a name."""
    return [curve for curve in figure.curves if (curve.name, curve.style, curve.color) == ("", style, color)]


def test_all_are_drawn_where_all_was_measured(figures):
    assert list(figures) == FIGURES


def test_learning_curves_are_those_of_the_result(result, figures):
    for method, curve in result.study.curves.items():
        drawn = named(figures["accuracy"], method)
        assert list(drawn.x) == curve.sizes
        assert list(drawn.y) == pytest.approx(100 * curve.accuracy.mean)
        assert list(drawn.low) == pytest.approx(100 * curve.accuracy.low.clip(0, 1))
        assert list(drawn.high) == pytest.approx(100 * curve.accuracy.high.clip(0, 1))
        loss = named(figures["loss"], method)
        assert list(loss.y) == pytest.approx(curve.loss.mean)
        (train,) = of_style(figures["loss"], "dashed", loss.color)
        assert list(train.y) == pytest.approx([0.1 + 1 / size for size in SIZES])


def test_marks_are_medians_over_seeds_of_the_check(figures):
    figure = figures["loss"]
    (mark,) = figure.marks
    assert mark.value == statistics.median([300, 400])
    assert mark.color == named(figure, "head").color
    assert named(figure, "head").name == "head, k* = 350"
    # that of the other is beyond the axes
    assert "5,050 for lora(4)" in figure.caption
    assert not figures["accuracy"].marks  # the first figure shows the answer alone


def test_the_surface_is_that_of_the_result(result, figures):
    first = result.study.retrained[0]
    difference = figures["difference"]
    color = named(difference, "head").color
    assert list(named(difference, "head").y) == first.difference
    assert list(of_style(difference, "points", color)[0].y) == first.in_order
    assert first.null in [list(curve.y) for curve in difference.curves if curve.style == "dotted"]
    assert "1.10 for head" in difference.caption

    minima = figures["minima"]
    assert list(named(minima, "head").y) == first.remaining
    null = next(curve for curve in minima.curves if curve.style == "dotted")
    assert list(null.y) == pytest.approx([2.0 * (1 / k - 1 / 1000) ** 0.5 for k in first.curve_sizes])
    (own,), (at_full,) = (of_style(minima, style, color) for style in ("points", "circles"))
    assert list(own.x) == [10, 100, 10, 100]
    assert list(own.y) == pytest.approx([0.8, 0.3, 0.8, 0.3])
    assert list(at_full.y) == pytest.approx([0.05, 0.02, 0.05, 0.02])

    moved = [curve for curve in figures["moved"].curves if curve.color == color]
    assert [list(curve.y) for curve in moved] == [[3.0, 2.0, 0.0], [4.0, 2.0, 0.0]]
    assert list(named(figures["gradients"], "head").y) == first.gradient_at_full
    assert list(of_style(figures["gradients"], "circles", color)[0].y) == first.gradient


def test_the_check_has_a_point_for_each_combination_and_tells_censored_ones(figures):
    figure = figures["check"]
    head, lora = (named(figure, method).color for method in METHODS)
    (settled,) = of_style(figure, "points", head)
    assert sorted(zip(settled.x, settled.y, strict=True)) == [(200, 300), (200, 300), (210, 400)]
    (censored,) = of_style(figure, "circles", lora)
    assert sorted(zip(censored.x, censored.y, strict=True)) == [(1000, 5000), (1000, 5000), (1000, 5100)]
    assert not of_style(figure, "circles", head)
    assert not of_style(figure, "points", lora)
    diagonal = next(curve for curve in figure.curves if curve.style == "dotted")
    assert list(diagonal.x) == list(diagonal.y)
