"""Folders with one writer at a time."""

import json
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from suffice.errors import InputError, InputWarning
from suffice.regular import check_kinds, read_regular
from suffice.storage.leases import leased, lessee_of
from suffice.storage.owners import LONGEST, Owner, in_words, owner_in
from suffice.storage.places import Place
from suffice.storage.writing import LEFTOVER, atomic_write

LOCK, OWNER = ".suffice-lock", ".suffice-owner"
"""In a folder that `locked` has locked before: the file with the lock, and the one that says who holds it."""

GRACE = 1.0
"""Seconds that a lock is waited for: the workers of a killed run take a moment to end."""

_waits: ContextVar[bool] = ContextVar("waits", default=False)


@contextmanager
def waiting() -> Iterator[None]:
    """While it lasts, a folder that is in use is waited for, however long, instead of refused.

    Example:
        >>> import tempfile
        >>> with waiting(), locked(Path(tempfile.mkdtemp())):
        ...     pass
    """
    before = _waits.set(True)
    try:
        yield
    finally:
        _waits.reset(before)


@contextmanager
def locked(folder: Place) -> Iterator[None]:
    """Makes a folder if there is none, and keeps every other process and thread from locking it in the meantime.

    What killed processes left of unfinished files is removed, when it begins and when it ends, but not from folders
    inside that have locks of their own.
    The operating system drops the lock of a process that ends, however it ends, so a lock is never stale; what such a
    process wrote of itself says nothing. A place in a store is leased, see `suffice.storage.leases.leased`.

    Args:
        folder: to be written to by this thread, and by processes that it starts and waits for.

    Raises:
        InputError: another process or thread has locked it and this one is not `waiting`, it cannot be written to, or
            holds a link to another folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder):
        ...     with locked(folder):
        ...         pass
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: ... is in use by process ... on ... since ...: wait for it with --wait, or ...
    """
    if not isinstance(folder, Path):
        with leased(folder, _waits.get()):
            yield
        return
    check_kinds(folder, (LOCK, OWNER), ())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=GRACE)
    except Timeout as error:
        in_use = f"{folder} is in use by {in_words(_owner(folder))}"
        if not _waits.get():
            remedy = f"wait for it with --wait, {_ended_there(folder)}or give another folder"
            raise InputError(f"{in_use}: {remedy}") from error
        warnings.warn(f"{in_use}: waiting until it ends", InputWarning, stacklevel=3)
        lock.acquire()
    except OSError as error:
        raise InputError(f"{folder} cannot be written to ({error.strerror}): give another folder") from error
    owner = folder / OWNER
    try:
        _refuse_links(folder)
        since = datetime.now().astimezone().isoformat(" ", timespec="seconds")
        with atomic_write(owner) as stream:
            stream.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}).encode())
        _remove_leftovers(folder)
        yield
    finally:
        try:
            _remove_leftovers(folder)  # of its own workers that were killed
            owner.unlink(missing_ok=True)
        finally:
            lock.release()


def owner_of(folder: Place) -> str | None:
    """Who has locked a folder, in words, as far as it is known; None where the folder is not locked.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder):
        ...     owner_of(folder) is None
        False
        >>> owner_of(folder) is None
        True
    """
    if not isinstance(folder, Path):
        return lessee_of(folder)
    if not (folder / LOCK).exists():
        return None
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return in_words(_owner(folder))
    except OSError:  # it cannot be written to, so nobody here has locked it
        return None
    lock.release()
    return None


def _owner(folder: Path) -> Owner | None:
    """What the owner of a lock has written of itself; it may have locked the folder, and not yet said so."""
    try:
        return owner_in(read_regular(folder / OWNER, LONGEST))
    except OSError:
        return None


def _ended_there(folder: Path) -> str:
    """How to end a run of another host, whose process may have been forgotten."""
    owner = _owner(folder)
    if owner is None or owner["host"] == socket.gethostname():
        return ""
    return f"end it there (kill {owner['process']} on {owner['host']}), "


def _refuse_links(folder: Path) -> None:
    """A link to a folder would lead writing and removing out of this one; one to a file is replaced by the file."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            if Path(parent, name).is_symlink():
                raise InputError(
                    f"{Path(parent, name)} is a link, and suffice writes and removes nothing beyond its folder: put in "
                    "its place what it links to, or give another folder"
                )


def _remove_leftovers(folder: Path) -> None:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not Path(parent, name, LOCK).exists()]
        for name in files:
            if LEFTOVER.fullmatch(name):
                Path(parent, name).unlink(missing_ok=True)
