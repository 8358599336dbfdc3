"""What a run does, shown on the terminal while it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Terminal:
    """A `suffice.runs.watch.Watch` that prints sentences, and draws a bar with the time left for work that is counted.

    Example:
        >>> import io
        >>> terminal = Terminal(Console(file=io.StringIO()))
        >>> terminal.say("60 samples; about 2 s.")
        >>> terminal.console.file.getvalue()
        '60 samples; about 2 s.\\n'
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = Console() if console is None else console

    def say(self, sentence: str) -> None:
        """Prints the sentence."""
        self.console.print(sentence, markup=False)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A bar, or a sign of life where the total is not known."""
        if total is None:
            with self.console.status(what):
                yield lambda done: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
