"""What is read and written as a file is one, and what is read as JSON is that, whoever filled the folder."""

import errno
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from suffice.errors import InputError

LARGEST = 2**28
"""Bytes of a file of JSON: those of suffice are far smaller."""


def read_regular(file: Path, largest: int | None = None) -> bytes:
    """What a file holds; a pipe, a device or a socket, which might be waited for without end, is not read.

    Args:
        file: or a link to one.
        largest: bytes that it may have.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read, is no file, or is larger.

    Example:
        >>> import tempfile
        >>> pipe = Path(tempfile.mkdtemp()) / "result.json"
        >>> os.mkfifo(pipe)
        >>> read_regular(pipe)
        Traceback (most recent call last):
        ...
        OSError: [Errno 22] not a regular file: '...result.json'
    """
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        if largest is not None and found.st_size > largest:
            raise OSError(errno.EFBIG, f"longer than {largest:,} bytes", str(file))
        with open(handle, "rb", closefd=False) as held:  # of a handle
            return held.read()
    finally:
        os.close(handle)


def json_in(held: bytes) -> Any:
    """The value that bytes of JSON stand for, however hostile they are.

    Raises:
        ValueError: they are none, or are nested too deep.

    Example:
        >>> json_in(b'{"rows": 3}')
        {'rows': 3}
        >>> json_in(b"[" * 100_000)
        Traceback (most recent call last):
        ...
        ValueError: lists or mappings are nested too deep
    """
    try:
        return json.loads(held)
    except RecursionError as error:
        raise ValueError("lists or mappings are nested too deep") from error


def check_kinds(folder: Path, files: Iterable[str], folders: Iterable[str]) -> None:
    """Whether names in a folder are free, or of what is going to be there.

    Args:
        folder: of all names.
        files: names of files.
        folders: names of folders.

    Raises:
        InputError: a folder or a pipe has the name of a file, or something else that of a folder.

    Example:
        >>> import tempfile
        >>> run = Path(tempfile.mkdtemp())
        >>> (run / "result.json").mkdir()
        >>> check_kinds(run, ["result.json"], ["cells"])
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: .../result.json is no file, and suffice writes one of that name: move it away
    """
    for name in files:
        if (folder / name).exists() and not (folder / name).is_file():
            raise InputError(f"{folder / name} is no file, and suffice writes one of that name: move it away")
    for name in folders:
        if (folder / name).exists() and not (folder / name).is_dir():
            raise InputError(f"{folder / name} is no folder, and suffice makes one of that name: move it away")
