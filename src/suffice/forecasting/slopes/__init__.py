"""Slopes of the learning curve, one estimator a file."""

from suffice.forecasting.slopes.between_trainings import BetweenTrainings, between_trainings
from suffice.forecasting.slopes.calibrated import (
    CalibratedSlope,
    MeasuredOfHeads,
    calibrated_slope,
    measured_of_heads,
    share_of_slope,
)
from suffice.forecasting.slopes.combined import geometric_mean
from suffice.forecasting.slopes.degrees_of_freedom import DegreesOfFreedom, degrees_of_freedom
from suffice.forecasting.slopes.design_effect import design_effect
from suffice.forecasting.slopes.effective_dimension import effective_dimension_slope
from suffice.forecasting.slopes.fine_tuned import FineTunedSlope, fine_tuned_slope, part_errors
from suffice.forecasting.slopes.gcv import gcv_slope
from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.forecasting.slopes.sandwich import sandwich_slope
from suffice.forecasting.slopes.slope import FirstOrder, Slope, standard_error

__all__ = [
    "BetweenTrainings",
    "CalibratedSlope",
    "DegreesOfFreedom",
    "FineTunedSlope",
    "FirstOrder",
    "MeasuredOfHeads",
    "Slope",
    "between_trainings",
    "calibrated_slope",
    "degrees_of_freedom",
    "design_effect",
    "effective_dimension_slope",
    "fine_tuned_slope",
    "gcv_slope",
    "geometric_mean",
    "measured_of_heads",
    "optimism_slope",
    "part_errors",
    "sandwich_slope",
    "share_of_slope",
    "standard_error",
]
