"""Figures of ``suffice forecast``, one a file: accuracy and loss against the number of samples."""

from suffice.report.figures.figure import Figure
from suffice.report.figures.forecast.accuracy import accuracy_figure
from suffice.report.figures.forecast.loss import loss_figure
from suffice.results import ForecastResult


def forecast_figures(result: ForecastResult) -> list[Figure]:
    """Accuracy and loss against size; none where nothing can be told."""
    if result.forecast.status == "cannot_tell":
        return []
    return [accuracy_figure(result), loss_figure(result)]
