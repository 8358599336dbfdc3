"""What a run's folder says of the run itself: begun, finished, failed, and why."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from suffice.errors import InputError, reason
from suffice.regular import LARGEST, read_regular
from suffice.storage import Place, atomic_write, count_files

STATE = ".suffice-state.json"

OF_OTHERS = frozenset({"figures", "methods"})
"""Folders that are checked in another way: parts of the report, and runs in this one."""


class State(TypedDict, total=False):
    """What is written of a run."""

    state: str
    began: str
    ended: str
    process: int
    host: str
    why: str
    planned: dict[str, int]
    files: dict[str, int]


_STATE = TypeAdapter(State)


@contextmanager
def track(folder: Path) -> Iterator[None]:
    """Writes into a folder that a run has begun, and how it ended; of one that was killed it stays begun.

    Args:
        folder: of the run, which is locked.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with track(folder):
        ...     read_state(folder)["state"]
        'running'
        >>> read_state(folder)["state"]
        'finished'
    """
    state: State = {"state": "running", "began": _now(), "process": os.getpid(), "host": socket.gethostname()}
    _write(folder, state)
    try:
        yield
    except BaseException as error:
        is_told = isinstance(error, InputError)
        why = str(error) if is_told else reason(error)
        ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        _write(folder, read_state(folder) | {"state": ended, "ended": _now(), "why": " ".join(why.split())})
        raise
    _write(folder, read_state(folder) | {"state": "finished", "ended": _now()})


def plan(folder: Path, pieces: Mapping[str, int]) -> None:
    """Adds how many pieces of each kind a run is going to have.

    Args:
        folder: of the run.
        pieces: by the name of their folder.
    """
    _write(folder, read_state(folder) | {"planned": dict(pieces)})


def keep_count(folder: Path, stored: Place) -> None:
    """Adds how many files a run has stored, so that it is noticed when some are gone.

    Args:
        folder: of the run.
        stored: where its arrays and pieces are.
    """
    found = {name: count for name, count in count_files(stored).items() if name not in OF_OTHERS}
    _write(folder, read_state(folder) | {"files": found})


def read_state(folder: Path) -> State:
    """What was written; nothing where that is missing or damaged."""
    try:
        return _STATE.validate_json(read_regular(folder / STATE, LARGEST), strict=True)
    except (OSError, ValidationError):
        return {}


def _write(folder: Path, state: State) -> None:
    with atomic_write(folder / STATE) as stream:
        stream.write(json.dumps(state).encode())


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", timespec="seconds")
