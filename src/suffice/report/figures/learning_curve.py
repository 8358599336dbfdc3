"""Figures of learning curves by themselves, and of a size: what a program gets without a run's report."""

import math

import numpy as np

from suffice import results
from suffice.report.answers.words import rounded
from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import BLUE, GREEN, ORANGE, PURPLE, Curve, Figure, Mark
from suffice.results import Band, LearningCurve, SufficientSize

POINTS = 60
"""Of a predicted curve between its sizes."""


def learning_curve_figures(curve: LearningCurve) -> list[Figure]:
    """Accuracy, other metrics, and loss against size; none where nothing can be told."""
    if curve.status == "cannot_tell" or not curve.sizes:
        return []
    others = [predicted_figure(metric, PURPLE) for metric in curve.metrics.values()]
    if isinstance(curve.loss, results.Curve) and isinstance(curve.accuracy, results.Curve):
        return [predicted_figure(curve.accuracy, BLUE), *others, predicted_figure(curve.loss, GREEN)]
    return [
        band_figure("accuracy", curve.sizes, curve.accuracy, curve.confidence),
        band_figure("loss", curve.sizes, curve.loss, curve.confidence),
    ]


def predicted_figure(curve: results.Curve, color: str = BLUE) -> Figure:
    """A predicted curve with its band, from its smallest size to its largest."""
    name, factor = curve.name or curve.metric, 100 if curve.metric in ("accuracy", "error") else 1
    first, last = float(curve.sizes.min()), float(curve.sizes.max())
    between = np.unique(np.geomspace(first, last, POINTS).round())
    there = curve.at(between)
    mean, low, high = ((factor * end).tolist() for end in (there.mean, there.low, there.high))
    at_hand = curve.draws.largest
    return Figure(
        name=name.replace(" ", "_").lower(),
        title=f"{name[0].upper()}{name[1:]} to be expected with more samples",
        caption=f"The band is the {curve.confidence:.0%} interval of the mean over trainings.",
        x_label="training samples",
        y_label=f"test {name}, %" if factor == 100 else f"test {name}",
        curves=[
            Curve(f"expected, {curve.confidence:.0%} band", between.tolist(), mean, color, "solid", low, high),
        ],
        log="x",
        marks=[Mark("x", at_hand, f"{at_hand:,.0f} at hand", ORANGE)] if first < at_hand < last else [],
        from_zero=False,
        ticks=sizes_on_axis([round(first), round(last)]),
    )


def band_figure(name: str, sizes: list[int], band: results.Curve | Band, confidence: float) -> Figure:
    """A measured curve with its band, a point at each size."""
    factor = 100 if name == "accuracy" else 1
    mean, low, high = ((factor * end).tolist() for end in (band.mean, band.low, band.high))
    return Figure(
        name=name,
        title=f"Test {name} against the number of training samples",
        caption=f"The mean over trainings, with {confidence:.0%} intervals.",
        x_label="training samples",
        y_label=f"test {name}, %" if factor == 100 else f"test {name}",
        curves=[Curve(f"measured, {confidence:.0%} band", sizes, mean, BLUE, "joined", low, high)],
        log="x",
        from_zero=False,
        ticks=sizes_on_axis([sizes[0], sizes[-1]]),
    )


def size_figure(answer: SufficientSize) -> Figure | None:
    """How likely it is that so many samples are enough, at the size and at the ends of its interval; None without."""
    if answer.size is None or answer.low is None:
        return None
    tail = (1 - answer.confidence) / 2
    points = {answer.low: tail, answer.size: answer.assurance or 0.5}
    if answer.high is not None:
        points[answer.high] = 1 - tail
    target = answer.criterion.replace("_", " ")
    return Figure(
        name="size",
        title=f"How likely so many samples are enough ({target} {answer.tolerance:.4g})",
        caption=f"At the estimate and at the ends of its {100 * answer.confidence:.3g}% interval; straight between.",
        x_label="samples" if answer.criterion in ("remaining", "difference", "bound") else "training samples",
        y_label="probability that they are enough",
        curves=[Curve("", list(points), list(points.values()), BLUE, "joined")],
        log="x",
        marks=[Mark("x", answer.size, f"about {rounded(answer.size):,}", ORANGE)],
        ticks=sizes_on_axis([_down(answer.low), _up(answer.high or answer.size)]),
    )


def _down(size: int) -> int:
    """
    Example:
        >>> _down(560), _up(560)
        (500, 1000)
    """
    power: int = 10 ** int(math.log10(size))
    return max(digit for digit in (1, 2, 5) if digit * power <= size) * power


def _up(size: int) -> int:
    power: int = 10 ** int(math.log10(size))
    return min(digit for digit in (1, 2, 5, 10) if digit * power >= size) * power
