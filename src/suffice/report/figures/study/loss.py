"""Test and training loss against the number of training samples."""

import math
from statistics import fmean

from suffice.report.answers.study import ALL
from suffice.report.figures.figure import Curve, Figure
from suffice.report.figures.study.axes import legend_entry, size_ticks
from suffice.report.figures.study.learning_curves import bands_caption, k_star_marks, with_band
from suffice.report.figures.study.methods import colors_of_methods
from suffice.results import StudyResult


def loss_figure(result: StudyResult) -> Figure:
    """Means over seeds, on test samples with their band and on training samples; k* where it lies within the axes."""
    marks, names, told = k_star_marks(result)
    curves = []
    for method, color in colors_of_methods(result):
        curve = result.study.curves[method]
        if curve.sizes:
            train = [_train_loss(result, method, size) for size in curve.sizes]
            curves += [
                with_band(names[method], curve.sizes, curve.loss, color, 1, math.inf),
                Curve("", curve.sizes, train, color, "dashed"),
            ]
    if curves:
        curves += [legend_entry("on test samples", "joined"), legend_entry("on its training samples", "dashed")]
    return Figure(
        name="loss",
        title="Test and training loss against the number of training samples",
        caption=f"Mean losses after training, the mean over seeds. {bands_caption(result)}{told}",
        x_label="training samples",
        y_label="mean loss",
        curves=curves,
        log="x",
        marks=marks if curves else (),
        ticks=size_ticks(curves),
    )


def _train_loss(result: StudyResult, method: str, size: int) -> float:
    """The mean over seeds."""
    return fmean(
        cell.train_loss
        for cell in result.study.cells
        if (cell.task, cell.method, cell.size) == (ALL, method, size) and cell.train_loss is not None
    )
