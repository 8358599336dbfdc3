"""``suffice report RUN``."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.cli.flags import with_terminal
from suffice.cli.terminal import Terminal


@with_terminal
def report(
    terminal: Terminal, run: Annotated[Path, typer.Argument(help="Folder of a finished run, with its result.json.")]
) -> None:
    """Write the report and the figures of a finished run again, from its result.json.

    [bold]Example[/bold]

        suffice report runs/demo
    """
    from suffice.cli.answer import publish
    from suffice.results import read_result

    publish(read_result(run), run, terminal)
