"""What all pages are made of: a template, the figures' data, and Plotly's code, in one file that needs no network."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from suffice.report.figures.figure import Figure, Surfaces
from suffice.report.plotly import json_of, packed_script
from suffice.results import Result

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("suffice.report", "assets"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Page(NamedTuple):
    """``report.html`` and the figures that are files beside it: those to be drawn, PNG that are drawn already, and
    surfaces to be drawn as films."""

    html: str
    figures: Sequence[Figure]
    pictures: Mapping[str, bytes] = {}
    films: Sequence[Surfaces] = ()


def render(template: str, result: Result, figures: Sequence[Figure], **values: Any) -> str:
    """The page from a template, with the data of its figures and Plotly's code inside."""
    return TEMPLATES.get_template(template).render(
        result=result,
        figures=figures,
        plots=script_json({figure.name: json_of(figure) for figure in figures}),
        packed_plotly=packed_script(),
        **values,
    )


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    return Markup(json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026"))
