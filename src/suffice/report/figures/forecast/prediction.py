"""What the figures of accuracy and loss have in common."""

from typing import Literal

import numpy as np

from suffice import results
from suffice.report.answers.words import rounded, target_in_words
from suffice.report.figures.figure import BLACK, ORANGE, Curve, Figure, Mark
from suffice.results import Band, ForecastResult

POINTS = 60
"""Of a curve between its sizes; one of an earlier version is straight in 1/k there."""


def prediction_figure(
    result: ForecastResult,
    name: Literal["accuracy", "loss"],
    band: results.Curve | Band,
    color: str,
    label: str,
    factor: int,
) -> Figure:
    """A quantity against the number of samples: the predicted curve with its band, what was measured, and targets."""
    sizes = result.forecast.sizes
    now = sizes.index(result.samples)
    between = np.unique(np.geomspace(sizes[0], sizes[-1], POINTS).round())
    if isinstance(band, results.Curve):
        there = band.at(between)
        ends = [there.mean, there.low, there.high]
    else:
        ends = [np.interp(-1 / between, -1 / np.array(sizes), end) for end in (band.mean, band.low, band.high)]
    mean, low, high = ((factor * end).tolist() for end in ends)
    measured = [factor * getattr(training, name) for training in result.measured]
    curves = [
        Curve(
            f"forecast, {result.confidence:.0%} band",
            between.tolist(),
            mean,
            color,
            "solid",
            low,
            high,
        ),
        Curve(
            f"{result.samples:,} samples at hand", [result.samples], [factor * float(band.mean[now])], BLACK, "points"
        ),
        Curve("measured on parts of them", [training.size for training in result.measured], measured, BLACK, "circles"),
    ]
    marks = []
    for answer in result.answers:
        if answer.criterion == "cost_per_sample" and name == "accuracy" and answer.size is not None:
            marks.append(Mark("x", answer.size, f"{answer.size:,}: cost is gain", ORANGE))
        if answer.criterion == f"target_{name}":
            marks.append(
                Mark("y", factor * answer.tolerance, f"target {target_in_words(name, answer.tolerance)}", ORANGE)
            )
            if answer.size is not None and answer.size <= 4 * sizes[-1]:
                marks.append(Mark("x", answer.size, f"about {rounded(answer.size):,}", ORANGE))
    return Figure(
        name=name,
        title=f"{_titled(result, name)} to be expected with more samples",
        caption=(
            f"Forecast from {result.samples:,} samples. The band is the {result.confidence:.0%} interval of the mean "
            f"over trainings. {_circles(result)}"
        ),
        x_label="training samples",
        y_label=label,
        curves=curves,
        log="x",
        marks=marks,
        from_zero=False,
        ticks=sizes if len(sizes) <= 8 else (),
    )


def _titled(result: ForecastResult, name: str) -> str:
    if result.task == "regression":
        return "R²" if name == "accuracy" else "Mean squared error"
    return f"Test {name}"


def _circles(result: ForecastResult) -> str:
    if result.test_samples:
        return f"Circle: the training on these, tested on {result.test_samples:,} others."
    if not result.measured:
        return ""
    sizes = " and ".join(f"{training.size:,}" for training in result.measured)
    return f"Circles: trainings on {sizes} of these, tested on the rest."
