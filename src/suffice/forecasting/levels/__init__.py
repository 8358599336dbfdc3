"""The level: where the test loss at the samples at hand comes from, one source a file."""

from suffice.forecasting.levels.folds import (
    FOLDS,
    FOLDS_OF_TRAININGS,
    Refit,
    fold_of,
    means_in_folds,
    others_of_folds,
    out_of_fold,
    trained_out_of_fold,
)
from suffice.forecasting.levels.holdout import predictions_of
from suffice.forecasting.levels.leave_one_out import LINEARISED, left_out

__all__ = [
    "FOLDS",
    "FOLDS_OF_TRAININGS",
    "LINEARISED",
    "Refit",
    "fold_of",
    "left_out",
    "means_in_folds",
    "others_of_folds",
    "out_of_fold",
    "predictions_of",
    "trained_out_of_fold",
]
