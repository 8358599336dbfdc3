"""What a result says, in plain sentences and in the rows of its tables."""

from suffice.report.answers.curve import curve_answer
from suffice.report.answers.forecast import findings_in_words, forecast_answer
from suffice.report.answers.methods import methods_answer
from suffice.report.answers.mlp import mlp_answer

__all__ = ["curve_answer", "findings_in_words", "forecast_answer", "methods_answer", "mlp_answer"]
