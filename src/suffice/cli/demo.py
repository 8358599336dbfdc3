"""``suffice demo``."""

from pathlib import Path

from suffice.cli.flags import Out, Overwrite, with_terminal
from suffice.cli.terminal import Terminal


@with_terminal
def demo(terminal: Terminal, out: Out = Path("runs/demo"), overwrite: Overwrite = False) -> None:
    """Analyze and forecast on real data in a minute: an embedded Vision Transformer and handwritten digits.

    Fine-tunes the model and measures how many digits are enough (OUT/report.html), then predicts what more digits than
    300 would bring to a new head (OUT/forecast/report.html).

    [bold]Example[/bold]

        suffice demo --out runs/demo
    """
    from suffice.cli.answer import finish
    from suffice.runs.analyze import analyze
    from suffice.runs.demo import DEMO, DEMO_FORECAST
    from suffice.runs.forecast import forecast

    finish(analyze(DEMO, out, overwrite, terminal), out, terminal)
    ahead = out / "forecast"
    finish(forecast(DEMO_FORECAST, ahead, overwrite, terminal), ahead, terminal)
