"""One short, seeded fine-tuning loop, used by every command that trains."""

from suffice.training.fine_tune import DivergedError, FineTuning, OptimizerName, fine_tune

__all__ = ["DivergedError", "FineTuning", "OptimizerName", "fine_tune"]
