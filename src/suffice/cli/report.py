"""``suffice report RUN``."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.cli.flags import with_terminal
from suffice.cli.terminal import Terminal
from suffice.errors import InputError


@with_terminal
def report(
    terminal: Terminal,
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, with their result.json.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the page that compares several runs.")] = Path(
        "runs/compare"
    ),
) -> None:
    """Write the report and the figures of a finished run again, or compare several runs.

    Of several runs (forecast, curve or study) it says which one is better at which size, and where they cross.

    [bold]Examples[/bold]

    From result.json, the page and the figures:

        suffice report runs/demo

    Two models, or two dates, beside each other:

        suffice report runs/minilm runs/dinov2 --out runs/compare
    """
    from suffice.cli.answer import print_page, publish, say_where
    from suffice.report import write_comparison
    from suffice.results import read_result
    from suffice.runs.replacement import is_half_in_place

    for run in runs:
        if is_half_in_place(run):
            raise InputError(f"{run} holds parts of two runs: repeat the command with --overwrite, which finishes it")
    if len(runs) == 1:
        publish(read_result(runs[0]), runs[0], terminal)
        return
    if terminal.as_json:
        raise InputError(
            "--json prints the result of one run, and a comparison has none: leave it out, or give one run"
        )
    with terminal.progress("report"):
        page, file = write_comparison({run: read_result(run) for run in runs}, out)
    print_page(page, terminal.console)
    say_where(file, terminal)
