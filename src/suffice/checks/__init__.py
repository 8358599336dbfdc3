"""Guards: what a problem must hold before it is measured, with one registry of what can be found."""

from suffice.checks.derivatives import check_gradient
from suffice.checks.losses import check_losses, check_samples
from suffice.checks.overlap import check_apart, repeated
from suffice.checks.registry import KINDS, Finding, Kind

__all__ = ["KINDS", "Finding", "Kind", "check_apart", "check_gradient", "check_losses", "check_samples", "repeated"]
