"""``suffice status RUN``."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.text import Text

from suffice.cli.flags import with_terminal
from suffice.cli.terminal import INTERRUPTED, Terminal

if TYPE_CHECKING:
    from suffice.runs.status import RunStatus, Step

EVERY = 1.0
"""Seconds between two looks at a run."""


@with_terminal
def status(
    terminal: Terminal,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as --out named it.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every stored piece, and compare it with its checksum.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it anew until the run ends; Ctrl-C ends the watching alone.")
    ] = False,
) -> None:
    """What a run's folder holds: what is done, running, failed or damaged, and why.

    Nothing is changed. Without --verify only the configuration and the result are read, and what tells of the rest.
    With --watch a terminal shows the state of now, and elsewhere a line is printed where something changes.

    [bold]Examples[/bold]

    Is it still running, and how far has it come?

        suffice status runs/study

    The same until it ends, from another terminal or machine:

        suffice status runs/study --watch

    After a disk failed: is everything whole?

        suffice status runs/study --verify
    """
    from suffice.runs.status import status_of

    if watch:
        follow(run, terminal)
        if not (verify or terminal.as_json):
            return
    found = status_of(run, verify)
    for line in lines_of(found):
        terminal.console.print(line, markup=False, highlight=False, soft_wrap=True)
    if terminal.as_json:
        terminal.print_json(found.model_dump_json(indent=1))


def follow(run: Path, terminal: Terminal) -> None:
    """Shows the state of a run until it ends.

    Raises:
        SystemExit: with the status of an interrupted command, where a person ends it.
    """
    from suffice.runs.status import status_of

    shown: list[str] = []
    live = Live(console=terminal.console, auto_refresh=False) if terminal.console.is_terminal else None
    try:
        with live or nullcontext():
            while True:
                found = status_of(run)
                if live is not None:
                    live.update(Text("\n".join(lines_of(found))), refresh=True)
                else:
                    lines = lines_of(found, with_time=False)
                    for line in lines:
                        if line not in shown:
                            terminal.console.print(line, markup=False, highlight=False, soft_wrap=True)
                    shown = lines
                if found.state != "running":
                    return
                time.sleep(EVERY)
    except KeyboardInterrupt:
        terminal.say("No longer watching; the run goes on.")
        raise SystemExit(INTERRUPTED) from None


def lines_of(found: "RunStatus", with_time: bool = True) -> list[str]:
    """The state of a run in sentences, one a line.

    Args:
        found: the state.
        with_time: say how far the step at work has come, and the time that is left of it.
    """
    when = found.ended or found.began
    lines = [f"{found.folder}: {found.state}{f' ({found.why})' if found.why else f', {when}' if when else ''}."]
    if found.step is not None:
        lines.append(f"  Now: {_of_step(found.step) if with_time else found.step.name}")
    for part in found.parts:
        of = "" if part.planned is None else f" of {part.planned:,}"
        several = (part.planned if part.planned is not None else part.done) != 1
        lines.append(f"  {part.name}: {part.done:,}{of} {part.unit}{'s' if several else ''} done")
    lines += [f"  Damaged: {fault}" for fault in found.damaged]
    if found.is_verified and not found.damaged:
        lines.append("  Everything was read, and is whole.")
    return lines + [line for inner in found.within for line in lines_of(inner, with_time)]


def _of_step(step: "Step") -> str:
    from suffice.runs.watch import duration

    done = "" if not step.done or not step.total else f", {step.done / step.total:.0%} done"
    return f"{step.name}{done}" + ("" if step.left is None else f", about {duration(step.left)} left")
