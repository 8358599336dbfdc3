"""Entries of the legend, and the numbers on the axis of sizes."""

import math
from collections.abc import Sequence

from suffice.report.figures.figure import BLACK, Curve, Style


def legend_entry(name: str, style: Style, color: str = BLACK) -> Curve:
    """An entry of the legend alone."""
    return Curve(name, [math.nan], [math.nan], color, style)


def size_ticks(curves: Sequence[Curve]) -> list[float]:
    """The sizes of the curves, the largest first, without those whose numbers would lie upon each other."""
    sizes = sorted({value for curve in curves for value in curve.x if not math.isnan(value)}, reverse=True)
    if len(sizes) < 2:
        return sizes
    room = 0.06 * math.log(sizes[0] / sizes[-1])
    ticks = sizes[:1]
    for size in sizes[1:]:
        if math.log(ticks[-1] / size) >= room:
            ticks.append(size)
    return ticks[::-1]
