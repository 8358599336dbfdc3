"""Test accuracy to be expected with more samples."""

from suffice.report.figures.figure import BLUE, Figure
from suffice.report.figures.forecast.prediction import prediction_figure
from suffice.results import ForecastResult


def accuracy_figure(result: ForecastResult) -> Figure:
    """The predicted curve in percent, the measured values, the target, and the size at which cost is gain."""
    if result.task == "regression":
        return prediction_figure(result, "accuracy", result.forecast.accuracy, BLUE, "R² on unseen samples", 1)
    return prediction_figure(result, "accuracy", result.forecast.accuracy, BLUE, "test accuracy, %", 100)
