"""Figures as SVG in a page: those of Matplotlib, in the colours and letters of the page, once wide and once narrow."""

import base64
import io
import json
import math
import re
import textwrap
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Literal

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.transforms import Bbox
from PIL import Image

from suffice.report.figures.figure import Figure, HeatMaps, Mark
from suffice.report.matplotlib import draw, draw_heat_maps

WIDE, NARROW = (8.4, 4.5), (3.7, 3.3)
"""Inches of a figure on a screen and on a phone."""

GAP = 0.07
"""Inches between two numbers of an axis, at least."""

ROW = 0.2
"""Inches of a row of the legend below a narrow figure."""

LETTERS = 40
"""In a line of that legend."""

KNOWN = {
    "#0072b2": "#56b4e9",
    "#d55e00": "#f08a4b",
    "#009e73": "#35c79b",
    "#8a8a8a": "#9a9a9a",
    "#222222": "#e4e4e4",
    "#000000": "#e4e4e4",
    "#b0b0b0": "#7a7a7a",
    "#cccccc": "#555555",
    "#ffffff": "#161616",
}
"""Colours of light figures, and what they are on a dark ground."""

LEAST = 0.215
"""Luminance that a line has at least on a dark ground: a contrast of 4.5 to 1."""

TIDY = [
    (re.compile(pattern, re.DOTALL), instead)
    for pattern, instead in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<style.*?</style>", ""),  # would hold for the whole page
        (r"<!--.*?-->", ""),
        (r'<g id="[^"]*"', "<g"),
        (r"font: ([\d.]+px) [^;\"]*", r"font-size: \1"),  # letters are those of the page
        (r"font-family: [^;\"]*;? ?", ""),
        (r"(-?\d+\.\d{2})\d+", r"\1"),
        (r"\s*\n\s*([LMzCQ\"])", r"\1"),
        (r"\s*\n\s*", "\n"),
    )
]
"""What Matplotlib writes and a page has no use for."""

PICTURE = re.compile(r"data:image/png;base64,([^\"]+)")

COLOR = re.compile(r"#[0-9a-fA-F]{6}\b")


@dataclass(frozen=True)
class Axes:
    """Where logarithmic axes lie in a drawing: the values at their ends, and the ends in units of the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    right: float
    top: float
    bottom: float


def inline(figure: Figure) -> Markup:
    """The figure as two drawings, of which a page shows the one that has room."""
    return Markup("").join(_drawn(figure, which)[0] for which in ("wide", "narrow"))


def with_axes(figure: Figure) -> Markup:
    """The two drawings, each with the place of its axes, and marks that the script of the page can move.

    Both axes are logarithmic.
    """
    found = []
    for which in ("wide", "narrow"):
        # these curves fall, so that their legend has room below them, away from the labels of moving marks
        drawing, axes = _drawn(replace(figure, marks=()), which, legend="lower left")
        marks = _themed("".join(_mark(mark, axes) for mark in figure.marks))
        placed = str(drawing).replace("<svg ", f"<svg data-axes='{json.dumps(asdict(axes))}' ", 1)
        found.append(f"{placed.rpartition('</svg>')[0]}{marks}</svg>")
    return Markup("".join(found))


def _mark(mark: Mark, axes: Axes) -> str:
    low, high = axes.x if mark.axis == "x" else axes.y
    start, end = (axes.left, axes.right) if mark.axis == "x" else (axes.bottom, axes.top)
    share = min(1.0, max(0.0, math.log(mark.value / low) / math.log(high / low)))
    at = start + share * (end - start)
    if mark.axis == "x":
        place, line = f"{at:.2f} 0", f"M 0 {axes.bottom:.2f} V {axes.top:.2f}"
        text = f'transform="translate(-4 {axes.top + 4:.2f}) rotate(-90)" text-anchor="end"'
    else:
        place, line = f"0 {at:.2f}", f"M {axes.left:.2f} 0 H {axes.right:.2f}"
        text = f'x="{axes.left + 4:.2f}" y="-4"'
    return (
        f'<g class="mark" data-axis="{mark.axis}" transform="translate({place})">'
        f'<path d="{line}" style="fill: none; stroke: {mark.color}; stroke-dasharray: 6 2 1 2"/>'
        f'<text {text} style="font-size: 9px; fill: {mark.color}">{escape(mark.label)}</text></g>'
    )


def inline_maps(maps: HeatMaps) -> Markup:
    """Heat maps, whose cells are a picture and whose names are text; on a phone one below the other."""
    canvas = draw_heat_maps(maps)
    whole = _svg(canvas, maps.name, "maps", f"Heat maps: {', '.join(maps.titles)}")
    height = 72 * canvas.get_size_inches()[1]
    boxes = [box.frozen() if (box := of.get_tightbbox()) else of.get_window_extent() for of in canvas.axes]
    count = len(maps.titles)
    parts = [*boxes[: count - 1], Bbox.union(boxes[count - 1 :])]  # the colours stand behind the last one
    crops = []
    for title, box in zip(maps.titles, parts, strict=True):
        left, bottom, width, tall = (72 / canvas.dpi * end for end in box.padded(5).bounds)
        view = f"{left:.1f} {height - bottom - tall:.1f} {width:.1f} {tall:.1f}"
        crops.append(
            f'<svg class="figure" role="img" aria-label="{escape(title)}" viewBox="{view}">'
            f'<use href="#drawing-{escape(maps.name)}"/></svg>'
        )
    head, group, body = str(whole).partition("<g")
    named = f'{head}{group} id="drawing-{escape(maps.name)}"{body}'
    return Markup(f'{named}<div class="crops">{"".join(crops)}</div>')


def dark_colors(markup: str) -> dict[str, str]:
    """The variables of a page's figures in dark: a name for each colour, and its value."""
    names = sorted(set(re.findall(r"var\(--f([0-9a-f]{6}),", markup)))
    return {f"--f{name}": on_dark(f"#{name}") for name in names}


