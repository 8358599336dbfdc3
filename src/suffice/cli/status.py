"""``suffice status RUN``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.cli.flags import with_terminal
from suffice.cli.terminal import Terminal

if TYPE_CHECKING:
    from suffice.runs.status import RunStatus


@with_terminal
def status(
    terminal: Terminal,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as --out named it.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every stored piece, and compare it with its checksum.")
    ] = False,
) -> None:
    """What a run's folder holds: what is done, running, failed or damaged, and why.

    Nothing is changed. Without --verify only the configuration and the result are read, and what tells of the rest.

    [bold]Examples[/bold]

    Is it still running, and how far has it come?

        suffice status runs/study

    After a disk failed: is everything whole?

        suffice status runs/study --verify
    """
    from suffice.runs.status import status_of

    found = status_of(run, verify)
    for line in lines_of(found):
        terminal.console.print(line, markup=False, highlight=False, soft_wrap=True)
    if terminal.as_json:
        terminal.print_json(found.model_dump_json(indent=1))


def lines_of(found: "RunStatus") -> list[str]:
    """The state of a run in sentences, one a line."""
    when = found.ended or found.began
    lines = [f"{found.folder}: {found.state}{f' ({found.why})' if found.why else f', {when}' if when else ''}."]
    for part in found.parts:
        of = "" if part.planned is None else f" of {part.planned:,}"
        several = (part.planned if part.planned is not None else part.done) != 1
        lines.append(f"  {part.name}: {part.done:,}{of} {part.unit}{'s' if several else ''} done")
    lines += [f"  Damaged: {fault}" for fault in found.damaged]
    if found.is_verified and not found.damaged:
        lines.append("  Everything was read, and is whole.")
    return lines + [line for inner in found.within for line in lines_of(inner)]
