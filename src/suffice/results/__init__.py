"""Plain values that a run answers with, to and from JSON. Descriptions are shown to people in the report."""

from suffice.results.analysis import Landscape, Probe, ProblemSummary, Result, Settling
from suffice.results.base import BaseResult, Network, Surrounding
from suffice.results.forecast import ClassGain, ForecastResult, Gain, Measured
from suffice.results.hessian import BoundName, HessianResult, HessianSummary, Moment, NormBounds, PartName
from suffice.results.learning_curve import Band, LearningCurve, Limit, Numbers
from suffice.results.study import Agreement, Cell, Check, Retrained, Study, StudyResult
from suffice.results.sufficient_size import Criterion, SufficientSize, Target
from suffice.results.value import Estimate

__all__ = [
    "Agreement",
    "Band",
    "BaseResult",
    "BoundName",
    "Cell",
    "Check",
    "ClassGain",
    "Criterion",
    "Estimate",
    "ForecastResult",
    "Gain",
    "HessianResult",
    "HessianSummary",
    "Landscape",
    "LearningCurve",
    "Limit",
    "Measured",
    "Moment",
    "Network",
    "NormBounds",
    "Numbers",
    "PartName",
    "Probe",
    "ProblemSummary",
    "Result",
    "Retrained",
    "Settling",
    "Study",
    "StudyResult",
    "SufficientSize",
    "Surrounding",
    "Target",
]
