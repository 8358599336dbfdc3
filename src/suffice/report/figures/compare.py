"""The figure of several runs: their learning curves on common axes."""

import itertools

from suffice.report.answers.compare import Compared
from suffice.report.answers.words import rounded
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLACK, Curve, Figure, Mark, Style
from suffice.report.figures.study.methods import COLORS

STYLES: tuple[Style, ...] = ("solid", "dashed", "dotted")


def compare_figure(compared: Compared) -> Figure:
    """A line with its band for each run, over its own sizes, and where they cross."""
    percent = compared.metric in ("accuracy", "error")
    factor = 100 if percent else 1
    looks = zip(itertools.cycle(COLORS), itertools.cycle(STYLES), strict=False)
    curves = []
    for (name, line), (color, style) in zip(compared.lines.items(), looks, strict=False):
        mean, low, high = ((factor * end).tolist() for end in (line.mean, line.low, line.high))
        shown: Style = "joined" if line.is_measured else style
        curves.append(Curve(name, line.sizes.tolist(), mean, color, shown, low, high))
    smallest = int(min(line.sizes[0] for line in compared.lines.values()))
    largest = int(max(line.sizes[-1] for line in compared.lines.values()))
    return Figure(
        name="compare",
        title=f"{compared.metric.capitalize()} of the runs against the number of samples",
        caption=(
            "Lines with points are measured, the others are predicted. Bands are the intervals of each run. "
            "Dash-dotted: where the lead changes."
        ),
        x_label="training samples",
        y_label=f"test {compared.metric}, %" if percent else f"test {compared.metric}",
        curves=curves,
        log="x",
        marks=[
            Mark("x", crossing.size, f"{crossing.after} from about {rounded(crossing.size):,}", BLACK)
            for crossing in compared.crossings()
        ],
        from_zero=False,
        ticks=sizes_on_axis([smallest, largest]),
    )
