"""The answer of a finished run on the terminal, in the words of its report."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from suffice.cli.terminal import Terminal
from suffice.report import write_report
from suffice.report.answers import finding_in_words
from suffice.report.pages import page as blocks
from suffice.report.pages import page_of
from suffice.results import Result, Word

COLORS: dict[Word, str] = {"high": "green", "medium": "yellow", "low": "red", "cannot tell": "bright_black"}


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
    """Where the report is, and the result for programs."""
    say_where(report, terminal)
    if terminal.as_json:
        terminal.print_json(result.model_dump_json(indent=1))


def say_where(report: Path, terminal: Terminal) -> None:
    """Where the report is, on one line whatever the width."""
    terminal.console.print(f"Report: {report}", markup=False, soft_wrap=True)


def print_answer(result: Result, console: Console) -> None:
    """The answer in sentences, what to do next, the numbers as a table, findings, and notes on the inputs."""
    print_page(page_of(result), console)


def print_page(page: blocks.Page, console: Console) -> None:
    """The same of any page."""
    answer = page.answer
    console.print(Text(answer.sentence, style="bold"))
    console.print(Text(answer.trust, style=COLORS[answer.confidence]))
    for sentence in answer.more:
        console.print(sentence, markup=False)
    if answer.next_steps:
        console.print("What to do next:", style="bold")
    for number, step in enumerate(answer.next_steps, 1):
        console.print(f"{number}. {step}", markup=False)
    if page.table is not None:
        _print_table(page.table, console)
    for finding in answer.findings:
        console.print(finding_in_words(finding), markup=False)
    for note in page.notes:
        console.print(f"Note: {note}", markup=False)


def _print_table(table: blocks.Table, console: Console) -> None:
    shown = Table()
    for number, column in enumerate(table.columns):
        shown.add_column(escape(column), justify="left" if number == 0 and not table.has_sizes else "right")
    for row in table.rows:
        shown.add_row(*map(escape, row))
    console.print(shown)
