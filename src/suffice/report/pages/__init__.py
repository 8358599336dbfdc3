"""What each type of result has to show: one page a type, chosen by that type, as plain values."""

from pathlib import Path
from typing import assert_never

import numpy as np
from jaxtyping import Float64

from suffice.report.pages.analysis import analysis_page
from suffice.report.pages.curvature import curvature_page
from suffice.report.pages.curve import curve_page
from suffice.report.pages.forecast import forecast_page
from suffice.report.pages.hessian import hessian_page
from suffice.report.pages.language_study import language_study_page
from suffice.report.pages.methods import methods_page
from suffice.report.pages.mlp import mlp_page
from suffice.report.pages.monitor import monitor_page
from suffice.report.pages.page import Page
from suffice.report.pages.study import study_page
from suffice.results import (
    AnalysisResult,
    CurvatureResult,
    CurveResult,
    ForecastResult,
    HessianResult,
    LanguageStudyResult,
    MethodsResult,
    MLPResult,
    MonitorResult,
    Result,
    StudyResult,
    heat_map_file,
)

__all__ = ["page_of"]


def page_of(result: Result, folder: Path | None = None) -> Page:
    """The page of a result, which the terminal, ``report.html`` and ``report.md`` show.

    Args:
        result: of any type.
        folder: the run's folder, which may hold the arrays of heat maps.
    """
    match result:
        case AnalysisResult():
            page = analysis_page(result)
        case CurvatureResult():
            page = curvature_page(result)
        case CurveResult():
            page = curve_page(result)
        case ForecastResult():
            page = forecast_page(result)
        case HessianResult():
            page = hessian_page(result, _heat_map_cells(result, folder))
        case LanguageStudyResult():
            page = language_study_page(result)
        case MethodsResult():
            page = methods_page(result)
        case MLPResult():
            page = mlp_page(result)
        case MonitorResult():
            page = monitor_page(result)
        case StudyResult():
            page = study_page(result)
        case _:
            assert_never(result)
    return page


def _heat_map_cells(
    result: HessianResult, folder: Path | None
) -> Float64[np.ndarray, "moments parts cells cells"] | None:
    """None where a folder has ``result.json`` without the arrays, as one that was copied from a run may."""
    if folder is None:
        return None
    files = [heat_map_file(folder, moment.epoch) for moment in result.moments]
    if not all(file.exists() for file in files):
        return None
    return np.stack([np.load(file, allow_pickle=False).astype(np.float64) for file in files])
