"""The page of ``suffice forecast``."""

from collections.abc import Iterator

from suffice.report.answers.forecast import doubts_in_words, forecast_answer, metric_of, name_of
from suffice.report.answers.words import in_words
from suffice.report.figures.forecast import forecast_figures
from suffice.report.pages.page import Bullets, Drawn, Page, Section, Table, Words, more_figures
from suffice.results import ForecastResult


def forecast_page(result: ForecastResult) -> Page:
    """The answer, the curve that shows it, and which class to collect next."""
    figures = forecast_figures(result)
    asked = result.answers[0] if result.answers else None
    of_numbers = result.task == "regression"
    first = "accuracy" if asked is None or asked.criterion == "cost_per_sample" else metric_of(asked)
    picture = next((figure for figure in figures if figure.name == first), None)
    sizes = _sizes(result) if figures else None
    trained = f"{trained_in_words(result.method)} {result.model}"
    whose = "with numbers to be predicted" if of_numbers else f"of {len(result.classes):,} classes"
    doubts = doubts_in_words(result.forecast)
    return Page(
        command="forecast",
        subject=(trained, result.data, f"{result.samples:,} samples {whose}"),
        question=f"What would more samples bring? {result.model} on {result.data}",
        answer=forecast_answer(result),
        picture=None if picture is None else Drawn(picture),
        sections=[
            *([Section("Doubts", [Bullets(doubts)], is_open=True)] if doubts else []),
            *([Section("All sizes", [sizes, *_metrics(result)])] if sizes else []),
            *([Section("By class: which one to collect next", [_classes(result)])] if result.class_gains else []),
            *more_figures([figure for figure in figures if figure is not picture]),
            Section("How it was computed", [Words(sentence) for sentence in _computed(result)]),
            Section("What this does not tell", [Bullets(_untold(result))]),
        ],
        result=result,
        table=sizes,
        notes=result.notes,
    )


def trained_in_words(method: str) -> str:
    """
    Example:
        >>> trained_in_words("head"), trained_in_words("last_layers(2)"), trained_in_words("lora(8)")
        ('a head on', 'the last 2 layers of', 'LoRA of rank 8 on')
        >>> trained_in_words("full")
        'all of'
    """
    kind, _, number = method.rstrip(")").partition("(")
    layers = "the last layer of" if number == "1" else f"the last {number} layers of"
    return {"head": "a head on", "last_layers": layers, "lora": f"LoRA of rank {number} on", "full": "all of"}[kind]


def _sizes(result: ForecastResult) -> Table:
    curve = result.forecast
    share = f"{curve.confidence:.0%} interval"
    of_numbers = result.task == "regression"
    shapes = {"accuracy": "{:.3f}", "loss": "{:.3g}"} if of_numbers else {"accuracy": "{:.1%}", "loss": "{:.3f}"}
    rows = []
    for index, size in enumerate(curve.sizes):
        row = [f"{size:,}", *([] if result.groups is None else [f"{result.groups * size / result.samples:,.0f}"])]
        for metric, band in (("accuracy", curve.accuracy), ("loss", curve.loss)):
            mean, low, high = (band.mean[index], band.low[index], band.high[index])
            shape = shapes[metric]
            row += [shape.format(mean), f"{shape.format(low)} to {shape.format(high)}"]
        rows.append(row)
    slope = ""
    if curve.slope is not None and curve.slope_error is not None:
        slope = (
            f"The loss falls by about s (1/{result.samples:,} − 1/k), with the slope s = {curve.slope:.3g} ± "
            f"{curve.slope_error:.2g}."
        )
    score, loss = name_of(result, "accuracy"), name_of(result, "loss")
    counted = ["samples", *([] if result.groups is None else ["groups"])]
    columns = [*counted, score, share, loss, f"{share} of the {'error' if of_numbers else 'loss'}"]
    return Table("forecast", columns, rows, slope)


