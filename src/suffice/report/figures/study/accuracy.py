"""Test accuracy against the number of training samples."""

from suffice.report.figures.figure import Figure
from suffice.report.figures.study.axes import size_ticks
from suffice.report.figures.study.learning_curves import bands_caption, with_band
from suffice.report.figures.study.methods import colors_of_methods
from suffice.results import StudyResult


def accuracy_figure(result: StudyResult) -> Figure:
    """The mean over seeds with its band, a line for each method."""
    curves = [
        with_band(method, curve.sizes, curve.accuracy, color, 100, 100)
        for method, color in colors_of_methods(result)
        if (curve := result.study.curves[method]).sizes
    ]
    return Figure(
        name="accuracy",
        title="Test accuracy against the number of training samples",
        caption=f"The mean over seeds. {bands_caption(result)}",
        x_label="training samples",
        y_label="test accuracy, %",
        curves=curves,
        log="x",
        from_zero=False,
        ticks=size_ticks(curves),
    )
