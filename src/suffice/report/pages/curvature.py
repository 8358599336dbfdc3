"""The page of ``suffice curvature``."""

from suffice.report.figures.curvature import curvature_figures
from suffice.report.pages.page import Page, render
from suffice.results import CurvatureResult


def curvature_page(result: CurvatureResult) -> Page:
    """The spectrum, the layers, and what one more sample changes."""
    figures = curvature_figures(result)
    largest = max(abs(layer.largest.value) for layer in result.layers)
    html = render(
        "curvature.html.j2",
        result,
        figures,
        shades=[abs(layer.largest.value) / largest if largest > 0 else 0.0 for layer in result.layers],
    )
    return Page(html, figures)
