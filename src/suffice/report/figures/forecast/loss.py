"""Test loss to be expected with more samples."""

from suffice.report.figures.figure import GREEN, Figure
from suffice.report.figures.forecast.prediction import prediction_figure
from suffice.results import ForecastResult


def loss_figure(result: ForecastResult) -> Figure:
    """The predicted curve, the measured values, and the target."""
    label = "mean squared error" if result.task == "regression" else "test loss"
    return prediction_figure(result, "loss", result.forecast.loss, GREEN, label, 1)
