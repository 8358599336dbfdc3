"""Figures as PNG for slides and PDF for papers, drawn by Matplotlib."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from suffice.report.figures import Figure
from suffice.storage import atomic_write

LINES = {"solid": "-", "dashed": "--", "dotted": ":", "joined": "o-", "points": "o", "circles": "o"}
TRUE_TYPE = 42
"""Letters in a PDF that journals take and that can be edited; Matplotlib's own default is Type 3."""


def save_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Writes NAME.png and NAME.pdf of each figure."""
    folder.mkdir(exist_ok=True)
    for figure in figures:
        canvas = draw(figure)
        for suffix in ("png", "pdf"):
            with atomic_write(folder / f"{figure.name}.{suffix}") as file, rc_context({"pdf.fonttype": TRUE_TYPE}):
                # without dates, so that the same result gives the same file
                metadata = {"CreationDate": None} if suffix == "pdf" else {"Software": "suffice"}
                canvas.savefig(file, format=suffix, dpi=150, metadata=metadata)


def draw(figure: Figure) -> Canvas:
    """The figure on a canvas."""
    canvas = Canvas(figsize=(7.2, 4.6), layout="constrained")
    axes = canvas.subplots()
    for curve in figure.curves:
        axes.plot(
            curve.x, curve.y, LINES[curve.style], color=curve.color, markersize=4.5, label=curve.name or None,
            markerfacecolor="none" if curve.style == "circles" else curve.color,
        )  # fmt: skip
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=curve.color, alpha=0.2, linewidth=0)
    for mark in figure.marks:
        if mark.axis == "x":
            axes.axvline(mark.place, color=mark.color, linewidth=1, linestyle="-.")
            axes.annotate(
                mark.label, (mark.place, 1), xycoords=("data", "axes fraction"), xytext=(3, -4),
                textcoords="offset points", rotation=90, va="top", color=mark.color, fontsize=9,
            )  # fmt: skip
        else:
            axes.axhline(mark.place, color=mark.color, linewidth=1, linestyle="-.")
            axes.annotate(
                mark.label, (0, mark.place), xycoords=("axes fraction", "data"), xytext=(4, 3),
                textcoords="offset points", color=mark.color, fontsize=9,
            )  # fmt: skip
    if "x" in figure.log:
        axes.set_xscale("log")
        _plain_numbers(axes.xaxis)
    if "y" in figure.log:
        axes.set_yscale("log")
        _plain_numbers(axes.yaxis)
    elif figure.from_zero:
        axes.set_ylim(bottom=0)
    if figure.ticks:
        axes.set_xticks(figure.ticks, [f"{tick:,.0f}" for tick in figure.ticks])
        axes.set_xticks([], minor=True)
    axes.set(title=figure.title, xlabel=figure.x_label, ylabel=figure.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9 if len(axes.get_legend_handles_labels()[1]) < 9 else 7.5)
    return canvas


def _plain_numbers(axis: Axis) -> None:
    """On a short log axis 0.2 and 50 in place of powers of ten, of which it has one or two."""
    low, high = axis.get_view_interval()
    if high < 100 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
