"""How long a run should take on a machine that others use as well, and whether its disk has room for what it stores."""

import os
import shutil
from pathlib import Path

import psutil

from suffice.errors import InputError
from suffice.storage import Place

START = 8.0
"""About the seconds to start workers on a machine that has nothing else to do."""


def in_parallel(seconds: float, workers: int, threads: int, is_here: bool) -> float:
    """Seconds of work that this process would do alone, when workers share it, with the time to start them.

    A process that competes for the cores gets its share of them. What one measures of its own pace is with the others
    that run then, and more workers compete with each other too.

    Args:
        seconds: of the work, by the pace of this process now.
        workers: how many there are; one is this process.
        threads: of each.
        is_here: they run on this machine.

    Example:
        >>> in_parallel(10.0, workers=1, threads=1, is_here=True)
        10.0
        >>> in_parallel(10.0, workers=5, threads=1, is_here=False)
        10.0
    """
    if workers == 1:
        return seconds
    if not is_here:
        return START + seconds / workers
    others, cores = psutil.getloadavg()[0], os.cpu_count() or 1
    alone, together = (max(1.0, (others + count * threads) / cores) for count in (1, workers))
    return START * together + seconds / workers * together / alone


REPORT = 20_000_000
"""About the bytes of a report and its figures, at most."""


def check_room(folder: Place, stored: float) -> None:
    """Whether a disk has room for what a run is going to store; what is there already counts as stored.

    Args:
        folder: where the run stores, which need not exist; nothing is known of the room in an object store.
        stored: bytes of all arrays and weights of the run.

    Raises:
        InputError: it has not.

    Example:
        >>> check_room(Path("runs/study"), 1e18)
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: not enough disk: ... needs about 1,000,000,000,020 MB more, and ... MB are free: ...
    """
    if not isinstance(folder, Path):
        return
    there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    needed = max(0.0, stored - there) + REPORT
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise InputError(
            f"not enough disk: {folder} needs about {needed / 1e6:,.0f} MB more, and {free / 1e6:,.0f} MB are free: "
            "free some space, or give another disk with --out or --store"
        )