def _drawn(figure: Figure, which: str, legend: Literal["best", "lower left"] = "best") -> tuple[Markup, Axes]:
    canvas = draw(figure)
    (axes,) = canvas.axes
    axes.set_title("")  # the page has it as a heading, or in words
    size = WIDE if which == "wide" else NARROW
    shown = axes.get_legend()
    if shown is not None and which == "wide":
        shown.set_loc(legend)
    elif shown is not None:
        handles, labels = axes.get_legend_handles_labels()
        labels = [textwrap.fill(label, LETTERS) for label in labels]
        shown.remove()
        canvas.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=9)
        size = (NARROW[0], NARROW[1] + ROW * sum(label.count("\n") + 1 for label in labels))
    canvas.set_size_inches(*size)
    _thin_out(canvas, axes.xaxis)
    markup = _svg(canvas, figure.name, which, figure.title)
    box, height = axes.get_window_extent(), 72 * canvas.get_size_inches()[1]
    scale = 72 / canvas.dpi
    ends = (box.x0 * scale, box.x1 * scale, height - box.y1 * scale, height - box.y0 * scale)
    return markup, Axes(axes.get_xlim(), axes.get_ylim(), *ends)


def _thin_out(canvas: Canvas, axis: Axis) -> None:
    """Leaves out numbers of an axis that would run into those to their left."""
    canvas.draw_without_rendering()
    end = -math.inf
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        box = tick.label1.get_window_extent()
        if not low <= tick.get_loc() <= high or not tick.label1.get_text():
            continue
        if box.x0 < end + GAP * canvas.dpi:
            tick.label1.set_visible(False)
        else:
            end = box.x1


def _svg(canvas: Canvas, name: str, which: str, title: str) -> Markup:
    stored = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{name} {which}", "font.family": "sans-serif"}):
        canvas.savefig(stored, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stored.getvalue()
    text = text[text.index("<svg") :]
    for pattern, instead in TIDY:
        text = pattern.sub(instead, text)
    text = PICTURE.sub(_fewer_colors, text)
    text = _themed(text)
    width, height = (72 * end for end in canvas.get_size_inches())
    box = f'viewBox="0 0 {width:.1f} {height:.1f}"'
    head = f'<svg class="figure {which}" data-name="{escape(name)}" role="img" aria-label="{escape(title)}" {box}'
    spaces = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return Markup(head + spaces + text[text.index(">") :])


def _themed(markup: str) -> str:
    """Colours as variables, which a dark page sets."""
    return COLOR.sub(lambda found: f"var(--f{found[0][1:].lower()}, {found[0].lower()})", markup)


def _fewer_colors(found: re.Match[str]) -> str:
    """A picture within a drawing with 256 colours, which take a third of the room and look the same."""
    image = Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")
    stored = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(stored, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stored.getvalue()).decode()}"


@cache
def on_dark(color: str) -> str:
    """A colour for a dark ground: a known one, or the same hue, lighter where it would not be seen.

    Example:
        >>> on_dark("#0072b2"), on_dark("#440154"), on_dark("#bddf26")
        ('#56b4e9', '#9a76a3', '#bddf26')
    """
    if color in KNOWN:
        return KNOWN[color]
    share, mixed = 0.0, _mixed(color, 0.0)
    while _luminance(mixed) < LEAST:
        share += 0.02
        mixed = _mixed(color, share)
    return mixed


def _channels(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]


def _mixed(color: str, white: float) -> str:
    return "#" + "".join(f"{round(value + white * (255 - value)):02x}" for value in _channels(color))


def _luminance(color: str) -> float:
    """Relative luminance of WCAG 2."""
    linear = [value / 3294.6 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in _channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
