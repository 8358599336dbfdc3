"""Views of learning curves, of the answers that are computed from them, and of the sizes that these tell."""

from collections.abc import Sequence

from suffice import results
from suffice.report.answers import curve_answer, finding_in_words, forecast_answer, methods_answer, monitor_answer
from suffice.report.answers.words import target_in_words
from suffice.report.figures.curve import curve_figures
from suffice.report.figures.figure import Figure
from suffice.report.figures.forecast import forecast_figures
from suffice.report.figures.learning_curve import learning_curve_figures, predicted_figure, size_figure
from suffice.report.figures.methods import methods_figures
from suffice.report.figures.monitor import monitor_figure
from suffice.report.views import sentences
from suffice.report.views.view import Column, View
from suffice.results import (
    Band,
    CurveResult,
    ForecastResult,
    LearningCurve,
    MethodsResult,
    MonitorResult,
    SufficientSize,
)

SIZES = "training samples"


def size_view(answer: SufficientSize) -> View:
    """One row: the size and its interval."""

    def figures() -> list[Figure]:
        figure = size_figure(answer)
        return [] if figure is None else [figure]

    return View([answer.explanation], size_columns([answer]), figures)


def size_columns(answers: Sequence[SufficientSize]) -> list[Column]:
    """A row for each answer."""
    of_samples = any(answer.criterion in ("remaining", "difference", "bound") for answer in answers)
    return [
        Column("criterion", [answer.criterion.replace("_", " ") for answer in answers]),
        Column("tolerance or target", [answer.tolerance for answer in answers]),
        Column("relative to the loss", [answer.relative for answer in answers]),
        Column(
            "samples" if of_samples else SIZES,
            [answer.size for answer in answers],
            [answer.low for answer in answers],
            [answer.high for answer in answers],
        ),
        Column("confidence", [answer.confidence for answer in answers], unit="%"),
        Column("status", [answer.status.replace("_", " ") for answer in answers]),
    ]


def curve_view(curve: results.Curve) -> View:
    """A row for each size at which the curve is told."""
    columns = [Column(SIZES, [int(size) for size in curve.sizes]), _predicted(curve, curve.sizes.tolist())]
    return View(sentences.of_curve(curve), columns, lambda: [predicted_figure(curve)])


def learning_curve_view(curve: LearningCurve) -> View:
    """A row for each size."""
    return View(
        sentences.of_learning_curve(curve),
        [Column(SIZES, curve.sizes), *_columns(curve)],
        lambda: learning_curve_figures(curve),
        sentences.findings_of(curve),
    )


def forecast_view(result: ForecastResult) -> View:
    """A row for each size of the forecast."""
    columns = [Column(SIZES, result.forecast.sizes), *_columns(result.forecast)]
    notes = [*sentences.findings_of(result.forecast), *result.notes]
    return View(sentences.of_answer(forecast_answer(result)), columns, lambda: forecast_figures(result), notes)


def curve_result_view(result: CurveResult) -> View:
    """A row for each size that was asked for, with the probabilities to reach the target."""
    predicted = result.predicted
    columns = [Column(SIZES, predicted.sizes), _band(result.metric, predicted.score, result.metric)]
    if predicted.reached is not None and result.answer is not None:
        target = target_in_words(result.metric, result.answer.tolerance)
        for name, share in (("average", predicted.reached.mean), ("next", predicted.reached.next)):
            columns.append(_probability(f"probability of {target}, {name} model", share.tolist()))
    return View(sentences.of_answer(curve_answer(result)), columns, lambda: curve_figures(result), result.notes)


def methods_view(result: MethodsResult) -> View:
    """A row for each method and size: what it reaches, and how likely it is the best."""
    rows = [(of, index, size) for of in result.methods for index, size in enumerate(of.forecast.sizes)]
    columns = [Column("method", [of.method for of, _, _ in rows]), Column(SIZES, [size for _, _, size in rows])]
    parts = [_columns(of.forecast) for of in result.methods]
    columns += [_joined(of_methods) for of_methods in zip(*parts, strict=False)]
    if result.comparison is not None:
        told = result.comparison.told
        best = [
            told.best[of.method][told.sizes.index(size)] if of.method in told.best and size in told.sizes else None
            for of, _, size in rows
        ]
        columns.append(_probability("probability to be the best", best))
    answer = methods_answer(result)
    notes = [*map(finding_in_words, answer.findings), *result.notes]
    return View(sentences.of_answer(answer), columns, lambda: methods_figures(result), notes)


def monitor_view(result: MonitorResult) -> View:
    """A row for each look, with what was measured there."""
    looks = result.looks
    known = all(look.low is not None for look in looks)
    unit = "%" if result.metric in ("accuracy", "error") else ""
    columns = [
        Column("labels", [look.size for look in looks]),
        Column(
            f"measured {result.metric}",
            [look.score for look in looks],
            [look.low for look in looks] if known else None,
            [look.high for look in looks] if known else None,
            unit,
        ),
    ]
    return View(sentences.of_answer(monitor_answer(result)), columns, lambda: [monitor_figure(result)], result.notes)


def _probability(name: str, shares: Sequence[float | None]) -> Column:
    return Column(name, shares, unit="%", is_probability=True)


def _columns(curve: LearningCurve) -> list[Column]:
    """Accuracy, loss and other metrics."""
    accuracy, loss = (
        _predicted(band, curve.sizes) if isinstance(band, results.Curve) else _band(name, band, name)
        for name, band in (("accuracy", curve.accuracy), ("loss", curve.loss))
    )
    return [accuracy, loss, *(_predicted(metric, curve.sizes) for metric in curve.metrics.values())]


def _predicted(curve: results.Curve, sizes: Sequence[float]) -> Column:
    return _band(curve.name or curve.metric, curve.at(sizes), curve.metric)


def _band(name: str, band: results.Curve | Band, metric: str) -> Column:
    unit = "%" if metric in ("accuracy", "error") else ""
    return Column(f"test {name}", band.mean.tolist(), band.low.tolist(), band.high.tolist(), unit)


def _joined(columns: Sequence[Column]) -> Column:
    """The same quantity of several methods, below each other."""
    first = columns[0]
    values, low, high = (
        [value for column in columns for value in getattr(column, name) or ()] for name in ("values", "low", "high")
    )
    return Column(first.name, values, low, high, first.unit)
