"""What a result says, in plain sentences and in the rows of its tables."""

from suffice.report.answers.analysis import analysis_answer
from suffice.report.answers.answer import Answer, finding_in_words
from suffice.report.answers.curvature import curvature_answer
from suffice.report.answers.curve import curve_answer
from suffice.report.answers.forecast import forecast_answer
from suffice.report.answers.hessian import hessian_answer
from suffice.report.answers.language_study import language_study_answer
from suffice.report.answers.methods import methods_answer
from suffice.report.answers.mlp import mlp_answer
from suffice.report.answers.monitor import monitor_answer
from suffice.report.answers.study import study_answer

__all__ = [
    "Answer",
    "analysis_answer",
    "curvature_answer",
    "curve_answer",
    "finding_in_words",
    "forecast_answer",
    "hessian_answer",
    "language_study_answer",
    "methods_answer",
    "mlp_answer",
    "monitor_answer",
    "study_answer",
]
