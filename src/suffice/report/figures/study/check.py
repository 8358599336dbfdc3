"""k* against the size at which test loss settles."""

import math

from suffice.report.answers.study import checks_of, share_of_loss
from suffice.report.figures.figure import GREY, Curve, Figure, Style
from suffice.report.figures.study.axes import legend_entry
from suffice.report.figures.study.methods import colors_of_methods
from suffice.results import StudyResult


def check_figure(result: StudyResult) -> Figure:
    """A point for each combination of classes, method and seed."""
    checks = [check for check in checks_of(result) if check.k_star is not None]
    curves = []
    for method, color in colors_of_methods(result):
        of_method = [check for check in checks if check.method == method]
        kinds: tuple[tuple[bool, Style], ...] = ((False, "points"), (True, "circles"))
        for censored, style in kinds:
            points = [(check.held_out_size, check.k_star) for check in of_method if check.censored == censored]
            if points:
                x, y = zip(*points, strict=True)
                curves.append(Curve("", x, y, color, style))
        if of_method:
            curves.append(legend_entry(method, "points", color))
    if curves:
        values = [value for curve in curves for value in (*curve.x, *curve.y) if not math.isnan(value)]
        ends = [0.8 * min(values), 1.25 * max(values)]
        curves += [Curve("k* as large as that size", ends, ends, GREY, "dotted"), legend_entry("no plateau", "circles")]
    return Figure(
        name="check",
        title="Does k* tell where test loss settles?",
        caption=(
            "Each point is one combination of classes, method and seed. k* is by “remaining”, "
            f"{share_of_loss(result)}, from the loss surface of the largest training alone; the other size is that "
            "from which on test loss stays near its last value, from all trainings. Empty circles have no plateau: "
            "their test loss still gains more at the largest size, so that they belong further to the right."
        ),
        x_label="training samples at which test loss settles",
        y_label="k*, training samples",
        curves=curves,
    )
