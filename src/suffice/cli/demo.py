"""``suffice demo``."""

from pathlib import Path

from rich.console import Console

from suffice.cli.answer import print_answer, print_forecast
from suffice.cli.flags import Out, Overwrite


def demo(out: Out = Path("runs/demo"), overwrite: Overwrite = False) -> None:
    """The whole way on real data, in a minute: fine-tune the embedded tiny ViT on real digits, and answer.

    Then a forecast of what more than 300 digits would bring to a new head, in OUT/forecast.

    [bold]Example[/bold]

        suffice demo --out runs/demo
    """
    from suffice.runs.analyze import analyze  # noqa: PLC0415 -- transformers takes seconds to import
    from suffice.runs.demo import DEMO, DEMO_FORECAST  # noqa: PLC0415
    from suffice.runs.forecast import forecast  # noqa: PLC0415

    console = Console()
    print_answer(analyze(DEMO, out, overwrite, console), out, console)
    ahead = out / "forecast"
    print_forecast(forecast(DEMO_FORECAST, ahead, overwrite, console), ahead, console)
