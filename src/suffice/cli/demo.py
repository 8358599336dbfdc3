"""``suffice demo``."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.cli.flags import Out, Overwrite, with_terminal
from suffice.cli.terminal import Terminal
from suffice.errors import InputError, nearest

TASKS = ["images", "language"]

Task = Annotated[str, typer.Option("--task", help="What to show: images, or language for a language model.")]


@with_terminal
def demo(terminal: Terminal, out: Out = Path("runs/demo"), overwrite: Overwrite = False, task: Task = "images") -> None:
    """Analyze and forecast on real data in a minute: an embedded Vision Transformer and handwritten digits.

    Fine-tunes the model and measures how many digits are enough (OUT/report.html), then predicts what more digits than
    300 would bring to a new head (OUT/forecast/report.html).

    With --task language: fine-tunes an embedded language model on questions with answers, and predicts from that one
    training what more questions would bring (OUT/report.html).

    [bold]Examples[/bold]

        suffice demo --out runs/demo

        suffice demo --task language --out runs/demo-language
    """
    if task not in TASKS:
        raise InputError(f"--task {task}: give images or language{nearest(task, TASKS)}")
    if task == "language":
        _language(terminal, out, overwrite)
        return
    from suffice.cli.answer import finish
    from suffice.runs.analyze import analyze
    from suffice.runs.demo import DEMO, DEMO_FORECAST
    from suffice.runs.forecast import forecast

    finish(analyze(DEMO, out, overwrite, terminal), out, terminal)
    ahead = out / "forecast"
    finish(forecast(DEMO_FORECAST, ahead, overwrite, terminal), ahead, terminal)


def _language(terminal: Terminal, out: Path, overwrite: bool) -> None:
    from suffice.cli.answer import finish
    from suffice.runs.demo import DEMO_LANGUAGE
    from suffice.runs.language import forecast_language

    finish(forecast_language(DEMO_LANGUAGE, out, overwrite, terminal)[1], out, terminal)
