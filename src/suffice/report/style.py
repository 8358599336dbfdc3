"""The look of all figures, which a paper can use: letters that journals take, sizes of columns, and the palette."""

from contextlib import AbstractContextManager
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.rcsetup import cycler

from suffice.report.figures.figure import AMBER, BLUE, GREEN, ORANGE, PURPLE, SKY

PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)
"""Of curves that are told apart by nothing but their colour, in this order."""

INCHES: dict[int, tuple[float, float]] = {1: (3.35, 2.5), 2: (7.0, 4.4)}
"""Width and height of a figure as wide as one column of a page, 85 mm, or as two, 178 mm."""

POINTS: dict[int, float] = {1: 8.0, 2: 10.0}
"""Size of the letters."""

LOOK: dict[Any, Any] = {
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.25,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType; journals refuse Type 3, Matplotlib's default
    "ps.fonttype": 42,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # letters stay letters, which can be searched and edited
}


def style(columns: Literal[1, 2] = 1) -> AbstractContextManager[None]:
    """The style of suffice's figures for all that Matplotlib draws within the context.

    Lines are vectors, letters are TrueType in PDF and stay text in SVG. Colours are those of Okabe and Ito, which
    people with any colour vision can tell apart; they are the same in reports. Reports draw their figures with two
    columns.

    Args:
        columns: of a page, which the figure spans: 1 is 85 mm wide with letters of 8 points, 2 is 178 mm with 10.

    Source: M. Okabe, K. Ito, "Color universal design", 2008.

    Example:
        >>> import matplotlib, suffice
        >>> with suffice.style():
        ...     matplotlib.rcParams["figure.figsize"], matplotlib.rcParams["pdf.fonttype"]
        ([3.35, 2.5], 42)
    """
    size = POINTS[columns]
    return rc_context(
        LOOK
        | {
            "figure.figsize": INCHES[columns],
            "font.size": size,
            "axes.titlesize": size * 1.1,
            "axes.labelsize": size,
            "lines.linewidth": 1.2 if columns == 1 else 1.5,
            "lines.markersize": 3.0 if columns == 1 else 4.5,
            "legend.fontsize": 0.9 * size,
            "xtick.labelsize": 0.9 * size,
            "ytick.labelsize": 0.9 * size,
        }
    )
