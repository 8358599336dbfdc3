"""Files that are whole or absent."""

import errno
import io
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from suffice.storage.places import Place, put

PARTIAL = ".suffice-partial"
"""The suffix of a file while `atomic_write` writes it."""

LEFTOVER = re.compile(rf".*{re.escape(PARTIAL)}|.*\.[0-9a-f]{{32}}\.partial", re.DOTALL)
"""What a killed process may leave: files of `atomic_write`, and chunks of Zarr."""


@contextmanager
def atomic_write(path: Place) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when it is complete, and survives a power cut from then on.

    In a store it is put once, see `suffice.storage.places.put`.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "result.json"
        >>> with atomic_write(file) as stream:
        ...     _ = stream.write(b"{}")
        >>> file.read_bytes()
        b'{}'
    """
    if not isinstance(path, Path):
        held = io.BytesIO()
        yield held
        put(path, held.getvalue())
        return
    partial = path.with_name(f".{path.name}-{secrets.token_hex(8)}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder has the name of a file of suffice: move it away", str(path))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(file: Path) -> None:
    """Makes a file that was written and renamed by others durable."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder durable, where the system knows how to; the content of the file is safe without."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
