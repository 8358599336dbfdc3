"""The page of the MLP experiment."""

from statistics import fmean

from suffice.report.answers.mlp import centers_of, comparison, mlp_answer
from suffice.report.figures.mlp import location, mlp_figures
from suffice.report.pages.page import Page, render
from suffice.results import MLPResult


def mlp_page(result: MLPResult) -> Page:
    """The answer, the figures, and the slope and the height of every network."""
    figures, centers = mlp_figures(result), centers_of(result)
    html = render(
        "mlp.html.j2",
        result,
        figures,
        answer=mlp_answer(result),
        radii=[location(surrounding) for surrounding in result.networks[0].surroundings],
        compared=comparison(result),
        within=sum(abs(center.slope - center.slope_of_orders) <= 2 * center.slope_error for center in centers),
        orders=fmean(center.slope_of_orders for center in centers),
        deviation=fmean(center.slope_of_orders_deviation for center in centers),
        error=fmean(center.slope_error for center in centers),
    )
    return Page(html, figures)
