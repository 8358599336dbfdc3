"""What a run's folder says of the run itself: begun, finished, failed, and why."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from suffice.errors import InputError, reason
from suffice.storage import atomic_write

STATE = ".suffice-state.json"


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
    state = {"state": "running", "began": _now(), "process": os.getpid(), "host": socket.gethostname()}
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


def read_state(folder: Path) -> dict[str, Any]:
    """What was written; nothing where that is missing or damaged."""
    try:
        return dict(json.loads((folder / STATE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _write(folder: Path, state: Mapping[str, Any]) -> None:
    with atomic_write(folder / STATE) as stream:
        stream.write(json.dumps(state).encode())


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", timespec="seconds")
