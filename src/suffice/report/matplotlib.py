"""Figures as PNG for slides and PDF for papers, drawn by Matplotlib."""

import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from mpl_toolkits.mplot3d import Axes3D
from PIL import Image

from suffice.report.figures.figure import Figure, HeatMaps, Surfaces, label_heights
from suffice.report.style import style
from suffice.storage import atomic_write

LINES = {"solid": "-", "dashed": "--", "dotted": ":", "joined": "o-", "points": "o", "circles": "o"}
PLAIN = 1e-4, 1e6
"""Between them numbers on logarithmic axes are written out."""

STAY, STAY_LAST = 700, 3000
"""Milliseconds that a frame of a film is shown, and its last one."""


def save_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Writes NAME.png and NAME.pdf of each figure."""
    folder.mkdir(exist_ok=True)
    for figure in figures:
        canvas = draw(figure)
        for suffix in ("png", "pdf"):
            with atomic_write(folder / f"{figure.name}.{suffix}") as file, style(columns=2):
                # without dates, so that the same result gives the same file
                metadata = {"CreationDate": None} if suffix == "pdf" else {"Software": "suffice"}
                canvas.savefig(file, format=suffix, dpi=150, metadata=metadata)


def draw(figure: Figure) -> Canvas:
    """The figure on a canvas of its own, with its title."""
    with style(columns=2):
        canvas = Canvas()
        axes = canvas.subplots()
        draw_on(axes, figure)
        axes.set_title(figure.title)
    return canvas


def draw_on(axes: Axes, figure: Figure) -> None:
    """Curves, marks, names of axes and legend on axes of any size, in the style that is set; without the title."""
    for curve in figure.curves:
        axes.plot(
            curve.x, curve.y, LINES[curve.style], color=curve.color, label=curve.name or None,
            markerfacecolor="none" if curve.style == "circles" else curve.color,
        )  # fmt: skip
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=curve.color, alpha=0.2, linewidth=0)
    for mark in figure.marks:
        if mark.axis == "x":
            axes.axvline(mark.value, color=mark.color, linewidth=1, linestyle="-.")
            axes.annotate(
                mark.label, (mark.value, 1), xycoords=("data", "axes fraction"), xytext=(3, -4),
                textcoords="offset points", rotation=90, va="top", color=mark.color, fontsize="small",
            )  # fmt: skip
        else:
            axes.axhline(mark.value, color=mark.color, linewidth=1, linestyle="-.")
            axes.annotate(
                mark.label, (0, mark.value), xycoords=("axes fraction", "data"), xytext=(4, 3),
                textcoords="offset points", color=mark.color, fontsize="small",
            )  # fmt: skip
    if "x" in figure.log:
        axes.set_xscale("log")
        _plain_numbers(axes.xaxis)
    if "y" in figure.log and any(value > 0 for curve in figure.curves for value in curve.y):
        axes.set_yscale("log")
        _plain_numbers(axes.yaxis)
    elif figure.from_zero:
        axes.set_ylim(bottom=0)
    if figure.ticks:
        axes.set_xticks(figure.ticks, [f"{tick:,.0f}" for tick in figure.ticks])
        axes.set_xticks([], minor=True)
    axes.set_xlabel(_breakable(figure.x_label), wrap=True)
    axes.set_ylabel(_breakable(figure.y_label), wrap=True)
    if figure.named_at_ends:
        axes.margins(x=0)
        for curve, height in zip(figure.curves, label_heights(figure), strict=True):
            axes.annotate(
                curve.name, (curve.x[-1], height), xytext=(6, 0), textcoords="offset points", va="center",
                color=curve.color, fontsize="small", annotation_clip=False,
            )  # fmt: skip
    elif names := axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small" if len(names) < 9 else "x-small")


def _breakable(label: str) -> str:
    """The label with spaces that hold formulas together where a narrow figure breaks its line."""
    for sign in ("−", "/"):
        label = label.replace(f" {sign} ", f"\N{NO-BREAK SPACE}{sign}\N{NO-BREAK SPACE}")
    return label


def _plain_numbers(axis: Axis) -> None:
    """0.2 and 50 in place of powers of ten, of which a short log axis has one or two; very long ones keep powers."""
    low, high = axis.get_view_interval()
    if high < 100 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    if high < 100 * low or (low > PLAIN[0] and high < PLAIN[1]):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))


def picture(maps: HeatMaps) -> bytes:
    """The heat maps as PNG, with 256 colours, which take a third of the room and look the same."""
    drawn, stored = io.BytesIO(), io.BytesIO()
    draw_heat_maps(maps).savefig(drawn, format="png", dpi=110)
    image = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(stored, format="png", optimize=True)
    return stored.getvalue()


def draw_heat_maps(maps: HeatMaps) -> Canvas:
    """The heat maps on a canvas, with lines between the blocks."""
    sizes = list(maps.blocks.values())
    ends = np.array([0, *itertools.accumulate(sizes)])
    middles = (ends[1:] + ends[:-1]) / 2
    # names of narrow blocks would lie upon each other
    named = [index for index, size in enumerate(sizes) if size >= 0.03 * ends[-1]]
    names = [list(maps.blocks)[index] for index in named]
    canvas = Canvas(figsize=(15, 5.2), layout="constrained")
    smallest = maps.largest * 10.0**-maps.decades
    colors = ScalarMappable(LogNorm(smallest, maps.largest), "viridis")
    for axes, cells, title in zip(canvas.subplots(1, len(maps.titles)), maps.cells, maps.titles, strict=True):
        axes.imshow(
            np.maximum(cells, smallest),
            norm=colors.norm,
            cmap=colors.cmap,
            extent=(0, ends[-1], ends[-1], 0),
            interpolation="nearest",
        )
        for end in ends[1:-1]:
            axes.axhline(end, color="white", linewidth=0.4)
            axes.axvline(end, color="white", linewidth=0.4)
        axes.set_xticks(middles[named], names, rotation=90)
        axes.set_yticks(middles[named], names)
        axes.tick_params(length=0, labelsize=9)
        axes.set_title(title, fontsize=11)
        axes.set(xlabel="parameter (columns)", ylabel="parameter (rows)")
    canvas.colorbar(colors, ax=canvas.axes, label=maps.label, shrink=0.9)
    return canvas


def film(surfaces: Surfaces) -> bytes:
    """The surfaces one after the other as an animated GIF, with one frame for each size."""
    frames = []
    for index in range(len(surfaces.sizes)):
        drawn = io.BytesIO()
        draw_surface(surfaces, index).savefig(drawn, format="png", dpi=100)
        frames.append(Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE))
    stored = io.BytesIO()
    stays = [STAY] * (len(frames) - 1) + [STAY_LAST]
    frames[0].save(stored, format="gif", save_all=True, append_images=frames[1:], duration=stays, loop=0)
    return stored.getvalue()


def draw_surface(surfaces: Surfaces, index: int) -> Canvas:
    """One surface and its contours on a canvas."""
    canvas = Canvas(figsize=(9.6, 4.6))
    x, y = np.meshgrid(surfaces.x, surfaces.y)
    z = np.minimum(surfaces.losses[index], surfaces.high)
    axes = Axes3D(canvas, (0.0, 0.02, 0.5, 0.9))
    canvas.add_axes(axes)
    axes.plot_surface(
        x, y, z, rcount=len(surfaces.y), ccount=len(surfaces.x), linewidth=0, antialiased=False,
        cmap="viridis", vmin=surfaces.low, vmax=surfaces.high,
    )  # fmt: skip
    axes.set(
        zlim=(surfaces.low, surfaces.high), xlabel="first, in ‖w*‖", ylabel="second, in ‖w*‖", zlabel=surfaces.label
    )
    axes.view_init(elev=28, azim=-52)
    axes.tick_params(labelsize=8)
    axes.locator_params(nbins=5)
    flat = canvas.add_axes((0.6, 0.16, 0.29, 0.66))
    with rc_context({"font.size": 8, "axes.labelsize": 8}):
        filled = draw_contours_on(flat, surfaces, index)
    flat.tick_params(labelsize=8)
    bar = canvas.colorbar(filled, cax=canvas.add_axes((0.905, 0.16, 0.015, 0.66)), format="%.3g")
    bar.ax.tick_params(labelsize=8)
    bar.set_label(surfaces.label, fontsize=8)
    size, last = surfaces.sizes[index], surfaces.sizes[-1]
    canvas.suptitle(f"k = {size:,} of {last:,} samples", fontsize=14)
    return canvas


def draw_contours_on(axes: Axes, surfaces: Surfaces, index: int) -> ContourSet:
    """The contours of one surface on axes of any size; a colour bar can be made from what is returned."""
    x, y = np.meshgrid(surfaces.x, surfaces.y)
    z = np.minimum(surfaces.losses[index], surfaces.high)
    levels = np.linspace(surfaces.low, surfaces.high, 17)
    filled = axes.contourf(x, y, z, levels, cmap="viridis", vmin=surfaces.low, vmax=surfaces.high)
    axes.contour(x, y, z, levels, colors="white", linewidths=0.4, alpha=0.6)
    axes.plot(0, 0, "+", color="white", markersize=9)
    for size, place in surfaces.minima.items():
        axes.plot(*place, "x", color="white", markersize=6)
        axes.annotate(f"k = {size:,}", place, (4, 4), textcoords="offset points", color="white", fontsize="small")
    axes.set(xlabel=surfaces.x_label, ylabel=surfaces.y_label)
    axes.locator_params(nbins=5)
    axes.grid(visible=False)
    return filled
