"""The page of ``suffice study``: learning curves, and what k* was worth."""

from suffice.report.answers.study import (
    answer,
    largest_size,
    methods_of,
    plateau,
    saved,
    told,
    tolerance_of,
    with_interval,
)
from suffice.report.figures.study import study_figures
from suffice.report.pages.page import Page, render
from suffice.results import StudyResult, interval_in_words


def study_page(result: StudyResult) -> Page:
    """The answer, the findings on k*, the learning curves and every check."""
    figures = study_figures(result)
    html = render(
        "study.html.j2",
        result,
        figures,
        study=result.study,
        answer=answer(result),
        findings=[plateau(result), *told(result), saved(result)],
        methods=methods_of(result),
        tolerance=tolerance_of(result),
        largest=largest_size(result),
        curves={"all classes": result.study.curves, **result.study.subset_curves},
        with_interval=with_interval,
        interval_in_words=interval_in_words,
    )
    return Page(html, figures)
