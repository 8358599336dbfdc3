"""The page of ``suffice forecast`` of several methods."""

from urllib.parse import quote

from suffice.report.answers.methods import findings_of_methods, methods_answer, table_of
from suffice.report.figures.methods import methods_figures
from suffice.report.pages.page import Page, render
from suffice.results import MethodsResult


def methods_page(result: MethodsResult) -> Page:
    """Which method to use, the curves of all, their numbers, and where the report of each is."""
    figures = methods_figures(result)
    methods, rows = table_of(result)
    html = render(
        "methods.html.j2",
        result,
        figures,
        answer=methods_answer(result),
        found=findings_of_methods(result),
        color=_color(result),
        methods=methods,
        rows=rows,
        reports={of.method: f"{quote(of.folder)}/report.html" for of in result.methods},
        correlations=_correlations(result),
    )
    return Page(html, figures)


def _color(result: MethodsResult) -> str:
    """The class of the headline: green where each stretch of sizes has a method that is surely the best."""
    if result.comparison is None:
        return "cannot_tell"
    return "extrapolated" if result.comparison.undecided else "reached"


def _correlations(result: MethodsResult) -> list[tuple[str, str, float]]:
    """Each pair once."""
    table = {} if result.comparison is None else result.comparison.correlation
    names = list(table)
    return [(name, other, table[name][other]) for row, name in enumerate(names) for other in names[row + 1 :]]
