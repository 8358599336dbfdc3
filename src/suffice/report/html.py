"""``report.html``: one template for the pages of all results, in one file that needs no network and no script."""

import base64
import io
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from suffice.report.figures.surface import surface_data
from suffice.report.matplotlib import draw_surface
from suffice.report.pages.page import Drawn, Handle, Maps, Moving, Page, Table
from suffice.report.pages.settings import endings
from suffice.report.svg import dark_colors, inline, inline_maps, with_axes
from suffice.results import Word

SIGNS: dict[Word, str] = {"high": "●●●", "medium": "●●○", "low": "●○○", "cannot tell": "○○○"}
"""What says the confidence beside the colour and the word."""

NUMBER = re.compile(r"^[-−–+<>=~≈±$‖]*\s*\d|^–$|^not |^(above|below) |^diverged|^no ")
"""How a cell of numbers begins, or what stands in its place."""

DENSE = 9
"""Columns from which on a table is set in small letters."""


def html(page: Page, folder: Path | None = None) -> str:
    """The page as a document.

    Args:
        page: what it says.
        folder: of the run, which may hold its config.yaml.
    """
    drawings: dict[str, Markup] = {}
    pictures: dict[str, str] = {}
    surface = handled = None
    for block in page.blocks:
        match block:
            case Drawn(figure):
                drawings[figure.name] = inline(figure)
            case Handle(figure, values):
                drawings[figure.name] = with_axes(figure)
                handled = values
            case Maps(maps):
                drawings[maps.name] = inline_maps(maps)
            case Moving(measured, film, distance):
                drawings[distance.name] = with_axes(distance)
                pictures["surface"] = _picture(film)
                surface = surface_data(measured)
    return TEMPLATES.get_template("report.html.j2").render(
        page=page,
        sections=[*page.sections, *endings(page, folder)],
        drawings=drawings,
        pictures=pictures,
        dark=dark_colors("".join(drawings.values())),
        signs=SIGNS,
        grave=any(finding.severity in ("error", "serious") for finding in page.answer.findings),
        surface=surface,
        handled=handled,
        packed_plotly=packed_plotly() if surface else "",
        layout=_layout,
        blank=Markup("&nbsp;"),
    )


def packed_plotly() -> str:
    """The part of Plotly's code that draws surfaces and contours, as gzip and base64.

    A page unpacks it by ``DecompressionStream``, without the network. scripts/bundle_plotly.py makes it.
    """
    packed = files("suffice.report").joinpath("assets", "plotly.min.js.gz").read_bytes()
    return base64.b64encode(packed).decode()


def _picture(film: Any) -> str:
    """The last surface, for a page whose script has not run."""
    stored = io.BytesIO()
    draw_surface(film, len(film.sizes) - 1).savefig(stored, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(stored.getvalue()).decode()}"


def _layout(table: Table) -> str:
    """The classes of a table: whether its columns are numbers, its first one sizes, and whether it has many."""
    cells = [cell for row in table.rows for cell in row[1:]]
    numbers = bool(cells) and sum(bool(NUMBER.match(cell)) for cell in cells) > 0.8 * len(cells)
    found = {"numbers": numbers, "sizes": numbers and table.has_sizes, "dense": len(table.columns) >= DENSE}
    return " ".join(name for name, is_so in found.items() if is_so)


def coded(text: str) -> Markup:
    """Text whose parts between backquotes are code, and all of which is escaped.

    Example:
        >>> coded("ask `suffice check` <b>")
        Markup('ask <code>suffice check</code> &lt;b&gt;')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def slug(name: str) -> str:
    """A name as the anchor of an element.

    Example:
        >>> slug("accuracy-all classes")
        'accuracy-all-classes'
    """
    return re.sub(r"[^\w-]+", "-", name)


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    return Markup(json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026"))


def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("suffice.report", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"coded": coded, "json": script_json, "slug": slug}
    return found


TEMPLATES = _environment()
