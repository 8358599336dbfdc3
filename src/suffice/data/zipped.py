"""Guard: files that would fill the memory when they are unpacked."""

import zipfile
from pathlib import Path

import psutil

from suffice.errors import InputError

LARGEST_RATIO = 200
"""Times that a file may grow; real tables and images grow up to about 20 times."""

SMALL = 100 << 20
"""Bytes that may be unpacked from any file."""


def refuse_bomb(path: Path) -> None:
    """Refuses a zip archive, such as .xlsx or .npz, that is broken or would unpack to far more than it holds.

    Raises:
        InputError: such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: not a file of its kind ({error})") from error
    refuse_growth(path, unpacked)


def refuse_growth(path: Path, unpacked: int) -> None:
    """Refuses a file that says that it unpacks to so many bytes, where no real data do.

    Raises:
        InputError: such a file.
    """
    held = path.stat().st_size
    if unpacked > SMALL and unpacked > LARGEST_RATIO * held:
        raise InputError(
            f"{path}: would unpack to {unpacked / 1e9:.1f} GB from {held / 1e6:.1f} MB, which no real data do; give a "
            "file that you trust, unpacked"
        )


def refuse_memory(path: Path, needed: int) -> None:
    """Refuses data that do not fit into the free memory.

    Raises:
        InputError: they do not.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{path}: its arrays take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; give fewer "
            "samples"
        )
