"""The report of ``suffice forecast``: the learning curve that is to be expected, and what it answers."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np

from suffice.report.drawing import save_figures
from suffice.report.figures import BLACK, BLUE, GREEN, ORANGE, Curve, Figure, Mark
from suffice.report.page import TEMPLATES, plotly_code, script_plots
from suffice.results import Band, ForecastResult, LearningCurve, SufficientSize
from suffice.storage import atomic_write

POINTS = 60
"""Of a curve between its sizes, where it is straight in 1/k."""

CLEARLY = 1.2
"""How many times the average the next sample of a class has to bring for the class to be named."""


def write_forecast_report(result: ForecastResult, folder: Path) -> None:
    """Writes ``result.json``, the figures, and the self-contained ``report.html``."""
    with atomic_write(folder / "result.json") as file:
        file.write(result.model_dump_json(indent=1).encode())
    figures = forecast_figures(result)
    save_figures(figures, folder / "figures")
    with atomic_write(folder / "report.html") as file:
        file.write(_page(result, figures).encode())


def forecast_answer(result: ForecastResult) -> list[str]:
    """Plain sentences, the most important first."""
    curve = result.forecast
    if curve.status == "cannot_tell":
        return [f"No forecast: {curve.explanation}"]
    now = curve.sizes.index(result.samples)
    targets = [
        _target_sentence(curve, result.samples, curve.accuracy.mean[now], curve.loss.mean[now], answer)
        for answer in result.answers
    ]
    gains = [
        f"{gain.more:,} more should bring {100 * gain.accuracy:.1f} points of accuracy and {gain.loss:.3f} of loss"
        for gain in result.gains
    ]
    doubts = [f"But: {doubt[0].lower()}{doubt[1:]}" for doubt in curve.doubts]
    return [*targets, f"{'; '.join(gains)}.", *_next_class(result), *_limits(result), *doubts]


def _target_sentence(curve: LearningCurve, samples: int, accuracy: float, loss: float, answer: SufficientSize) -> str:
    if answer.size is None or answer.low is None or answer.high is None or answer.criterion == "cost_per_sample":
        return answer.explanation
    more, fewest, most = (max(0, size - samples) for size in (answer.size, answer.low, answer.high))
    ends = f"{fewest:,} to {most:,}" if "no bound" not in answer.explanation else f"{fewest:,} to no bound"
    target = answer.tolerance
    if answer.criterion == "excess":
        return (
            f"{more:,} more samples ({ends}) should bring the loss from {loss:.3f} to within {target:.3f} of its limit."
        )
    what, now = ("accuracy", accuracy) if answer.criterion == "target_accuracy" else ("loss", loss)
    if more == 0:
        return f"The samples at hand should be enough for a test {what} of {target:.3f}: they give about {now:.3f}."
    given = _given_the_level(curve, samples, answer.size)
    return (
        f"{more:,} more samples ({ends}; {given} if it is {now:.3f} now) should bring the {what} from {now:.3f} to "
        f"{target:.3f}."
    )


def _given_the_level(curve: LearningCurve, samples: int, size: int) -> str:
    """Between which numbers of more samples the loss falls by as much as it should at a size, by the slope's error.

    Example:
        >>> band = Band(mean=[0.7], low=[0.6], high=[0.8])
        >>> curve = LearningCurve(
        ...     sizes=[100], loss=band, accuracy=band, slope=40.0, slope_error=5.0, status="extrapolated"
        ... )
        >>> _given_the_level(curve, 100, 200)
        '71 to 170'
    """
    # a curve without numbers has no sufficient size, and none is asked for here
    width = NormalDist().inv_cdf((1 + curve.confidence) / 2) * (curve.slope_error or 0.0) / (curve.slope or 1.0)

    def more(times: float) -> float:
        left = 1 / samples - (1 / samples - 1 / size) / times if times > 0 else 0.0
        return 1 / left - samples if left > 0 else math.inf

    fewest, most = more(1 + width), more(1 - width)
    return f"{fewest:,.0f} to {'no bound' if math.isinf(most) else format(most, ',.0f')}"


def _next_class(result: ForecastResult) -> list[str]:
    """Which class to collect, where there are more than two and one brings clearly more than the average."""
    best = max(result.class_gains, key=lambda gain: gain.times.value, default=None)
    if best is None or len(result.classes) < 3 or best.times.value < CLEARLY or best.times.low <= 1:
        return []
    return [
        f"Collect {best.name} next: one more of it alone brings {best.times.value:.1f} times the fall in loss of one "
        f"drawn like those at hand, and more than that one up to {best.up_to:,} of it ({best.samples:,} are at hand)."
    ]


def _limits(result: ForecastResult) -> list[str]:
    accuracy, loss = result.forecast.accuracy_limit, result.forecast.loss_limit
    if accuracy is None or loss is None:
        return []
    return [
        f"Ever more should bring the accuracy to {accuracy.mean:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f}) and "
        f"the loss to {loss.mean:.3f} ({loss.low:.3f} to {loss.high:.3f})."
    ]


def forecast_figures(result: ForecastResult) -> list[Figure]:
    """Accuracy and loss against size; none where nothing can be told."""
    curve = result.forecast
    if curve.status == "cannot_tell":
        return []
    return [
        _figure(result, "accuracy", curve.accuracy, BLUE, "test accuracy, %", 100),
        _figure(result, "loss", curve.loss, GREEN, "test loss", 1),
    ]


def _figure(
    result: ForecastResult, name: Literal["accuracy", "loss"], band: Band, color: str, label: str, factor: int
) -> Figure:
    sizes = result.forecast.sizes
    now = sizes.index(result.samples)
    between = np.geomspace(sizes[0], sizes[-1], POINTS)
    mean, low, high = (
        (factor * np.interp(-1 / between, -1 / np.array(sizes), end)).tolist()
        for end in (band.mean, band.low, band.high)
    )
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
            marks.append(Mark("y", factor * answer.tolerance, f"target {factor * answer.tolerance:.3g}", ORANGE))
            if answer.size is not None and answer.size <= 4 * sizes[-1]:
                marks.append(Mark("x", answer.size, f"{answer.size:,}", ORANGE))
    return Figure(
        name=name,
        title=f"Test {name} to be expected with more samples",
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


def _circles(result: ForecastResult) -> str:
    if result.test_samples:
        return f"Circle: the training on these, tested on {result.test_samples:,} others."
    sizes = " and ".join(f"{training.size:,}" for training in result.measured)
    return f"Circles: trainings on {sizes} of these, tested on the rest."


def _trained(method: str) -> str:
    """
    Example:
        >>> _trained("head"), _trained("last_layers(2)"), _trained("lora(8)"), _trained("full")
        ('a head on', 'the last 2 layers of', 'LoRA of rank 8 on', 'all of')
    """
    kind, _, number = method.rstrip(")").partition("(")
    layers = "the last layer of" if number == "1" else f"the last {number} layers of"
    return {"head": "a head on", "last_layers": layers, "lora": f"LoRA of rank {number} on", "full": "all of"}[kind]


def _page(result: ForecastResult, figures: Sequence[Figure]) -> str:
    return TEMPLATES.get_template("forecast.html.j2").render(
        result=result,
        curve=result.forecast,
        trained=_trained(result.method),
        rows=np.arange(len(result.forecast.sizes)) if figures else [],
        answer=forecast_answer(result),
        figures=figures,
        plots=script_plots(figures),
        plotly=plotly_code(),
    )
