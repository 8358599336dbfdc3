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
from suffice.results.curve import Costs, CurveResult, NextTrainings, Predictions, Reached, Training
from suffice.results.draws import Draws, fall
from suffice.results.files import RESULT, Result, heat_map_file, read_result
from suffice.results.finding import FindingValue, Severity, Trust, Word
from suffice.results.forecast import ClassGain, ForecastResult, Gain, Measured
from suffice.results.hessian import BoundName, HessianResult, HessianSummary, Moment, NormBounds, PartName
from suffice.results.interval import Band, Estimate, Limit, Numbers
from suffice.results.learning_curve import LearningCurve, Recipe
from suffice.results.methods import Chances, Comparison, Fewest, MethodsResult, OfMethod, Stretch, Takeover
from suffice.results.mlp import MLPResult, Network, Surrounding
from suffice.results.predicted import BOUNDS, CONFIDENCE, HORIZON, RISES, Curve, Metric, Of, sample_counts
from suffice.results.study import Agreement, Cell, Check, Retrained, Study, StudyResult
from suffice.results.sufficient_size import Criterion, SufficientSize, Target, interval_in_words

__all__ = [
    "BOUNDS",
    "CONFIDENCE",
    "HORIZON",
    "RESULT",
    "RISES",
    "Agreement",
    "AnalysisResult",
    "Band",
    "BoundName",
    "Cell",
    "Chances",
    "Check",
    "ClassGain",
    "Comparison",
    "Costs",
    "Criterion",
    "CurvatureAtRadius",
    "CurvatureResult",
    "Curve",
    "CurveResult",
    "Density",
    "Draws",
    "Eigenvalue",
    "Estimate",
    "Fewest",
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
    "MethodsResult",
    "Metric",
    "Moment",
    "Network",
    "NextTrainings",
    "NormBounds",
    "Numbers",
    "Of",
    "OfMethod",
    "PartName",
    "Predictions",
    "Probe",
    "ProblemSummary",
    "Reached",
    "Recipe",
    "Result",
    "Retrained",
    "Settling",
    "Severity",
    "Spectrum",
    "Stretch",
    "Study",
    "StudyResult",
    "SufficientSize",
    "SurfaceAlongK",
    "Surrounding",
    "Takeover",
    "Target",
    "Training",
    "Trust",
    "WithError",
    "Word",
    "fall",
    "heat_map_file",
    "interval_in_words",
    "read_result",
    "sample_counts",
]
