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
from suffice.results.files import RESULT, Result, heat_map_file, read_result
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
    "Criterion",
    "CurvatureAtRadius",
    "CurvatureResult",
    "Density",
    "Eigenvalue",
    "Estimate",
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
    "Spectrum",
    "Study",
    "StudyResult",
    "SufficientSize",
    "SurfaceAlongK",
    "Surrounding",
    "Target",
    "WithError",
    "heat_map_file",
    "interval_in_words",
    "read_result",
]
