"""Norms of the mean gradient at the minima."""

from suffice.report.figures.figure import Curve, Figure
from suffice.report.figures.study.axes import legend_entry, size_ticks
from suffice.report.figures.study.methods import first_surfaces
from suffice.results import StudyResult


def gradients_figure(result: StudyResult) -> Figure:
    """||G_k|| at the minimum of all samples and at that of the k samples; first seed."""
    curves = []
    for surface, color in first_surfaces(result):
        curves += [
            Curve(surface.method, surface.sizes, surface.gradient_at_full, color, "joined"),
            Curve("", surface.sizes, surface.gradient, color, "circles"),
        ]
    if curves:
        curves += [
            legend_entry("at the minimum of all, w*_m", "joined"),
            legend_entry("at the minimum of the k, w*_k", "circles"),
        ]
    return Figure(
        name="gradients",
        title="Gradients at the minima",
        caption=(
            "||G_k||, the norm of the mean gradient of the first k samples; first seed. Assumption 1 of the paper "
            "takes it as 0 at w*_m for every k. At w*_k it is 0 where the training has ended at a stationary point."
        ),
        x_label="number of samples k",
        y_label="norm of the mean gradient, ‖G_k‖",
        curves=curves,
        ticks=size_ticks(curves),
    )
