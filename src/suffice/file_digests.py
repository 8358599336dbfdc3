"""Hashes of files, which are computed again only where a file may have changed."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from suffice.digest import ALGORITHM, SIZE, digest
from suffice.errors import InputError
from suffice.regular import json_in
from suffice.storage import read_sealed, write_sealed

YOUNG = 2_000_000_000
"""Nanoseconds: a file that changed so shortly before it was hashed may have changed again with the same time stamp."""

Entry: TypeAlias = tuple[list[int], int, str]
"""Size, times and inode of a file, when it was hashed, and its hash."""


def digests_of_files(files: Sequence[Path]) -> list[str]:
    """The BLAKE2b hash of each file's bytes, as ``blake2b:`` and 32 hexadecimal digits.

    The hashes are kept in a cache (``$SUFFICE_CACHE``, by default ``~/.cache/suffice``), one file for each common
    folder. One is taken from there if the file has the size, the times of modification and of change, and the inode
    that it had, and was older than `YOUNG` when it was hashed.

    Args:
        files: to hash.

    Raises:
        InputError: a file that is missing or cannot be read.

    Source: the rule for young files is Git's, see "racy-git" in its technical documentation.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "one.txt"
        >>> _ = file.write_bytes(b"one")
        >>> before = digests_of_files([file])
        >>> _ = file.write_bytes(b"two")
        >>> digests_of_files([file]) == before
        False
    """
    paths = [os.path.abspath(file) for file in files]
    if not paths:
        return []
    cache = _cache_file(paths)
    known = _read(cache)
    found: dict[str, Entry] = {}
    for path in paths:
        try:
            found[path] = _entry(path, known.get(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); replace or remove it") from error
    settled = {path: entry for path, entry in found.items() if _is_settled(entry)}
    if any(known.get(path) != entry for path, entry in settled.items()):
        _write(cache, known | settled)
    return [found[path][2] for path in paths]


def digest_of_bytes(held: bytes) -> str:
    """What `digests_of_files` gives for a file that holds these bytes.

    Example:
        >>> digest_of_bytes(b"one")
        'blake2b:c88d4df74262143a08e9d190e3bd67f1'
    """
    return f"{ALGORITHM}:{hashlib.blake2b(held, digest_size=SIZE).hexdigest()}"


def _entry(path: str, known: Entry | None) -> Entry:
    """What was known, if it holds still; else the file is hashed."""
    if known is not None and known[0] == _stamp(path) and _is_settled(known):
        return known
    begun = time.time_ns()
    before = _stamp(path)
    with Path(path).open("rb") as stream:
        hasher = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=SIZE))
    # a file that changed meanwhile is as young as can be
    return before, begun if before == _stamp(path) else 0, f"{ALGORITHM}:{hasher.hexdigest()}"


def _is_settled(entry: Entry) -> bool:
    """Whether another time stamp tells of any change since the file was hashed."""
    stamp, begun, _ = entry
    return max(stamp[1:3]) + YOUNG < begun


def _stamp(path: str) -> list[int]:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _cache_file(paths: Sequence[str]) -> Path:
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    home = os.environ.get("SUFFICE_CACHE") or Path.home() / ".cache" / "suffice"
    return Path(home) / "digests" / f"{digest(root).removeprefix(f'{ALGORITHM}:')}.sealed"


def _read(cache: Path) -> dict[str, Entry]:
    """What is kept, or nothing where it is damaged: a cache may be lost."""
    try:
        return {path: (stamp, begun, held) for path, (stamp, begun, held) in json_in(read_sealed(cache)).items()}
    except (InputError, ValueError, TypeError, AttributeError):
        return {}


def _write(cache: Path, entries: Mapping[str, Entry]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(cache, json.dumps(entries).encode())
    except OSError:  # the next run hashes them again
        pass
