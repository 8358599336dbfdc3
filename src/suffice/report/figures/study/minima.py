"""How far the loss on k samples is from that on all, at the minima of both."""

import math

import numpy as np

from suffice.report.figures.figure import BLACK, Curve, Figure
from suffice.report.figures.study.axes import legend_entry
from suffice.report.figures.study.methods import colors_of_methods, surfaces_of
from suffice.results import StudyResult


def minima_figure(result: StudyResult) -> Figure:
    """|L(k) − L(m)| at the minimum of the k samples, at and around that of all, and its null."""
    curves = []
    nulls = []
    for method, color in colors_of_methods(result):
        surfaces = [surface for surface in surfaces_of(result) if surface.method == method]
        if not surfaces:
            continue
        first = surfaces[0]
        k = np.array(first.curve_sizes)
        spread = first.null[0] * math.sqrt(k[0] * (k[0] + 1))
        null = spread * np.sqrt(1 / k - 1 / first.samples)
        curves.append(Curve(method, first.curve_sizes, first.remaining, color))
        nulls.append(Curve("", first.curve_sizes, null.tolist(), BLACK, "dotted"))
        # at m both are the same
        sizes = [size for surface in surfaces for size in surface.sizes[:-1]]
        own = [
            abs(own - full)
            for surface in surfaces
            for own, full in zip(surface.own[:-1], surface.full[:-1], strict=True)
        ]
        at_full = [abs(own - surface.full[-1]) for surface in surfaces for own in surface.own_at_full[:-1]]
        if sizes:
            curves += [Curve("", sizes, own, color, "points"), Curve("", sizes, at_full, color, "circles")]
    if curves:
        curves += [
            *nulls,
            legend_entry("at the minimum of the k samples, w*_k", "points"),
            legend_entry("at the minimum of all, w*_m", "circles"),
            legend_entry("typical at and around w*_m", "solid"),
            legend_entry("null: at w*_m alone, any samples", "dotted"),
        ]
    return Figure(
        name="minima",
        title="How far the loss on k samples is from that on all",
        caption=(
            "|L(k) − L(m)|. Training fits the samples that it sees: at w*_k, which was trained on just these k, their "
            "loss is far lower than that of all. Lines hold the weights fixed at and around w*_m, for samples "
            "in any order; the null √(S²(1/k − 1/m)) is pure arithmetic. Points: all seeds; lines: the first."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k) − L(m)|",
        curves=curves,
    )
