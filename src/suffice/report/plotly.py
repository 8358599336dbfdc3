"""Figures that a page draws and a reader can move about in, drawn by Plotly."""

import base64
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
import plotly.io

from suffice.report.figures.figure import Figure, Mark, label_heights

DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot", "joined": "solid"}
MODES = {"joined": "lines+markers", "points": "markers", "circles": "markers"}


def interactive(figure: Figure) -> go.Figure:
    """The figure for Plotly."""
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
        _draw_mark(plot, mark, math.log10(mark.value) if mark.axis in figure.log else mark.value)
    plot.update_layout(
        template="plotly_white",
        margin={"l": 70, "r": 20, "t": 30, "b": 60},
        legend={"orientation": "h", "y": -0.2},
        height=460,
    )
    if figure.named_at_ends:
        _name_at_ends(plot, figure)
    return plot


def _name_at_ends(plot: go.Figure, figure: Figure) -> None:
    for curve, height in zip(figure.curves, label_heights(figure), strict=True):
        end = math.log10(curve.x[-1]) if "x" in figure.log else curve.x[-1]
        style = {"text": curve.name, "font_color": curve.color, "showarrow": False}
        plot.add_annotation(x=end, y=height, xanchor="left", xshift=4, **style)
    # Plotly would make room for the names within the axes
    ends = [of(x for curve in figure.curves for x in curve.x) for of in (min, max)]
    plot.update_xaxes(range=[math.log10(end) if "x" in figure.log else end for end in ends])
    longest = max(len(curve.name) for curve in figure.curves)
    plot.update_layout(showlegend=False, margin_r=14 + 7 * longest)


def _ticks(values: Sequence[float]) -> dict[str, Any]:
    texts = [f"{value:,.0f}" if value >= 1 else f"{value:.4g}" for value in values]
    return {"tickmode": "array", "tickvals": list(values), "ticktext": texts}


def _draw_mark(plot: go.Figure, mark: Mark, at: float) -> None:
    """A mark whose label stands ``at``: on a logarithmic axis Plotly takes logarithms for labels, values for lines."""
    line = {"line_color": mark.color, "line_width": 1.5, "line_dash": "dashdot"}
    label = {"text": mark.label, "font_color": mark.color, "showarrow": False}
    if mark.axis == "x":
        plot.add_vline(mark.value, **line)
        plot.add_annotation(x=at, y=1, yref="paper", xanchor="right", yanchor="top", textangle=-90, **label)
    else:
        plot.add_hline(mark.value, **line)
        plot.add_annotation(x=0, y=at, xref="paper", xanchor="left", yanchor="bottom", **label)


def json_of(figure: Figure) -> Any:
    """What Plotly's script draws the figure from, as JSON values."""
    return json.loads(plotly.io.to_json(interactive(figure)))


def packed_script() -> str:
    """The part of Plotly's code that draws scatters, bars, heat maps, contours and surfaces, as gzip and base64.

    It makes a page independent of the network, which unpacks it by ``DecompressionStream``. scripts/bundle_plotly.py
    makes it.
    """
    packed = files("suffice.report").joinpath("assets", "plotly.min.js.gz").read_bytes()
    return base64.b64encode(packed).decode()
