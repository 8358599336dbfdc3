"""The figure of curves in k by themselves."""

from suffice.report.figures.figure import BLUE, GREEN, GREY, ORANGE, Curve, Figure, Mark
from suffice.results import SettlingCurves


def convergence_figure(curves: SettlingCurves) -> Figure:
    """How far the mean loss of k samples is from its ends, and what one more sample changes."""
    by_one, rest = curves.difference_interval or (None, None), curves.remaining_population_interval or (None, None)
    colors = {"remaining": BLUE, "difference": ORANGE}
    marks = [
        Mark("x", answer.size, f"k* = {answer.size:,}", colors.get(answer.criterion, GREY))
        for answer in curves.sufficient_sizes
        if answer.size is not None and answer.size <= 10 * curves.samples
    ]
    return Figure(
        name="settling",
        title="How far the loss surface still moves",
        caption="Typical (root mean square) changes of the mean loss over all orders of the samples and all probes. "
        f"Bands: {curves.confidence:.0%} intervals for which samples were drawn.",
        x_label="number of samples k",
        y_label="change of the mean loss",
        curves=[
            Curve("until unlimited data", curves.sizes, curves.remaining_population, BLUE, "solid", *rest),
            Curve(f"until the {curves.samples:,} at hand", curves.sizes, curves.remaining, GREEN, "dashed"),
            Curve("by one more sample", curves.sizes, curves.difference, ORANGE, "solid", *by_one),
            Curve("by one more at w* alone", curves.sizes, curves.null, GREY, "dotted"),
        ],
        marks=marks,
    )
