"""Plain values that a run answers with, to and from JSON. The report shows their descriptions."""

from suffice.results.analysis import AnalysisResult, Landscape, Probe, ProblemSummary, Settling
from suffice.results.curvature import (
    CurvatureAtRadius,
    CurvatureResult,
    Density,
    Eigenvalue,
    GapsAlongK,
    Layer,
    Spectrum,
    SurfaceAlongK,
    WithError,
)
from suffice.results.curve import Costs, CurveResult, Metric, NextTrainings, Predictions, Reached, Training
from suffice.results.files import RESULT, Result, heat_map_file, read_result
from suffice.results.finding import FindingValue, Severity
from suffice.results.forecast import ClassGain, ForecastResult, Gain, Measured
from suffice.results.hessian import BoundName, HessianResult, HessianSummary, Moment, NormBounds, PartName
from suffice.results.learning_curve import Band, LearningCurve, Limit, Numbers
from suffice.results.mlp import MLPResult, Network, Surrounding
from suffice.results.study import Agreement, Cell, Check, Retrained, Study, StudyResult
from suffice.results.sufficient_size import Criterion, SufficientSize, Target, interval_in_words
from suffice.results.value import Estimate

__all__ = [
    "RESULT",
    "Agreement",
    "AnalysisResult",
    "Band",
    "BoundName",
    "Cell",
    "Check",
    "ClassGain",
    "Costs",
    "Criterion",
    "CurvatureAtRadius",
    "CurvatureResult",
    "CurveResult",
    "Density",
    "Eigenvalue",
    "Estimate",
    "FindingValue",
    "ForecastResult",
    "Gain",
    "GapsAlongK",
    "HessianResult",
    "HessianSummary",
    "Landscape",
    "Layer",
    "LearningCurve",
    "Limit",
    "MLPResult",
    "Measured",
    "Metric",
    "Moment",
    "Network",
    "NextTrainings",
    "NormBounds",
    "Numbers",
    "PartName",
    "Predictions",
    "Probe",
    "ProblemSummary",
    "Reached",
    "Result",
    "Retrained",
    "Settling",
    "Severity",
    "Spectrum",
    "Study",
    "StudyResult",
    "SufficientSize",
    "SurfaceAlongK",
    "Surrounding",
    "Target",
    "Training",
    "WithError",
    "heat_map_file",
    "interval_in_words",
    "read_result",
]
