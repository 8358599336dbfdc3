"""What a figure is: curves and marks on common axes, or pictures of matrices; and the colours of all figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

# Okabe and Ito's colours, which people with any colour vision can tell apart
BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"

SKY, PURPLE, AMBER = "#56B4E9", "#CC79A7", "#E69F00"

VIRIDIS = (
    "#440154",
    "#482475",
    "#414487",
    "#355f8d",
    "#2a788e",
    "#21918c",
    "#22a884",
    "#44bf70",
    "#7ad151",
    "#bddf26",
)
"""S. van der Walt and N. Smith's colours at 0, 0.1, ..., 0.9, without the yellow that is pale on white."""

Style: TypeAlias = Literal["solid", "dashed", "dotted", "joined", "points", "circles"]
"""Lines without points, points joined by lines, and points alone, full or empty."""


@dataclass(frozen=True)
class Curve:
    """One line or cloud of points, with a band around it if it has one. Without a name it is not in the legend."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    style: Style = "solid"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Mark:
    """A straight line at a value of one axis, with a label if that is not empty."""

    axis: Literal["x", "y"]
    value: float
    label: str
    color: str


@dataclass(frozen=True)
class Figure:
    """Curves on common axes. ``name`` is the file's name and the page's anchor.

    ``log`` names the logarithmic axes. A linear y axis starts at 0 unless ``from_zero`` is off. ``ticks`` are the
    values of the x axis that have numbers; without them the axis chooses its own. With ``named_at_ends`` the names of
    curves stand at their right ends, and there is no legend.
    """

    name: str
    title: str
    caption: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    log: Literal["xy", "x", "y", ""] = "xy"
    marks: Sequence[Mark] = field(default=())
    from_zero: bool = True
    ticks: Sequence[float] = field(default=())
    named_at_ends: bool = False


@dataclass(frozen=True)
class HeatMaps:
    """Matrices of the same size as pictures beside each other, all on one logarithmic scale of colours.

    ``cells`` are not negative; ``blocks`` are the names of consecutive rows, which are those of the columns as well,
    and how many there are of each: lines separate them. Colours run over ``decades`` orders of magnitude up to
    ``largest``.
    """

    name: str
    titles: Sequence[str]
    cells: Float64[np.ndarray, "matrices cells cells"]
    blocks: Mapping[str, int]
    label: str
    largest: float
    decades: int


@dataclass(frozen=True)
class Surfaces:
    """Surfaces of the loss over one plane, one for each size k, on one loss axis from ``low`` to ``high``.

    ``losses`` have a row for each y and a column for each x; what is above ``high`` is drawn there. ``label`` is the
    name of that axis. ``minima`` are the points of the plane that trainings on so many samples reached.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[int]
    losses: Float64[np.ndarray, "sizes rows columns"]
    low: float
    high: float
    x_label: str
    y_label: str
    label: str = "mean loss"
    minima: Mapping[int, tuple[float, float]] = field(default_factory=dict)


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Values moved as little as keeps them a gap apart, for labels that would lie upon each other.

    Example:
        >>> apart([5.0, 1.0, 5.2], 1.0)
        [4.6, 1.0, 5.6]
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    # pools of labels that touch, each with the mean of where its lowest one wants to be, and how many there are
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        pools.append((values[index] - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (upper, many), (lower, more) = pools.pop(), pools.pop()
            pools.append(((upper * many + lower * more) / (many + more), many + more))
    lowest = [middle for middle, count in pools for _ in range(count)]
    found = {index: lowest[rank] + rank * gap for rank, index in enumerate(order)}
    return [round(found[index], 9) for index in range(len(values))]


def label_heights(figure: Figure) -> list[float]:
    """Where the names at the ends of the curves stand on a linear y axis, in the order of the curves."""
    drawn = [value for curve in figure.curves for of in (curve.y, curve.low or (), curve.high or ()) for value in of]
    return apart([curve.y[-1] for curve in figure.curves], 0.06 * (max(drawn) - min(drawn)))


def shade(position: int, count: int) -> str:
    """The colour of one of several curves that have an order, from dark violet to light green.

    Example:
        >>> shade(0, 5), shade(4, 5), shade(0, 1)
        ('#440154', '#bddf26', '#440154')
    """
    along = (len(VIRIDIS) - 1) * position / max(1, count - 1)
    before = min(int(along), len(VIRIDIS) - 2)
    channels = [[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in VIRIDIS[before : before + 2]]
    mixed = [round(low + (along - before) * (high - low)) for low, high in zip(*channels, strict=True)]
    return "#" + "".join(f"{value:02x}" for value in mixed)
