"""Every axis of every figure says what it shows, and in which unit where that is not a plain number."""

import re
from html import unescape
from pathlib import Path

import analysis_results
import curve_results
import forecast_results
import methods_results
import numpy as np
import pytest
import study_results
from curvature_results import result_of, surface_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

import suffice
from suffice.report.figures.analysis import analysis_figures
from suffice.report.figures.curvature import bound_figure, curvature_figures
from suffice.report.figures.curve import curve_figures
from suffice.report.figures.forecast import forecast_figures
from suffice.report.figures.hessian import heat_maps, hessian_figures
from suffice.report.figures.methods import methods_figures
from suffice.report.figures.mlp import mlp_figures
from suffice.report.figures.study import study_figures
from suffice.report.figures.surface import distance_figure, surfaces
from suffice.report.matplotlib import draw, draw_heat_maps, draw_on, draw_surface
from suffice.report.svg import inline
from suffice.results import StudyResult, read_result

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def figures():
    """All that any report draws from curves."""
    result = result_of()
    return [
        *analysis_figures(analysis_results.result()),
        *curvature_figures(result),
        bound_figure(result.gaps, result.radius, result.center_norm, [0.1, 0.1, 0.1]),
        *curve_figures(curve_results.result(curve_results.answer())),
        *forecast_figures(forecast_results.result(target_accuracy=0.82)),
        *forecast_figures(forecast_results.result(target_loss=0.34)),
        *hessian_figures(read_result(EXPERIMENTS / "vit-block")),
        *methods_figures(methods_results.result(methods_results.CROSSING)),
        *methods_figures(methods_results.result(methods_results.CROSSING, metric="loss")),
        *mlp_figures(read_result(EXPERIMENTS / "mlp")),
        *study_figures(StudyResult.model_validate(study_results.values())),
        distance_figure(surface_of()),
    ]


def is_named(label):
    """A word, and not letters of a formula alone."""
    return bool(re.match(r"(k\*, )?[a-z]{4,}", label))


def test_every_figure_names_its_axes(figures):
    labels = {figure.name: (figure.x_label, figure.y_label) for figure in figures}
    assert len(labels) > 20
    assert {name for name, pair in labels.items() if not all(map(is_named, pair))} == set()


def test_sizes_are_said_to_be_samples_and_shares_of_right_answers_are_in_percent(figures):
    for figure in figures:
        if figure.ticks:
            assert "samples" in figure.x_label, figure.name
        if "accuracy" in figure.y_label:
            assert figure.y_label.endswith(", %"), figure.name
            assert max(value for curve in figure.curves for value in curve.y if not np.isnan(value)) > 1, figure.name


@pytest.mark.deep
def test_files_and_pages_have_the_names(figures):
    for figure in figures[::4]:
        axes = draw(figure).axes[0]
        names = [figure.x_label, figure.y_label]
        drawn = [label.replace("\N{NO-BREAK SPACE}", " ") for label in (axes.get_xlabel(), axes.get_ylabel())]
        assert drawn == names
        wide, narrow = inline(figure).split("</svg>")[:2]
        for drawing in (wide, narrow):
            letters = re.sub(r"\s", "", unescape(re.sub(r"<[^>]*>", "", drawing)))
            assert all(re.sub(r"\s", "", name) in letters for name in names)


def test_names_break_their_line_where_a_figure_of_one_column_is_too_narrow(figures):
    longest = max(figures, key=lambda figure: len(figure.y_label))
    for figure in (longest, next(figure for figure in figures if "|L(k+1)" in figure.y_label)):
        with suffice.style():
            canvas = Canvas()
            axes = canvas.subplots()
            draw_on(axes, figure)
            FigureCanvasAgg(canvas).draw()
        (left, bottom), (right, top) = axes.yaxis.label.get_window_extent().get_points()
        assert left >= 0
        assert bottom >= 0
        assert top <= canvas.bbox.y1, figure.y_label
        assert right < axes.get_window_extent().x0


def test_heat_maps_and_surfaces_name_theirs_and_their_colours():
    result = read_result(EXPERIMENTS / "vit-block")
    maps = heat_maps(result, np.ones((len(result.moments), 3, 8, 8)))[0]
    *panels, bar = draw_heat_maps(maps).axes
    assert [is_named(axes.get_xlabel()) and is_named(axes.get_ylabel()) for axes in panels] == [True] * 3
    assert bar.get_ylabel() == maps.label
    solid, flat, bar = draw_surface(surfaces(surface_of()), 3).axes
    assert solid.get_zlabel() == bar.get_ylabel() == "mean loss"
    for axes in (solid, flat):
        assert all(is_named(label) and "‖w*‖" in label for label in (axes.get_xlabel(), axes.get_ylabel()))
