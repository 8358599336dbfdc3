"""The page of ``suffice curvature``."""

from suffice.report.figures.curvature import curvature_figures
from suffice.report.figures.surface import distance_figure, surface_caption, surface_data, surfaces
from suffice.report.pages.page import Page, render, script_json
from suffice.results import CurvatureResult


def curvature_page(result: CurvatureResult) -> Page:
    """The spectrum, the layers, what one more sample changes, and the surface along k if it was measured."""
    figures, surface = curvature_figures(result), result.surface
    distance = None if surface is None else distance_figure(surface)
    drawn = figures if distance is None else [*figures, distance]
    largest = max(abs(layer.largest.value) for layer in result.layers)
    html = render(
        "curvature.html.j2",
        result,
        drawn,
        below=figures,
        distance=distance,
        shades=[abs(layer.largest.value) / largest if largest > 0 else 0.0 for layer in result.layers],
        surface=script_json(None if surface is None else surface_data(surface)),
        surface_caption=None if surface is None else surface_caption(surface),
    )
    return Page(html, drawn, films=[] if surface is None else [surfaces(surface)])
