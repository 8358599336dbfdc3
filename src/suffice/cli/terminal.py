"""What a run does, shown on the terminal while it runs, and where its answer goes."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from suffice.errors import InputError, InputWarning, printable

INTERRUPTED = 130
"""The exit status that Typer gives after Ctrl-C."""

DAY = 86_400.0
"""Seconds."""


class Terminal:
    """A `suffice.runs.watch.Watch`: tells what a run does on standard error, and its answer on standard output.

    Work that is counted has a bar with the time left, where there is a terminal.

    Args:
        as_json: standard output is for the result as JSON: the answer in words goes to standard error.
        quiet: tell nothing but errors, which are raised.
        verbose: tell when each step began and how long it took, and what libraries warn of.
        console: where the answer goes, and all else too; by default as above.

    Raises:
        InputError: quiet and verbose at the same time.

    Example:
        >>> import io
        >>> terminal = Terminal(console=Console(file=io.StringIO()))
        >>> terminal.say("60 samples; about 2 s.")
        >>> terminal.console.file.getvalue()
        '60 samples; about 2 s.\\n'
    """

    def __init__(
        self, as_json: bool = False, quiet: bool = False, verbose: bool = False, console: Console | None = None
    ) -> None:
        if quiet and verbose:
            raise InputError("--quiet and --verbose: one asks for less and the other for more; give one of them")
        self.as_json = as_json
        self.verbose = verbose
        self.messages = PatientConsole(stderr=True, quiet=quiet) if console is None else console
        self.console = self.messages if as_json or console is not None else PatientConsole(quiet=quiet)
        self._began = time.perf_counter()
        self._told: set[str] = set()

    def say(self, sentence: str) -> None:
        """Prints the sentence."""
        stamp = f"[{time.perf_counter() - self._began:6.1f} s] " if self.verbose else ""
        in_a_log = not self.messages.is_terminal  # one line for a sentence, whatever the width
        self.messages.print(f"{stamp}{sentence}", markup=False, highlight=False, soft_wrap=in_a_log)

    def print_json(self, text: str) -> None:
        """Prints JSON on standard output, in UTF-8 whatever the locale."""
        try:
            typer.echo(text.encode())
        except BrokenPipeError:
            leave(sys.stdout)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A bar, or a sign of life where the total is not known; neither without a terminal."""
        if self.verbose:
            self.say(f"{what} …")
        began = time.perf_counter()
        with self._shown(what, total) as advance:
            yield advance
        if self.verbose:
            self.say(f"{what}: {time.perf_counter() - began:.1f} s")

    @contextmanager
    def _shown(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        if not self.messages.is_terminal or self.messages.quiet:
            yield lambda done: None
            return
        if total is None:
            with self.messages.status(what):
                yield lambda done: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        # the time left is told from the whole run: a part of it may take minutes
        with Progress(*columns, console=self.messages, speed_estimate_period=DAY) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, each caveat is a note, said once; warnings of libraries are told only if verbose."""
        disabled = logging.root.manager.disable
        with warnings.catch_warnings():
            warnings.simplefilter("always", InputWarning)
            warnings.showwarning = self._warn
            if not self.verbose:
                logging.disable(logging.WARNING)
            try:
                yield
            finally:
                logging.disable(disabled)

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        words = " ".join(str(message).split())
        if issubclass(category, InputWarning):
            words = f"Note: {words}"
        elif self.verbose:
            words = f"{category.__name__} at {filename}:{lineno}: {words}"
        else:
            return
        if words not in self._told:
            self._told.add(words)
            self.say(words)


class PatientConsole(Console):
    """A console whose reader may leave: a run whose output goes to ``head`` ends as it would have without it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with names of classes and files that cannot drive the terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))

    def on_broken_pipe(self) -> None:
        """Prints no more."""
        self.quiet = True
        leave(self.file)


def leave(stream: object) -> None:
    """What is still written to a stream that nobody reads goes nowhere, also what is flushed at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
