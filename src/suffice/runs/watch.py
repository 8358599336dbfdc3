"""How a run tells whoever waits for it what it does; a run itself prints nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Watch(Protocol):
    """Told by a run what it is about to do and how far it has come; a terminal shows it, and `Silent` does not."""

    def say(self, sentence: str) -> None:
        """One sentence about the run: what it does next and how long that should take."""

    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Callable[[int], None]]:
        """While the context lasts, work is done; its callable takes how many parts were done since the last call.

        Args:
            what: a word or two for the work.
            total: number of parts; None where it is not known.
        """


class Silent:
    """Shows nothing.

    Example:
        >>> with Silent().progress("training", 3) as done:
        ...     done(3)
    """

    def say(self, sentence: str) -> None:
        """Nothing."""

    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Callable[[int], None]]:
        """A callable that shows nothing."""
        return nullcontext(_nothing)


SILENT = Silent()
"""What a run tells by default."""


def _nothing(done: int) -> None:
    pass


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and what it counts.

    Example:
        >>> counted(1, "training"), counted(1200, "training"), counted(2, "process", "processes")
        ('1 training', '1,200 trainings', '2 processes')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits.

    Example:
        >>> duration(61), duration(600)
        ('61 s', '10 min')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
