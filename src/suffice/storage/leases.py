"""Places in an object store with one writer at a time, by objects that are created once."""

import functools
import json
import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psutil
from upath import UPath

from suffice.errors import InputError, InputWarning
from suffice.storage.owners import Owner, in_words, owner_in
from suffice.storage.places import StoreError, create, modified, names_in, read_bytes, remove, replace

LEASES = ".suffice-lock"
"""In a place that was leased before: the folder of its leases."""

BEAT, LEASE = 5.0, 30.0
"""Seconds between signs of life of an owner, and without one after which its lease has run out."""

SILENCE = 10 * LEASE
"""Seconds without a sign of life after which one look is enough, by the clocks of the store and of this machine."""


NAME = re.compile(r"[0-9]{8,18}\.json")
"""Of a lease, by its number."""


@dataclass(frozen=True)
class _Lease:
    """The newest lease of a place: its number, and what its owner wrote; nothing where the owner gave it back."""

    number: int
    held: bytes

    @property
    def owner(self) -> Owner | None:
        return owner_in(self.held)

    @property
    def is_free(self) -> bool:
        return not self.held

    @property
    def is_of_the_dead(self) -> bool:
        """Its owner was a process of this machine that is no more."""
        owner = self.owner
        return owner is not None and owner["host"] == socket.gethostname() and not psutil.pid_exists(owner["process"])

    def __str__(self) -> str:
        return in_words(self.owner)


@contextmanager
def leased(place: UPath, waits: bool) -> Iterator[None]:
    """Keeps every other process and thread from leasing a place in the meantime.

    Leases are numbered objects. The newest counts; a new one is created by a conditional put, so that one process
    alone gets each number. The owner writes a sign of life into it every `BEAT` seconds. Where none comes for `LEASE`
    seconds, by the clock of who looks, the owner is taken to be gone. An owner that was held up so long is told, and
    goes on: objects are written once, so that at worst the same work is done twice.

    Args:
        place: in a store; one without conditional put is warned of, and not leased.
        waits: wait for a living owner, in place of an error.

    Raises:
        InputError: another process or thread has leased it.
        StoreError: the store does not answer, or cannot be written to.
    """
    number = _acquired(place, waits)
    if number is None:
        yield
        return
    is_over = threading.Event()
    living = threading.Thread(target=_live, args=(place, number, is_over), daemon=True)
    living.start()
    try:
        yield
    finally:
        is_over.set()
        living.join()
        with suppress(StoreError):
            replace(_file(place, number), b"")


def lessee_of(place: UPath) -> str | None:
    """Who has leased a place, in words; None where nobody has, or an owner that is taken to be gone.

    That is a process of this machine that is no more, or one of another without a sign of life for `SILENCE` seconds.
    """
    newest = _newest(place)
    if newest is None or newest.is_free or newest.is_of_the_dead:
        return None
    try:
        sign = modified(_file(place, newest.number))
    except FileNotFoundError:  # given up in the meantime
        return None
    is_silent = sign is not None and (datetime.now().astimezone() - sign).total_seconds() > SILENCE
    return None if is_silent else str(newest)


def _acquired(place: UPath, waits: bool) -> int | None:
    """The number of a new lease; None where the store has no conditional put."""
    is_told = False
    while True:
        newest = _newest(place)
        if newest is not None and not newest.is_free:
            now = _after_a_sign_of_life(place, newest)
            if now is None:
                gone = f"{place} was in use by {newest}, which is gone: it is taken over"
                warnings.warn(gone, InputWarning, stacklevel=5)
            elif now.is_free:
                continue
            else:
                in_use = f"{place} is in use by {now}"
                if not waits:
                    raise InputError(f"{in_use}: wait for it with --wait, or give another store")
                if not is_told:
                    warnings.warn(f"{in_use}: waiting until it ends", InputWarning, stacklevel=5)
                is_told = True
                continue
        number = 1 if newest is None else newest.number + 1
        try:
            if not _is_created(place, number):
                continue
        except NotImplementedError:
            _warn_of_no_lock(f"{place.protocol}://")
            return None
        for name in names_in(place / LEASES):
            if _number(name) < number:
                remove(place / LEASES / name)
        return number


def _is_created(place: UPath, number: int) -> bool:
    """Whether this process was the first to create a lease.

    Raises:
        NotImplementedError: the store lets one be created twice.
    """
    file = _file(place, number)
    try:
        create(file, _sign(0))
    except FileExistsError:
        return False
    try:
        create(file, _sign(0))
    except FileExistsError:
        newest = _newest(place)
        if newest is not None and newest.number == number:
            return True
        remove(file)  # it looked before others came and went
        return False
    remove(file)
    raise NotImplementedError


@functools.cache
def _warn_of_no_lock(store: str) -> None:
    """Once in a process."""
    warnings.warn(
        f"{store} has no conditional put, so nothing is locked there: two runs at once do the same work twice, and no "
        "harm",
        InputWarning,
        stacklevel=6,
    )


def _after_a_sign_of_life(place: UPath, seen: _Lease) -> _Lease | None:
    """The newest lease as soon as it is another than the one seen; None where that does not change."""
    if seen.is_of_the_dead:
        return None
    end = time.monotonic() + LEASE
    while time.monotonic() < end:
        time.sleep(BEAT / 4)
        now = _newest(place)
        if now != seen:
            return now or _Lease(0, b"")
    return None


def _live(place: UPath, number: int, is_over: threading.Event) -> None:
    """Gives signs of life until it is over, or another process has taken the lease for run out."""
    beat = 0
    while not is_over.wait(BEAT):
        beat += 1
        try:
            newest = _newest(place)
            if newest is not None and newest.number > number:
                warnings.warn(
                    f"{place} was taken over by {newest}, as this process was not heard of for {LEASE:.0f} s: both go "
                    "on, and may do the same work twice",
                    InputWarning,
                    stacklevel=1,
                )
                return
            replace(_file(place, number), _sign(beat))
        except StoreError:  # it may answer the next time
            continue


def _sign(beat: int) -> bytes:
    return json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": _began(), "beat": beat}).encode()


@functools.cache
def _began() -> str:
    """When this process first leased anything."""
    return datetime.now().astimezone().isoformat(" ", timespec="seconds")


def _newest(place: UPath) -> _Lease | None:
    numbers = [number for number in map(_number, names_in(place / LEASES)) if number > 0]
    if not numbers:
        return None
    try:
        return _Lease(max(numbers), read_bytes(_file(place, max(numbers))))
    except FileNotFoundError:  # given up in the meantime
        return _Lease(max(numbers), b"")


def _number(name: str) -> int:
    return int(name.removesuffix(".json")) if NAME.fullmatch(name) else 0


def _file(place: UPath, number: int) -> UPath:
    return place / LEASES / f"{number:08d}.json"
