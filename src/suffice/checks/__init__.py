"""Guards: what a problem must hold before it is measured, with one registry of what can be found."""

from suffice.checks.derivatives import check_gradient, loss_at
from suffice.checks.kept import check_evaluation_mode, check_kept
from suffice.checks.losses import (
    check_batches,
    check_losses,
    check_output_batches,
    check_outputs,
    check_recorded,
    check_samples,
)
from suffice.checks.moves import check_distance, check_moves
from suffice.checks.overlap import check_apart, copies_of, repeated
from suffice.checks.registry import KINDS, Finding, Kind
from suffice.checks.unused import check_unused

__all__ = [
    "KINDS",
    "Finding",
    "Kind",
    "check_apart",
    "check_batches",
    "check_distance",
    "check_evaluation_mode",
    "check_gradient",
    "check_kept",
    "check_losses",
    "check_moves",
    "check_output_batches",
    "check_outputs",
    "check_recorded",
    "check_samples",
    "check_unused",
    "copies_of",
    "loss_at",
    "repeated",
]
