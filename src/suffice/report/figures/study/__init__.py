"""Figures of ``suffice study``, one a file: learning curves, the check of k*, the retrained surfaces."""

from suffice.report.figures.figure import Figure
from suffice.report.figures.study.accuracy import accuracy_figure
from suffice.report.figures.study.check import check_figure
from suffice.report.figures.study.difference import difference_figure
from suffice.report.figures.study.gradients import gradients_figure
from suffice.report.figures.study.loss import loss_figure
from suffice.report.figures.study.minima import minima_figure
from suffice.report.figures.study.moved import moved_figure
from suffice.results import StudyResult


def study_figures(result: StudyResult) -> list[Figure]:
    """Those for which something was measured."""
    figures = [
        accuracy_figure(result),
        loss_figure(result),
        check_figure(result),
        difference_figure(result),
        minima_figure(result),
        moved_figure(result),
        gradients_figure(result),
    ]
    return [figure for figure in figures if figure.curves]
