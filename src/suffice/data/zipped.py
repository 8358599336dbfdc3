"""Guard: archives that would fill the memory."""

import zipfile
from pathlib import Path

from suffice.errors import InputError

LARGEST_RATIO = 200
"""Times that a file may grow; real tables and images grow up to about 20 times."""

SMALL = 100 << 20
"""Bytes that may be unpacked from any archive."""


def refuse_bomb(path: Path) -> None:
    """Refuses a zip archive, such as .xlsx or .npz, that is broken or would unpack to far more than it holds.

    Raises:
        InputError: such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        size = path.stat().st_size
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: not a file of its kind ({error})") from error
    if unpacked > SMALL and unpacked > LARGEST_RATIO * size:
        raise InputError(
            f"{path}: would unpack to {unpacked / 1e9:.1f} GB from {size / 1e6:.1f} MB, which no real data do; give a "
            "file that you trust, unpacked"
        )
