"""Slopes of the learning curve, one estimator a file."""

from suffice.forecasting.slopes.combined import geometric_mean
from suffice.forecasting.slopes.effective_dimension import effective_dimension_slope
from suffice.forecasting.slopes.gcv import gcv_slope
from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.forecasting.slopes.sandwich import sandwich_slope
from suffice.forecasting.slopes.slope import FirstOrder, Slope, standard_error

__all__ = [
    "FirstOrder",
    "Slope",
    "effective_dimension_slope",
    "gcv_slope",
    "geometric_mean",
    "optimism_slope",
    "sandwich_slope",
    "standard_error",
]
