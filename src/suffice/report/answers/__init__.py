"""What a result says, in plain sentences and in the rows of its tables."""

from suffice.report.answers.forecast import forecast_answer
from suffice.report.answers.mlp import mlp_answer

__all__ = ["forecast_answer", "mlp_answer"]
