"""The answer of a finished run on the terminal, by the type of its result."""

from pathlib import Path
from typing import assert_never

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suffice.cli.terminal import Terminal
from suffice.report import write_report
from suffice.report.answers import curve_answer, findings_in_words, forecast_answer, methods_answer, mlp_answer
from suffice.report.answers.curve import next_in_words
from suffice.report.answers.methods import Entry, findings_of_methods, table_of
from suffice.report.answers.words import in_words, share_in_words, target_in_words
from suffice.results import (
    AnalysisResult,
    CurvatureResult,
    CurveResult,
    ForecastResult,
    HessianResult,
    LearningCurve,
    MethodsResult,
    MLPResult,
    Result,
    StudyResult,
    interval_in_words,
)

COLORS = {"reached": "green", "extrapolated": "yellow", "unreachable": "red", "cannot_tell": "red"}


def finish(result: Result, out: Path, terminal: Terminal) -> None:
    """Writes the report of a run, prints its answer, and says where the report is."""
    with terminal.progress("report"):
        report = write_report(result, out)
    print_answer(result, terminal.console)
    _print_end(result, report, terminal)


def publish(result: Result, out: Path, terminal: Terminal) -> None:
    """The same without the answer, for a result that was there before."""
    with terminal.progress("report"):
        report = write_report(result, out)
    _print_end(result, report, terminal)


def _print_end(result: Result, report: Path, terminal: Terminal) -> None:
    """Where the report is, on one line whatever the width, and the result for programs."""
    terminal.console.print(f"Report: {report}", markup=False, soft_wrap=True)
    if terminal.as_json:
        terminal.print_json(result.model_dump_json(indent=1))


def print_answer(result: Result, console: Console) -> None:
    """The numbers as a table, the answer in sentences, and notes on the data."""
    match result:
        case AnalysisResult():
            _print_analysis(result, console)
        case CurvatureResult():
            _print_curvature(result, console)
        case CurveResult():
            _print_curve(result, console)
        case ForecastResult():
            _print_forecast(result, console)
        case HessianResult():
            _print_hessian(result, console)
        case MethodsResult():
            _print_methods(result, console)
        case MLPResult():
            _print_mlp(result, console)
        case StudyResult():
            _print_study(result, console)
        case _:
            assert_never(result)


def _print_analysis(result: AnalysisResult, console: Console) -> None:
    headline = result.sufficient_sizes[0]
    table = Table(title=f"How many samples are enough, to {100 * headline.tolerance:.4g}% of the loss at w*?")
    for column in ("criterion", "enough, k*", f"{result.confidence:.0%} interval", "status"):
        table.add_column(column, justify="right" if column == "enough, k*" else "left")
    for answer in result.sufficient_sizes:
        size, interval = "–", "–"
        if answer.size is not None and answer.low is not None:
            size, interval = f"{answer.size:,}", interval_in_words(answer.low, answer.high)
        color = COLORS[answer.status]
        table.add_row(answer.criterion, size, interval, f"[{color}]{answer.status.replace('_', ' ')}[/{color}]")
    console.print(table)
    console.print(escape(headline.explanation), style="bold")
    metrics = [f"{name} {value:.3g}" for name, value in result.problem.held_out_metrics.items()]
    if metrics:
        console.print(f"On held-out samples: {', '.join(metrics)}.", markup=False)
    _print_notes(result.problem.notes, console)


