"""One page for each type of result, chosen by that type."""

from pathlib import Path
from typing import assert_never

import numpy as np
from jaxtyping import Float64

from suffice.report.matplotlib import film, save_figures
from suffice.report.pages.analysis import analysis_page
from suffice.report.pages.curvature import curvature_page
from suffice.report.pages.curve import curve_page
from suffice.report.pages.forecast import forecast_page
from suffice.report.pages.hessian import hessian_page
from suffice.report.pages.methods import methods_page
from suffice.report.pages.mlp import mlp_page
from suffice.report.pages.page import Page
from suffice.report.pages.study import study_page
from suffice.results import (
    RESULT,
    AnalysisResult,
    CurvatureResult,
    CurveResult,
    ForecastResult,
    HessianResult,
    MethodsResult,
    MLPResult,
    Result,
    StudyResult,
    heat_map_file,
    read_result,
)
from suffice.storage import atomic_write, locked

REPORT = "report.html"
"""The file of a run's folder that holds its page."""


def write_report(result: Result, folder: Path) -> Path:
    """Writes the page of a result, and its figures as files; returns where the page lies.

    Args:
        result: of any type.
        folder: the run's folder, which gets ``report.html``, ``figures/*.png`` and ``figures/*.pdf``, and
            ``figures/surface.gif`` where a surface was measured; the heat maps of a `HessianResult` are drawn if their
            arrays are there, and the pages of each method's own run with that of a `MethodsResult`.

    Raises:
        InputError: a run is at work in the folder.
    """
    if isinstance(result, MethodsResult):
        for of in result.methods:
            if (folder / of.folder / RESULT).exists():  # a folder may have been copied without those of its methods
                write_report(read_result(folder / of.folder), folder / of.folder)
    page = _page(result, folder)
    with locked(folder):  # a run that starts in this folder removes what is half written
        _write_figures(page, folder / "figures")
        with atomic_write(folder / REPORT) as file:
            file.write(page.html.encode())
    return folder / REPORT


def _write_figures(page: Page, folder: Path) -> None:
    save_figures(page.figures, folder)
    for name, png in page.pictures.items():
        with atomic_write(folder / f"{name}.png") as file:
            file.write(png)
    for surfaces in page.films:
        with atomic_write(folder / f"{surfaces.name}.gif") as file:
            file.write(film(surfaces))


def _page(result: Result, folder: Path) -> Page:
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
        case MethodsResult():
            page = methods_page(result)
        case MLPResult():
            page = mlp_page(result)
        case StudyResult():
            page = study_page(result)
        case _:
            assert_never(result)
    return page


def _heat_map_cells(result: HessianResult, folder: Path) -> Float64[np.ndarray, "moments parts cells cells"] | None:
    """None where a folder has ``result.json`` without the arrays, as one that was copied from a run may."""
    files = [heat_map_file(folder, moment.epoch) for moment in result.moments]
    if not all(file.exists() for file in files):
        return None
    return np.stack([np.load(file, allow_pickle=False).astype(np.float64) for file in files])
