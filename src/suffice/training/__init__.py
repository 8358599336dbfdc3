"""One short, seeded fine-tuning loop, used by every command that trains."""

from suffice.training.fine_tune import FineTuning, fine_tune

__all__ = ["FineTuning", "fine_tune"]