def _print_curvature(result: CurvatureResult, console: Console) -> None:
    table = Table(title=f"Hessian in {result.moving_parameters:,} parameters, {result.samples:,} samples")
    for column in ("layer", "parameters", "trace", "largest eigenvalue"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for layer in result.layers:
        table.add_row(escape(layer.name), f"{layer.parameters:,}", str(layer.trace), f"{layer.largest.value:.3g}")
    spectrum = result.spectrum
    largest = f"{spectrum.eigenvalues[0].value:.3g}"
    table.add_row("all", f"{result.moving_parameters:,}", str(spectrum.trace), largest)
    console.print(table)
    values = ", ".join(f"{eigenvalue.value:.3g}" for eigenvalue in spectrum.eigenvalues)
    console.print(f"Largest eigenvalues by magnitude: {values}.", markup=False)
    _print_notes(result.notes, console)


def _print_mlp(result: MLPResult, console: Console) -> None:
    headline, *others = mlp_answer(result)
    console.print(escape(headline), style="bold")
    for sentence in others:
        console.print(sentence, markup=False)


def _print_forecast(result: ForecastResult, console: Console) -> None:
    curve = result.forecast
    score, error, other = (
        ("{:.3f}", "{:.3g}", "{:.3g}") if result.task == "regression" else ("{:.1%}", "{:.3f}", "{:.1%}")
    )
    if curve.status != "cannot_tell":
        names = ("mean squared error", "R²") if result.task == "regression" else ("loss", "accuracy")
        table = Table(title=f"Predicted test {names[0]} and {names[1]}, with {result.confidence:.0%} intervals")
        for title in ("samples", names[1], "interval", names[0], "interval"):
            table.add_column(title, justify="right")
        for index, size in enumerate(curve.sizes):
            accuracy, loss = curve.accuracy, curve.loss
            table.add_row(
                f"{size:,}",
                score.format(accuracy.mean[index]),
                f"{score.format(accuracy.low[index])} to {score.format(accuracy.high[index])}",
                error.format(loss.mean[index]),
                f"{error.format(loss.low[index])} to {error.format(loss.high[index])}",
            )
        console.print(table)
    for name, metric in curve.metrics.items():
        table = Table(title=f"Predicted {name}, with {result.confidence:.0%} intervals")
        for title in ("samples", name, "interval"):
            table.add_column(escape(title), justify="right")
        for index, size in enumerate(curve.sizes):
            ends = f"{other.format(metric.low[index])} to {other.format(metric.high[index])}"
            table.add_row(f"{size:,}", other.format(metric.mean[index]), ends)
        console.print(table)
    headline, *others = forecast_answer(result)
    console.print(escape(headline), style="bold")
    if result.trust is not None:
        console.print(f"Confidence: {result.trust.word} – {result.trust.reason}.", markup=False)
    for sentence in (*others, *findings_in_words(result.forecast)):
        console.print(sentence, markup=False)
    _print_notes(result.notes, console)


def _print_methods(result: MethodsResult, console: Console) -> None:
    methods, rows = table_of(result)
    if result.comparison is not None:
        table = Table(title=f"Predicted test {result.comparison.metric}, and the probability P to be the best method")
        table.add_column("samples", justify="right")
        for method in methods:
            table.add_column(method, justify="right", min_width=len(method))
        for size, entries in rows:
            table.add_row(size, *map(_shown, entries))
        console.print(table)
    headline, *others = methods_answer(result)
    console.print(escape(headline), style="bold")
    for sentence in (*others, *findings_of_methods(result)):
        console.print(sentence, markup=False)
    _print_notes(result.notes, console)


def _shown(entry: Entry) -> str:
    words = f"{entry.score}, P {entry.chance}"
    return f"[bold]{words}[/bold]" if entry.is_used else words


def _print_curve(result: CurveResult, console: Console) -> None:
    predicted = result.predicted
    table = Table(title=f"Predicted {result.metric}, with {result.confidence:.0%} intervals")
    titles = ["samples", result.metric, "interval"]
    if result.answer is not None:
        titles += [f"P({target_in_words(result.metric, result.answer.tolerance)})", "next model"]
    for title in titles:
        table.add_column(title, justify="right")
    for index, size in enumerate(predicted.sizes):
        mean, low, high = (
            in_words(result.metric, end[index])
            for end in (predicted.score.mean, predicted.score.low, predicted.score.high)
        )
        shares = [] if predicted.reached is None else [predicted.reached.mean[index], predicted.reached.next[index]]
        table.add_row(f"{size:,}", mean, f"{low} to {high}", *map(share_in_words, shares))
    console.print(table)
    headline, *others = curve_answer(result)
    console.print(escape(headline), style="bold")
    for sentence in (*others, next_in_words(result)):
        if sentence is not None:
            console.print(sentence, markup=False)
    _print_notes(result.notes, console)


def _print_hessian(result: HessianResult, console: Console) -> None:
    table = Table(title=f"Hessian of {sum(result.parameters.values()):,} parameters, {result.samples:,} samples")
    for column in ("epoch", "loss", "accuracy", "trace", "|H|", "|H_o|", "|H_f|", "outliers"):
        table.add_column(column, justify="right")
    for moment in result.moments:
        norms = [f"{moment.parts[part].spectral:.3g}" for part in ("full", "outer", "functional")]
        cells = (f"{moment.loss:.3f}", f"{moment.accuracy:.0%}", f"{moment.parts['full'].trace:.3g}")
        table.add_row(str(moment.epoch), *cells, *norms, str(moment.outliers))
    console.print(table)
    console.print("|H|: spectral norm, the largest |eigenvalue|; H = H_o + H_f.", markup=False)


def _print_study(result: StudyResult, console: Console) -> None:
    curves = result.study.curves
    table = Table(title="Test accuracy by number of training samples, mean over seeds")
    table.add_column("samples", justify="right")
    for method in curves:
        table.add_column(method, justify="right")
    for size in sorted({size for curve in curves.values() for size in curve.sizes}):
        table.add_row(f"{size:,}", *(_accuracy(curve, size) for curve in curves.values()))
    console.print(table)
    _print_notes(result.notes, console)


def _accuracy(curve: LearningCurve, size: int) -> str:
    return f"{curve.accuracy.mean[curve.sizes.index(size)]:.1%}" if size in curve.sizes else "–"


def _print_notes(notes: list[str], console: Console) -> None:
    for note in notes:
        console.print(f"Note: {note}", markup=False)