def _metrics(result: ForecastResult) -> Iterator[Table]:
    curve = result.forecast
    for name, metric in curve.metrics.items():
        rows = []
        for index, size in enumerate(curve.sizes):
            ends = (float(end[index]) for end in (metric.mean, metric.low, metric.high))
            mean, low, high = (
                f"{end:.3g}" if result.task == "regression" else in_words("accuracy", end) for end in ends
            )
            rows.append([f"{size:,}", mean, f"{low} to {high}"])
        yield Table(f"metric-{name}", ["samples", name, f"{curve.confidence:.0%} interval"], rows)


def _classes(result: ForecastResult) -> Table:
    gains, more = result.class_gains, f"{result.class_gains[0].more:,}"
    largest = max(1e-9, *(gain.times.value for gain in gains))
    source = "how much better the model does on its own samples of each class than on others"
    if result.method == "head" and not result.test_samples:
        source = "the noise of the gradients within each class"
    return Table(
        "classes",
        [
            "class",
            "at hand",
            "classified right",
            "next one, over a random sample",
            f"{result.confidence:.0%} interval",
            f"fall in loss by {more} of it",
            f"over that by {more} of all",
        ],
        [
            [
                gain.name,
                f"{gain.samples:,}",
                f"{gain.recall:.0%}",
                f"{gain.times.value:.1f}",
                f"{gain.times.low:.1f} to {gain.times.high:.1f}",
                f"{gain.loss:.4f}",
                f"{gain.share:.2f}",
            ]
            for gain in gains
        ],
        f"From {source}. More of one class alone bring this if the samples are then weighted so that the classes keep "
        "their shares, and less and less the more there are. Of all: drawn in the shares of those at hand. The "
        "intervals are for all classes together.",
        bars={3: [max(0.0, gain.times.value / largest) for gain in gains]},
    )


def _computed(result: ForecastResult) -> Iterator[str]:
    curve = result.forecast
    if result.features is not None and result.l2 is not None:
        fit = "linear" if result.task == "regression" else "softmax"
        yield (
            f"A {fit} regression on the {result.features:,} frozen features of each sample was fitted to all samples "
            f"(penalty {result.l2:.3g}), to all but each tenth, and to each half."
        )
        yield "The slope of the learning curve comes from the losses and the curvature of these fits."
    elif curve.estimator == "information":
        held = (
            ""
            if curve.penalty is None
            else f", held by a penalty of {curve.penalty:.3g} on the distance from its start"
        )
        yield (
            "The slope of the learning curve is that of the tangent kernel of the trained parameters at the end of the "
            f"training on all samples{held}."
        )
    else:
        known = "How the model was trained is not known, so the intervals are wider."
        if curve.penalty is not None:
            known = f"The training acts like one with a penalty of {curve.penalty:.3g} on the distance from its start."
        yield (
            "The slope of the learning curve comes from the gap between the loss on unseen samples and the training "
            f"loss at the end of the training on all samples. {known}"
        )
    where = f"{result.test_samples:,} test samples" if result.test_samples else "the parts left out"
    follows = "the accuracy follows from the loss by the calibrated probabilities"
    if result.task == "regression":
        follows = "R² is 1 minus the mean squared error over the variance of the numbers"
    yield f"The level is the loss on {where}; {follows}."
    yield "The loss falls along L(k) ≈ L(k₀) − s (1/k₀ − 1/k), with k₀ samples at hand; see docs/how_it_works.md."


def _untold(result: ForecastResult) -> list[str]:
    same = "the same steps at the same rate are assumed at all sizes"
    if result.features is not None:
        fit = "linear" if result.task == "regression" else "softmax"
        penalties = {
            "fixed": "with this penalty at all sizes",
            "tuned": "with the penalty tuned again at each size",
            "per-sample": "with the penalty in proportion to 1/k",
        }
        same = f"the head is a {fit} regression {penalties[result.forecast.recipe]}, on features that do not change"
    shares = "" if result.task == "regression" else ", with the same shares of the classes"
    return [
        f"Other samples than these: more have to come from where these came from{shares}.",
        f"Another training: {same}.",
        "Much beyond ten times the samples at hand, or where there are fewer samples than free weights.",
    ]
