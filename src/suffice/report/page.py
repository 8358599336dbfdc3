"""``report.html``: one page that explains a result, works offline, and answers for other tolerances."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.io
import plotly.offline
from markupsafe import Markup

from suffice.report.figures import Figure, Mark
from suffice.results import ProblemSummary, Result

DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot", "joined": "solid"}
MODES = {"joined": "lines+markers", "points": "markers", "circles": "markers"}

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("suffice.report", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(result: Result, figures: Sequence[Figure]) -> str:
    """The page, with Plotly's code inside."""
    return TEMPLATES.get_template("report.html.j2").render(
        result=result,
        problem=result.problem,
        headline=result.sufficient_sizes[0],
        figures=figures,
        plots={figure.name: script_json(json.loads(plotly.io.to_json(interactive(figure)))) for figure in figures},
        settling=script_json([settling.model_dump() for settling in result.settling]),
        numbers=list(_numbers(result.problem)),
        geometry=_geometry(result),
        plotly=plotly_code(),
    )


def interactive(figure: Figure) -> go.Figure:
    """The same figure for Plotly."""
    plot = go.Figure()
    for curve in figure.curves:
        if curve.low is not None and curve.high is not None:
            x, y = [*curve.x, *reversed(curve.x)], [*curve.high, *reversed(curve.low)]
            plot.add_scatter(
                x=x, y=y, fill="toself", fillcolor=curve.color, opacity=0.2, line_width=0, mode="lines",
                hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        plot.add_scatter(
            x=list(curve.x),
            y=list(curve.y),
            name=curve.name,
            showlegend=bool(curve.name),
            mode=MODES.get(curve.style, "lines"),
            marker_symbol="circle-open" if curve.style == "circles" else "circle",
            line={"color": curve.color, "dash": DASHES.get(curve.style)},
            hovertemplate="%{x:,.4g}: %{y:.3g}",
        )
    for name, update, title in (("x", plot.update_xaxes, figure.x_label), ("y", plot.update_yaxes, figure.y_label)):
        log = name in figure.log
        update(title=title, type="log" if log else "linear", exponentformat="power", dtick=1 if log else None)
        values = [value for curve in figure.curves for value in getattr(curve, name) if value > 0]
        if log and values and max(values) < 100 * min(values):
            # too few powers of ten
            powers = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 1)
            update(_ticks([digit * 10.0**power for power in powers for digit in (1, 2, 5)]))
    if "y" not in figure.log:
        plot.update_yaxes(rangemode="tozero" if figure.from_zero else "normal", dtick=None)
    if figure.ticks:
        plot.update_xaxes(_ticks(figure.ticks))
    for mark in figure.marks:
        _draw_mark(plot, mark, math.log10(mark.place) if mark.axis in figure.log else mark.place)
    plot.update_layout(
        template="plotly_white",
        margin={"l": 70, "r": 20, "t": 30, "b": 60},
        legend={"orientation": "h", "y": -0.2},
        height=460,
    )
    return plot


def _ticks(places: Sequence[float]) -> dict[str, Any]:
    texts = [f"{place:,.0f}" if place >= 1 else f"{place:.4g}" for place in places]
    return {"tickmode": "array", "tickvals": list(places), "ticktext": texts}


def _draw_mark(plot: go.Figure, mark: Mark, place: float) -> None:
    """A mark at a place that is the logarithm of its own on a logarithmic axis, where only labels take that."""
    line = {"line_color": mark.color, "line_width": 1.5, "line_dash": "dashdot"}
    label = {"text": mark.label, "font_color": mark.color, "showarrow": False}
    if mark.axis == "x":
        plot.add_vline(mark.place, **line)
        plot.add_annotation(x=place, y=1, yref="paper", xanchor="right", yanchor="top", textangle=-90, **label)
    else:
        plot.add_hline(mark.place, **line)
        plot.add_annotation(x=0, y=place, xref="paper", xanchor="left", yanchor="bottom", **label)


def plotly_code() -> Markup:
    """Plotly itself, for a script element."""
    return Markup(plotly.offline.get_plotlyjs())


def script_plots(figures: Sequence[Figure]) -> Markup:
    """What Plotly needs to draw them, by name, for a script element."""
    return script_json({figure.name: json.loads(plotly.io.to_json(interactive(figure))) for figure in figures})


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    return Markup(json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026"))


def _numbers(problem: ProblemSummary) -> Iterator[tuple[str, str, str]]:
    for name, information in ProblemSummary.model_fields.items():
        value = getattr(problem, name)
        if name != "notes" and value is not None:
            yield name.replace("_", " "), _shown(value), str(information.description)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _geometry(result: Result) -> float:
    """How much larger the spread is at the probes than at w*: the ratio of root mean squares."""
    center, *around = result.landscape.probes
    squares = [probe.spread**2 for probe in around]
    return (sum(squares) / len(squares)) ** 0.5 / center.spread if center.spread > 0 else 1.0
