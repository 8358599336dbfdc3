"""Slopes of the learning curve, one estimator a file."""

from suffice.forecasting.slopes.combined import geometric_mean
from suffice.forecasting.slopes.effective_dimension import effective_dimension_slope
from suffice.forecasting.slopes.fine_tuned import FineTunedSlope, fine_tuned_slope, part_errors
from suffice.forecasting.slopes.gcv import gcv_slope
from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.forecasting.slopes.sandwich import sandwich_slope
from suffice.forecasting.slopes.slope import FirstOrder, Slope, standard_error

__all__ = [
    "FineTunedSlope",
    "FirstOrder",
    "Slope",
    "effective_dimension_slope",
    "fine_tuned_slope",
    "gcv_slope",
    "geometric_mean",
    "optimism_slope",
    "part_errors",
    "sandwich_slope",
    "standard_error",
]
