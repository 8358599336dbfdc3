"""Forecasting: how test loss and accuracy should go on with more samples, from one training or from curve fits."""

from suffice.forecasting.checks import CONFIDENCE
from suffice.forecasting.classes import ClassSlopes
from suffice.forecasting.curve import Curve, NextRun
from suffice.forecasting.curve_fits import (
    FAMILIES,
    CurveFit,
    NoImprovement,
    TwoPoint,
    fit_curve,
    sufficient_size,
)
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.fine_tuned import effective_penalty, measure_problem
from suffice.forecasting.forecast import curve_of, forecast, forecast_head
from suffice.forecasting.levels import FOLDS_OF_TRAININGS, others_of_folds
from suffice.forecasting.pilot import Pilot, choose_penalty, measure_pilot
from suffice.forecasting.scores import forecast_scores
from suffice.forecasting.slopes import FirstOrder, Slope

__all__ = [
    "CONFIDENCE",
    "FAMILIES",
    "FOLDS_OF_TRAININGS",
    "ClassSlopes",
    "Curve",
    "CurveFit",
    "Estimator",
    "FirstOrder",
    "NextRun",
    "NoImprovement",
    "Pilot",
    "Slope",
    "TwoPoint",
    "choose_penalty",
    "curve_of",
    "effective_penalty",
    "fit_curve",
    "forecast",
    "forecast_head",
    "forecast_scores",
    "measure_pilot",
    "measure_problem",
    "others_of_folds",
    "sufficient_size",
]
