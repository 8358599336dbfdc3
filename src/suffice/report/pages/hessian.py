"""The page of ``suffice hessian``."""

import base64
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from suffice.report.figures.hessian import DECADES, PARTS, heat_maps, hessian_figures, short_name
from suffice.report.matplotlib import picture
from suffice.report.pages.page import Page, render
from suffice.results import HessianResult, HessianSummary


def hessian_page(result: HessianResult, cells: Float64[np.ndarray, "moments parts cells cells"] | None) -> Page:
    """Heat maps, the spectrum, and the norms of all blocks.

    Args:
        result: what was measured.
        cells: of |H|, |H_o| and |H_f| at each moment; without them there are no heat maps.
    """
    figures = hessian_figures(result)
    maps = [] if cells is None else heat_maps(result, cells)
    pictures = {of_moment.name: picture(of_moment) for of_moment in maps}
    tables = [
        (moment, title, list(_rows(result, moment.parts[part])))
        for moment in result.moments
        for part, title in PARTS.items()
    ]
    encoded = (f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in pictures.values())
    html = render(
        "hessian.html.j2",
        result,
        figures,
        size=sum(result.parameters.values()),
        pictures=list(zip(result.moments, encoded, strict=False)),
        names=[short_name(name) for name in result.parameters],
        tables=tables,
        parts=PARTS,
        decades=DECADES,
    )
    return Page(html, figures, pictures)


def _rows(result: HessianResult, summary: HessianSummary) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """For each parameter the norms of its blocks, and how dark their cells are: from 0 to 1 over the decades."""
    largest = max(max(row) for row in summary.block_norms)
    for name, row in zip(result.parameters, summary.block_norms, strict=True):
        shades = [max(0.0, 1 + np.log10(norm / largest) / DECADES) if norm > 0 and largest > 0 else 0.0 for norm in row]
        yield short_name(name), [(f"{norm:.2g}", shade) for norm, shade in zip(row, shades, strict=True)]
