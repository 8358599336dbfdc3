"""Ground truth: training at each size and seed, the loss surface where that ends, and what k* is worth."""

from suffice.studies.cell import Cells, train_cell
from suffice.studies.check import agreement_of, check_of
from suffice.studies.curves import CONFIDENCE, Tested, band_over_seeds, by_last_step, last_gain, learning_curve
from suffice.studies.language import language_curve, perplexity_of, train_language_cell
from suffice.studies.retrained import measure_retrained
from suffice.studies.samples import StudySamples

__all__ = [
    "CONFIDENCE",
    "Cells",
    "StudySamples",
    "Tested",
    "agreement_of",
    "band_over_seeds",
    "by_last_step",
    "check_of",
    "language_curve",
    "last_gain",
    "learning_curve",
    "measure_retrained",
    "perplexity_of",
    "train_cell",
    "train_language_cell",
]
