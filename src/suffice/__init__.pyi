from . import (
    cli,
    closed_form,
    configuration,
    curvature,
    data,
    engine,
    errors,
    forecasting,
    landscape,
    models,
    problem,
    report,
    results,
    runs,
    storage,
    studies,
    training,
)
from .errors import InputError
from .forecasting import forecast, forecast_head
from .landscape import Convergence, Ledger, Probes, record
from .problem import Problem
from .results import LearningCurve, SufficientSize
from .runs.learning_curves import study

__all__ = [
    "Convergence",
    "InputError",
    "LearningCurve",
    "Ledger",
    "Probes",
    "Problem",
    "SufficientSize",
    "cli",
    "closed_form",
    "configuration",
    "curvature",
    "data",
    "engine",
    "errors",
    "forecast",
    "forecast_head",
    "forecasting",
    "landscape",
    "models",
    "problem",
    "record",
    "report",
    "results",
    "runs",
    "storage",
    "studies",
    "study",
    "training",
]

__version__: str
