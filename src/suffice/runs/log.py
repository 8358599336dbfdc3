"""What a run has done, kept in its folder: a line of JSON for each event, for people who look for what went wrong."""

import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NotRequired, TextIO, TypeAlias, final

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from suffice.errors import InputError, InputWarning, reason, shortened
from suffice.regular import read_regular
from suffice.runs.watch import Watch

LOG, OLDER = "log.jsonl", "log.1.jsonl"
"""In a run's folder: the events, and those before, once there are too many for one file."""

ENDS = ("finished", "stopped", "failed")
"""The last event of a run."""

LARGEST = 4_000_000
"""Bytes of a file of events: with the older one, twice as many at most."""

LONGEST = 500
"""Characters of a text in an event."""

EVERY, SHARE = 5.0, 1 / 20
"""Progress is noted after so many seconds, and after this share of the time until then: 200 times in ten days."""

SECRET = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"  # the user and password of a URL
    r"|(?<=token=)[^&\s]+|(?<=signature=)[^&\s]+|(?<=key=)[^&\s]+|(?<=password=)[^&\s]+"
    r"|\bhf_\w{20,}|\bAKIA\w{12,}",
    re.IGNORECASE,
)

_current: ContextVar["_Log | None"] = ContextVar("log", default=None)


@contextmanager
def keep_log(folder: Path) -> Iterator[None]:
    """While it lasts, events of this thread are added to the log in a folder, and so is what is warned of.

    Each line is a JSON object with ``time``, ``event`` and ``what``. Characters beyond ASCII are escaped, texts are
    cut, and what looks like a password is left out. A log that cannot be written ends no run.

    Args:
        folder: of the run, which is locked.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with keep_log(folder):
        ...     note("task", "training of head on 20", seconds=1.5)
        >>> [entry["event"] for entry in read_log(folder)]
        ['begun', 'task', 'finished']
    """
    log = _Log(folder / LOG)
    before, began = warnings.showwarning, time.monotonic()
    token = _current.set(log)
    log.write("begun", "the run", {"process": os.getpid()})

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if isinstance(message, InputWarning):
            log.write(message.event, str(message), message.facts)
        before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    ended, why = "finished", "the run"
    try:
        yield
    except BaseException as error:
        ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        why = str(error) if isinstance(error, InputError) else reason(error)
        raise
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = before
        _current.reset(token)
        log.write(ended, why, {"seconds": time.monotonic() - began})


def note(event: str, what: str, **facts: float | str | None) -> None:
    """Adds an event to the log of the run of this thread; nothing where none is at work.

    Args:
        event: a word or two for its kind.
        what: a line about it.
        **facts: numbers and short texts.
    """
    log = _current.get()
    if log is not None:
        log.write(event, what, facts)


def _with_zone(time: str) -> str:
    if datetime.fromisoformat(time).tzinfo is None:
        raise ValueError("a time without zone")
    return time


Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]


class Event(TypedDict):
    """A line of a log, with further facts."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    time: Annotated[str, AfterValidator(_with_zone)]
    event: str
    what: str
    done: NotRequired[Count]
    total: NotRequired[Count]
    seconds: NotRequired[FiniteFloat]
    first: NotRequired[Count]
    until_first: NotRequired[FiniteFloat]


_EVENT = TypeAdapter(Event)


def read_log(folder: Path) -> list[Event]:
    """The events in a folder, the oldest first.

    Lines that a killed run left unfinished are left out, and so is a file that is larger than any that a run writes.
    """
    found: list[Event] = []
    for name in (OLDER, LOG):
        try:
            lines = read_regular(folder / name, 2 * LARGEST).splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                found.append(_EVENT.validate_json(line))
            except ValidationError:
                continue
    return found


def logged(watch: Watch) -> Watch:
    """A watch that is told the same, and notes it in the log of the run that is at work then."""
    return watch if isinstance(watch, _Logged) else _Logged(watch)


@final
class _Logged:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def say(self, sentence: str) -> None:
        note("said", sentence)
        self._watch.say(sentence)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        note("step", what, total=total)
        began = noted = time.monotonic()
        done = 0
        found: dict[str, float] = {}

        def advance(parts: int) -> None:
            nonlocal noted, done
            done += parts
            show(parts)
            now = time.monotonic()
            if not found:
                found.update(first=done, until_first=now - began)
            if now - noted >= max(EVERY, SHARE * (now - began)):
                noted = now
                note("progress", what, done=done, total=total, seconds=now - began, **found)

        with self._watch.progress(what, total) as show:
            yield advance
        note("step done", what, done=done, total=total, seconds=time.monotonic() - began)


class _Log:
    """A file of events that is appended to, one whole line at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._works = True

    def write(self, event: str, what: str, facts: Mapping[str, Any]) -> None:
        if not self._works:
            return
        now = datetime.now().astimezone().isoformat(" ", timespec="milliseconds")
        entry = {"time": now, "event": event, "what": _clean(what)}
        entry |= {name: _fact(value) for name, value in facts.items() if value is not None}
        try:
            self._append(f"{json.dumps(entry)}\n".encode())
        except OSError as error:
            self._works = False  # first, as the warning comes back to here
            warnings.warn(
                f"{self._file} cannot be written ({error.strerror}): this run goes on without it",
                InputWarning,
                stacklevel=2,
            )

    def _append(self, line: bytes) -> None:
        # a link would lead the writing out of the folder
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
        with os.fdopen(handle, "a+b") as file:
            length = file.seek(0, os.SEEK_END)
            if length:
                file.seek(length - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
        if length + len(line) > LARGEST:
            self._file.replace(self._file.with_name(OLDER))


def _fact(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _clean(text: str) -> str:
    return shortened(SECRET.sub("...", " ".join(text.split())), LONGEST)
