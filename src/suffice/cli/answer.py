"""The answer in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suffice.report import base_answer, forecast_answer
from suffice.results import BaseResult, ForecastResult, Result

COLORS = {"reached": "green", "extrapolated": "yellow", "cannot_tell": "red"}


def print_answer(result: Result, out: Path, console: Console) -> None:
    """The sufficient sizes as a table, the headline as a sentence, and where the report lies."""
    headline = result.sufficient_sizes[0]
    table = Table(title=f"How many samples are enough, to {100 * headline.tolerance:.4g}% of the loss at w*?")
    for column in ("criterion", "enough, k*", f"{result.confidence:.0%} interval", "status"):
        table.add_column(column, justify="right" if column == "enough, k*" else "left")
    for answer in result.sufficient_sizes:
        size, interval = "–", "–"
        if answer.size is not None:
            size, interval = f"{answer.size:,}", f"{answer.low:,} to {answer.high:,}"
        color = COLORS[answer.status]
        table.add_row(answer.criterion, size, interval, f"[{color}]{answer.status.replace('_', ' ')}[/{color}]")
    console.print(table)
    console.print(escape(headline.explanation), style="bold")
    for note in result.problem.notes:
        console.print(f"Note: {note}", markup=False)
    console.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)


def print_base_answer(result: BaseResult, out: Path, console: Console) -> None:
    """What was found in a few sentences, and where the report with every network lies."""
    headline, *others = base_answer(result)
    console.print(escape(headline), style="bold")
    for sentence in others:
        console.print(sentence, markup=False)
    console.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)


def print_forecast(result: ForecastResult, out: Path, console: Console) -> None:
    """The curve as a table, the answers as sentences, and where the report lies."""
    curve = result.forecast
    if curve.status != "cannot_tell":
        table = Table(title=f"Test loss and accuracy to be expected, with {result.confidence:.0%} intervals")
        for title in ("samples", "accuracy", "interval", "loss", "interval"):
            table.add_column(title, justify="right")
        for place, size in enumerate(curve.sizes):
            accuracy, loss = curve.accuracy, curve.loss
            table.add_row(
                f"{size:,}",
                f"{accuracy.mean[place]:.1%}",
                f"{accuracy.low[place]:.1%} to {accuracy.high[place]:.1%}",
                f"{loss.mean[place]:.3f}",
                f"{loss.low[place]:.3f} to {loss.high[place]:.3f}",
            )
        console.print(table)
    for sentence in forecast_answer(result):
        console.print(escape(sentence))
    for note in result.notes:
        console.print(f"Note: {escape(note)}")
    console.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)
