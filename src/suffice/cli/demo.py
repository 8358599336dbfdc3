"""``suffice demo``."""

from pathlib import Path

from rich.console import Console

from suffice.cli.answer import print_answer
from suffice.cli.flags import Out, Overwrite


def demo(out: Out = Path("runs/demo"), overwrite: Overwrite = False) -> None:
    """The whole way on real data, in a minute: fine-tune the embedded tiny ViT on real digits, and answer.

    [bold]Example[/bold]

        suffice demo --out runs/demo
    """
    from suffice.runs.analyze import analyze as run  # noqa: PLC0415 -- transformers takes seconds to import
    from suffice.runs.demo import DEMO  # noqa: PLC0415

    console = Console()
    print_answer(run(DEMO, out, overwrite, console), out, console)
