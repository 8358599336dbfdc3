"""The page of ``suffice study``: learning curves, and what k* was worth."""

from suffice.report.answers.study import (
    answer,
    correlations,
    largest_size,
    methods_of,
    plateau,
    saved,
    tolerance_of,
    with_interval,
)
from suffice.report.figures.study import study_figures
from suffice.report.figures.surface import distance_figure, surface_caption, surface_data, surfaces
from suffice.report.pages.page import Page, render, script_json
from suffice.results import Retrained, StudyResult, interval_in_words


def study_page(result: StudyResult) -> Page:
    """The answer, the findings on k*, the learning curves and every check."""
    figures = study_figures(result)
    measured = next((retrained for retrained in result.study.retrained if retrained.surface is not None), None)
    surface = None if measured is None else measured.surface
    distance = None if surface is None else distance_figure(surface)
    drawn = figures if distance is None else [*figures, distance]
    html = render(
        "study.html.j2",
        result,
        drawn,
        below=figures,
        surface=surface,
        surface_of=None if measured is None else _surface_of(measured, result),
        surface_data=script_json(None if surface is None else surface_data(surface)),
        surface_caption=None if surface is None else surface_caption(surface),
        distance=distance,
        study=result.study,
        answer=answer(result),
        findings=[plateau(result), *correlations(result), saved(result)],
        methods=methods_of(result),
        tolerance=tolerance_of(result),
        largest=largest_size(result),
        curves={"all classes": result.study.curves, **result.study.subset_curves},
        with_interval=with_interval,
        interval_in_words=interval_in_words,
    )
    return Page(html, drawn, films=[] if surface is None else [surfaces(surface)])


def _surface_of(shown: Retrained, result: StudyResult) -> str:
    """Which training the surface is of, and where those of others are."""
    others = [other.method for other in result.study.retrained if other.surface is not None and other is not shown]
    more = f" result.json has those of {', '.join(others)}." if others else ""
    return f"Of {shown.method}, seed {shown.seed}; w* was trained on {shown.samples:,} samples.{more}"
