"""From a result to what people look at: ``result.json``, figures, ``report.html``. Needs no torch and no model."""

from pathlib import Path

from suffice.report.base import base_answer, write_base_report
from suffice.report.drawing import save_figures
from suffice.report.figures import figures_of
from suffice.report.forecast import forecast_answer, write_forecast_report
from suffice.report.hessian import heat_map_file, write_hessian_report
from suffice.report.page import page
from suffice.report.study import write_study_report
from suffice.results import Result
from suffice.storage import atomic_write

__all__ = [
    "base_answer",
    "forecast_answer",
    "heat_map_file",
    "write_base_report",
    "write_forecast_report",
    "write_hessian_report",
    "write_report",
    "write_study_report",
]


def write_report(result: Result, folder: Path) -> None:
    """Writes ``result.json``, ``figures/*.png`` and ``*.pdf``, and the self-contained ``report.html``."""
    with atomic_write(folder / "result.json") as file:
        file.write(result.model_dump_json(indent=2).encode())
    figures = figures_of(result)
    save_figures(figures, folder / "figures")
    with atomic_write(folder / "report.html") as file:
        file.write(page(result, figures).encode())
