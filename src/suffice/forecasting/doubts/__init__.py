"""What a forecast says when it should not be trusted: one question a module, each answered by a finding or None."""

from suffice.forecasting.doubts.chance import about_chance, standardized_agreement
from suffice.forecasting.doubts.confidence import by_severity, confidence_of
from suffice.forecasting.doubts.copies import (
    Copies,
    about_contradiction,
    about_copies,
    are_ordinary,
    copies_in_features,
    copies_in_problem,
    copies_of_rows,
    copies_of_samples,
    different_samples,
    kept_together,
)
from suffice.forecasting.doubts.drift import about_order
from suffice.forecasting.doubts.few_errors import about_errors, accuracy_interval
from suffice.forecasting.doubts.free_weights import about_free_weights, shortfall
from suffice.forecasting.doubts.gap import Gap, about_gap, gap_of, largest_gain
from suffice.forecasting.doubts.halves import about_halves
from suffice.forecasting.doubts.heavy_tails import about_tails, skewed, tail_noise
from suffice.forecasting.doubts.sizes import about_sizes
from suffice.forecasting.doubts.smallest_class import about_smallest_class
from suffice.forecasting.doubts.training import about_collapse, about_convergence, about_fall, about_learning

__all__ = [
    "Copies",
    "Gap",
    "about_chance",
    "about_collapse",
    "about_contradiction",
    "about_convergence",
    "about_copies",
    "about_errors",
    "about_fall",
    "about_free_weights",
    "about_gap",
    "about_halves",
    "about_learning",
    "about_order",
    "about_sizes",
    "about_smallest_class",
    "about_tails",
    "accuracy_interval",
    "are_ordinary",
    "by_severity",
    "confidence_of",
    "copies_in_features",
    "copies_in_problem",
    "copies_of_rows",
    "copies_of_samples",
    "different_samples",
    "gap_of",
    "kept_together",
    "largest_gain",
    "shortfall",
    "skewed",
    "standardized_agreement",
    "tail_noise",
]
