"""Figures of ``suffice study`` of a language model: loss and perplexity against size, measured and continued."""

import itertools
import math
from collections.abc import Callable, Sequence

from suffice.report.figures.curve.axis import sizes_on_axis
from suffice.report.figures.figure import GREY, Curve, Figure, Mark
from suffice.report.figures.study.axes import legend_entry
from suffice.report.figures.study.methods import COLORS
from suffice.results import LanguageStudyResult

HIGHEST = 700.0
"""Loss beyond which a perplexity is too large a number."""


def language_study_figures(result: LanguageStudyResult) -> list[Figure]:
    """The test loss and the perplexity; none where no training finished."""
    if not any(method.sizes for method in result.methods):
        return []
    return [
        _figure(result, "loss", "Test loss", lambda loss: loss),
        _figure(result, "perplexity", "Perplexity", lambda loss: math.exp(min(loss, HIGHEST))),
    ]


def _figure(result: LanguageStudyResult, name: str, title: str, of_loss: Callable[[float], float]) -> Figure:
    curves: list[Curve] = []
    for method, color in zip(result.methods, itertools.cycle(COLORS), strict=False):
        if not method.sizes:
            continue

        def told(values: Sequence[float]) -> list[float]:
            return [of_loss(float(value)) for value in values]

        band = method.loss
        curves.append(
            Curve(
                method.method,
                method.sizes,
                told(band.mean.tolist()),
                color,
                "joined",
                told(band.low.tolist()),
                told(band.high.tolist()),
            )
        )
        cells = [(cell.size, cell.test_loss) for cell in result.cells if cell.method == method.method]
        points = [(size, loss) for size, loss in cells if loss is not None]
        curves.append(Curve("", [size for size, _ in points], told([loss for _, loss in points]), color, "circles"))
        if method.drawn is not None:
            ahead = [index for index, size in enumerate(method.drawn.sizes) if size >= method.sizes[-1]]
            score = method.drawn.score
            mean, low, high = ([float(end[index]) for index in ahead] for end in (score.mean, score.low, score.high))
            sizes = [method.drawn.sizes[index] for index in ahead]
            curves.append(Curve("", sizes, told(mean), color, "dashed", told(low), told(high)))
    every = [x for curve in curves for x in curve.x]
    curves += [
        legend_entry("mean over seeds", "joined"),
        legend_entry("each training", "circles"),
        legend_entry("forecast", "dashed"),
    ]
    before = of_loss(result.pretrained_loss)
    highest = max(y for curve in curves for y in curve.y if not math.isnan(y))
    shown = before <= 2 * highest
    beyond = "" if shown else f" Before any training it is {before:.3g}, above these axes."
    alike = ", of which all tokens count alike" if result.unit == "token" else ""
    return Figure(
        name=name,
        title=f"{title} against the number of training samples",
        caption=(
            f"On {result.test_samples:,} unseen samples{alike}. Bands: {result.confidence:.0%} intervals, of the mean "
            "over seeds and test samples where it was measured, of the mean over trainings where it is forecast."
            f"{beyond}"
        ),
        x_label="training samples",
        y_label=name if name == "perplexity" else "test loss",
        curves=curves,
        log="x",
        marks=[Mark("y", before, "before any training", GREY)] if shown else [],
        from_zero=False,
        ticks=sizes_on_axis([round(min(every)), round(max(every))]),
    )
