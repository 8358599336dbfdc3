"""The report of ``suffice study``: the trainings as a table, figures, and a page that says what k* was worth."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from suffice.report.drawing import save_figures
from suffice.report.figures import Figure
from suffice.report.page import TEMPLATES, plotly_code, script_plots
from suffice.report.study_answers import (
    answer,
    largest_size,
    methods_of,
    plateau,
    saved,
    told,
    tolerance_of,
    with_interval,
)
from suffice.report.study_figures import study_figures
from suffice.results import Cell, StudyResult
from suffice.storage import atomic_write


def write_study_report(result: StudyResult, folder: Path) -> None:
    """Writes ``result.json``, ``cells.csv``, the figures, and the self-contained ``report.html``."""
    with atomic_write(folder / "result.json") as file:
        file.write(result.model_dump_json().encode())
    with atomic_write(folder / "cells.csv") as file:
        file.write(_table(result.study.cells).encode())
    figures = study_figures(result)
    save_figures(figures, folder / "figures")
    with atomic_write(folder / "report.html") as file:
        file.write(_page(result, figures).encode())


def _table(cells: Sequence[Cell]) -> str:
    """A row for each training; what it does not have is empty."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(Cell.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cell.model_dump() for cell in cells)
    return table.getvalue()


def _page(result: StudyResult, figures: Sequence[Figure]) -> str:
    return TEMPLATES.get_template("study.html.j2").render(
        result=result,
        study=result.study,
        answer=answer(result),
        findings=[plateau(result), *told(result), saved(result)],
        methods=methods_of(result),
        tolerance=tolerance_of(result),
        largest=largest_size(result),
        curves={"all classes": result.study.curves, **result.study.subset_curves},
        with_interval=with_interval,
        figures=figures,
        plots=script_plots(figures),
        plotly=plotly_code(),
    )
