"""Forecasting: how test loss and accuracy should go on with more samples, from one training or from curve fits."""

from suffice.forecasting.curve_fits import (
    FAMILIES,
    CurveFit,
    NoImprovement,
    TwoPoint,
    fit_curve,
    sufficient_size,
)
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.forecast import forecast_head

__all__ = [
    "FAMILIES",
    "CurveFit",
    "Estimator",
    "NoImprovement",
    "TwoPoint",
    "fit_curve",
    "forecast_head",
    "sufficient_size",
]
