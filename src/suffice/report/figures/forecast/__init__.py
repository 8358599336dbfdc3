"""Figures of ``suffice forecast``, one a file: accuracy and loss against the number of samples."""

from suffice.report.figures.figure import Figure
from suffice.report.figures.forecast.accuracy import accuracy_figure
from suffice.report.figures.forecast.loss import loss_figure
from suffice.report.figures.forecast.probability import probability_figure
from suffice.results import ForecastResult


def forecast_figures(result: ForecastResult) -> list[Figure]:
    """Accuracy and loss against size, and how likely each target is; none where nothing can be told."""
    if result.forecast.status == "cannot_tell":
        return []
    probabilities = [probability_figure(result, answer) for answer in result.answers]
    return [accuracy_figure(result), *filter(None, probabilities), loss_figure(result)]
