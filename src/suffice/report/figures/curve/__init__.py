"""Figures of ``suffice curve``, one a file: the score and the probability to reach the target, against size."""

from suffice.report.figures.curve.probability import probability_figure
from suffice.report.figures.curve.score import score_figure
from suffice.report.figures.figure import Figure
from suffice.results import CurveResult


def curve_figures(result: CurveResult) -> list[Figure]:
    """The score against size and, where there is a target, the probability to reach it."""
    probability = probability_figure(result)
    return [score_figure(result)] if probability is None else [score_figure(result), probability]
