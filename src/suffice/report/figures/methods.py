"""The figure of ``suffice forecast`` of several methods: what each reaches with more samples."""

import itertools

import numpy as np

from suffice.report.answers.methods import curve_of
from suffice.report.answers.words import rounded, target_in_words
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLACK, GREY, Curve, Figure, Mark, Style
from suffice.report.figures.study.methods import COLORS
from suffice.results import Comparison, MethodsResult

STYLES: tuple[Style, ...] = ("solid", "dashed", "dotted")

POINTS = 60
"""Sizes at which a curve is drawn."""


def methods_figures(result: MethodsResult) -> list[Figure]:
    """Accuracy, or loss, against size: a line with its band for each method; none where nothing is compared."""
    comparison = result.comparison
    if comparison is None:
        return []
    smallest, largest = comparison.drawn.sizes[0], comparison.drawn.sizes[-1]
    sizes = np.unique(np.geomspace(smallest, largest, POINTS).round())
    is_accuracy = comparison.metric == "accuracy"
    factor = 100 if is_accuracy else 1
    curves = []
    looks = zip(itertools.cycle(COLORS), itertools.cycle(STYLES), strict=False)
    for of, (color, style) in zip(result.methods, looks, strict=False):
        predicted = curve_of(of, comparison)
        if predicted is not None:
            there = predicted.at(sizes)
            mean, low, high = ((factor * end).tolist() for end in (there.mean, there.low, there.high))
            curves.append(Curve(of.method, sizes.tolist(), mean, color, style, low, high))
    return [
        Figure(
            name="methods",
            title=f"Test {comparison.metric} to be expected from each method",
            caption=(
                f"Forecasts from the same {result.samples:,} samples. Bands: {result.confidence:.0%} intervals of the "
                "mean over trainings. Bands may overlap where one method is better almost surely: their errors are "
                "shared, as the methods are tested on the same samples."
            ),
            x_label="training samples",
            y_label="test accuracy, %" if is_accuracy else "test loss",
            curves=curves,
            log="x",
            marks=[
                Mark("x", result.samples, f"{result.samples:,} at hand", GREY),
                *_changes(comparison),
                *_targets(comparison, factor),
            ],
            from_zero=False,
            ticks=sizes_on_axis([smallest, largest]),
            named_at_ends=True,
        )
    ]


def _changes(comparison: Comparison) -> list[Mark]:
    """Where another method is to be used."""
    return [
        Mark("x", stretch.first, f"{stretch.methods[0]} from {rounded(stretch.first):,}", BLACK)
        for stretch in comparison.advice[1:]
    ]


def _targets(comparison: Comparison, factor: int) -> list[Mark]:
    return [
        Mark("y", factor * of.tolerance, f"target {target_in_words(comparison.metric, of.tolerance)}", BLACK)
        for of in comparison.fewest
        if of.criterion == f"target_{comparison.metric}"
    ]
