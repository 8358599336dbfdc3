"""Forecasting: how test loss and accuracy should go on with more samples, from one training or from curve fits."""

from suffice.forecasting.checks import CONFIDENCE
from suffice.forecasting.classes import ClassSlopes
from suffice.forecasting.curve_fits import (
    FAMILIES,
    CurveFit,
    NoImprovement,
    TwoPoint,
    fit_curve,
    sufficient_size,
)
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.fine_tuned import FOLDS, effective_penalty, measure_problem, others_of_folds
from suffice.forecasting.forecast import curve_of, forecast, forecast_head
from suffice.forecasting.overlap import repeated
from suffice.forecasting.pilot import Pilot, Predicted, choose_penalty, measure_pilot
from suffice.forecasting.slope import FirstOrder, Slope

__all__ = [
    "CONFIDENCE",
    "FAMILIES",
    "FOLDS",
    "ClassSlopes",
    "CurveFit",
    "Estimator",
    "FirstOrder",
    "NoImprovement",
    "Pilot",
    "Predicted",
    "Slope",
    "TwoPoint",
    "choose_penalty",
    "curve_of",
    "effective_penalty",
    "fit_curve",
    "forecast",
    "forecast_head",
    "measure_pilot",
    "measure_problem",
    "others_of_folds",
    "repeated",
    "sufficient_size",
]
