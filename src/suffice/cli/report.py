"""``suffice report RUN``."""

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Folder of a finished run, with its result.json.")]) -> None:
    """Write the report and the figures of a finished run again, from its result.json.

    [bold]Example[/bold]

        suffice report runs/demo
    """
    from rich.console import Console

    from suffice.cli.answer import print_report
    from suffice.report import write_report
    from suffice.results import read_result

    print_report(write_report(read_result(run), run), Console())
