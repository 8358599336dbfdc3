"""Ground truth: training at each size and seed, the loss surface where that ends, and what k* is worth."""

from suffice.studies.cell import Cells, train_cell, training_of
from suffice.studies.check import agreement_of, check_of
from suffice.studies.curves import CONFIDENCE, learning_curve
from suffice.studies.features import FrozenFeatures
from suffice.studies.learner import Learner, Learners
from suffice.studies.parts import ALL, Parts, Place, StudySamples, Task
from suffice.studies.retrained import measure_retrained

__all__ = [
    "ALL",
    "CONFIDENCE",
    "Cells",
    "FrozenFeatures",
    "Learner",
    "Learners",
    "Parts",
    "Place",
    "StudySamples",
    "Task",
    "agreement_of",
    "check_of",
    "learning_curve",
    "measure_retrained",
    "train_cell",
    "training_of",
]
