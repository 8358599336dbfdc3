"""``suffice report RUN``."""

from pathlib import Path
from typing import Annotated

import typer


def report(
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
    from rich.console import Console

    from suffice.cli.answer import print_page, print_report
    from suffice.report import write_comparison, write_report
    from suffice.results import read_result

    console = Console()
    if len(runs) == 1:
        print_report(write_report(read_result(runs[0]), runs[0]), console)
        return
    page, file = write_comparison({run: read_result(run) for run in runs}, out)
    print_page(page, console)
    print_report(file, console)
