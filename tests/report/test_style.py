"""The style of figures: what journals ask for, and the same in reports."""

import io

import curve_results
import matplotlib as mpl
import pytest
from matplotlib.figure import Figure as Canvas

import suffice
from suffice.report.figures.curve import score_figure
from suffice.report.matplotlib import draw, draw_on, save_figures
from suffice.report.style import PALETTE


@pytest.fixture(scope="module")
def figure():
    return score_figure(curve_results.result(curve_results.answer()))


@pytest.mark.parametrize(("columns", "millimetres"), [(1, 85), (2, 178)])
def test_a_figure_is_as_wide_as_columns_of_a_page(columns, millimetres):
    with suffice.style(columns):
        assert 25.4 * Canvas().get_figwidth() == pytest.approx(millimetres, abs=0.5)


def test_settings_end_with_the_context():
    before = dict(mpl.rcParams)
    with suffice.style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


def test_letters_of_files_are_letters(figure):
    with suffice.style():
        canvas = Canvas()
        draw_on(canvas.subplots(), figure)
        pdf, svg = io.BytesIO(), io.StringIO()
        canvas.savefig(pdf, format="pdf")
        canvas.savefig(svg, format="svg")
    assert b"/Type3" not in pdf.getvalue()
    assert "training samples</text>" in svg.getvalue()


def test_nothing_lies_outside_a_figure_of_one_column(figure):
    with suffice.style():
        canvas = Canvas(dpi=100)
        axes = canvas.subplots()
        draw_on(axes, figure)
        canvas.draw_without_rendering()
    box = axes.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= 100 * canvas.get_figwidth()
    assert box.y1 <= 100 * canvas.get_figheight()


def test_reports_have_the_style_and_leave_no_settings(figure, tmp_path):
    before = dict(mpl.rcParams)
    assert draw(figure).get_figwidth() == 7.0
    save_figures([figure], tmp_path)
    assert b"/Type3" not in (tmp_path / "score.pdf").read_bytes()
    assert dict(mpl.rcParams) == before


def test_colours_can_be_told_apart_by_any_colour_vision():
    """Each two differ by 10 or more in CIELAB, also as seen without one kind of cones.

    Source: F. Viénot, H. Brettel, J. Mollon, "Digital video colourmaps for checking the legibility of displays by
    dichromats", Color Research and Application 1999.
    """
    seen = {
        "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "no long ones": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "no middle ones": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }
    for matrix in seen.values():
        colors = [lab_of(linear_of(color), matrix) for color in PALETTE]
        distances = [
            sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
            for index, one in enumerate(colors)
            for other in colors[:index]
        ]
        assert min(distances) > 10


def linear_of(color):
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]


def lab_of(rgb, matrix):
    seen = [sum(weight * value for weight, value in zip(row, rgb, strict=True)) for row in matrix]
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    white = (0.9505, 1.0, 1.089)
    x, y, z = (
        max(sum(weight * value for weight, value in zip(row, seen, strict=True)), 0) / end
        for row, end in zip(to_xyz, white, strict=True)
    )
    f = [value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
