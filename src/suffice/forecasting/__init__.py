"""Forecasting: how test loss and accuracy should go on with more samples, from one training or from curve fits."""

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
from suffice.forecasting.fine_tuned import effective_penalty
from suffice.forecasting.forecast import CONFIDENCE, curve_of, forecast, forecast_head
from suffice.forecasting.pilot import Pilot, choose_penalty, measure_pilot

__all__ = [
    "CONFIDENCE",
    "FAMILIES",
    "ClassSlopes",
    "CurveFit",
    "Estimator",
    "NoImprovement",
    "Pilot",
    "TwoPoint",
    "choose_penalty",
    "curve_of",
    "effective_penalty",
    "fit_curve",
    "forecast",
    "forecast_head",
    "measure_pilot",
    "sufficient_size",
]
