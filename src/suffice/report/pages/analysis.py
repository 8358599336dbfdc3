"""The page of ``suffice analyze``, which answers for other tolerances as well."""

from collections.abc import Iterator
from typing import Any

from suffice.report.figures.analysis import analysis_figures
from suffice.report.pages.page import Page, render, script_json
from suffice.results import AnalysisResult, ProblemSummary


def analysis_page(result: AnalysisResult) -> Page:
    """The answer, the tolerance to choose, the figures, and every number in plain words."""
    figures = analysis_figures(result)
    html = render(
        "analysis.html.j2",
        result,
        figures,
        problem=result.problem,
        headline=result.sufficient_sizes[0],
        settling=script_json([settling.model_dump() for settling in result.settling]),
        numbers=list(_numbers(result.problem)),
        geometry=_geometry(result),
    )
    return Page(html, figures)


def _numbers(problem: ProblemSummary) -> Iterator[tuple[str, str, str]]:
    for name, information in ProblemSummary.model_fields.items():
        value = getattr(problem, name)
        if name == "held_out_metrics":
            yield from (
                (f"held-out {metric}", _shown(number), information.description or "")
                for metric, number in value.items()
            )
        elif name != "notes" and value is not None:
            yield name.replace("_", " "), _shown(value), str(information.description)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _geometry(result: AnalysisResult) -> float:
    """How much larger the spread is at the probes than at w*: the ratio of root mean squares."""
    center, *around = result.landscape.probes
    squares = [probe.spread**2 for probe in around]
    return (sum(squares) / len(squares)) ** 0.5 / center.spread if center.spread > 0 else 1.0
