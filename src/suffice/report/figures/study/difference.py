"""What one more sample changes on the retrained surface."""

from suffice.report.figures.figure import BLACK, Curve, Figure
from suffice.report.figures.study.axes import legend_entry
from suffice.report.figures.study.methods import first_surfaces
from suffice.results import StudyResult


def difference_figure(result: StudyResult) -> Figure:
    """|L(k+1) − L(k)| over all orders of the samples, in the order of the training, and its 1/k null; first seed."""
    curves = []
    ratios = []
    for surface, color in first_surfaces(result):
        k = surface.curve_sizes
        curves += [
            Curve(surface.method, k, surface.difference, color),
            Curve("", k, surface.in_order, color, "points"),
        ]
        ratios.append(f"{surface.difference[0] / surface.null[0]:.2f} for {surface.method}")
    if curves:
        curves += [
            *(Curve("", surface.curve_sizes, surface.null, BLACK, "dotted") for surface, _ in first_surfaces(result)),
            legend_entry("typical, over all orders of the samples", "solid"),
            legend_entry("as the samples came", "points"),
            legend_entry("1/k null: at w*_m alone", "dotted"),
        ]
    return Figure(
        name="difference",
        title="What one more sample changes, at the minimum of all samples",
        caption=(
            "|L(k+1) − L(k)| at w*_m, the end of the largest training, and at probes around it, root mean square over "
            "these points; first seed. The slope 1/k is arithmetic: it holds at any weights. What is measured is the "
            f"height, and over the null it is what the geometry around w*_m adds: {', '.join(ratios)} times the null."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k+1) − L(k)|",
        curves=curves,
    )
