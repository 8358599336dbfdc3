"""Files that are whole or absent, arrays in checksummed shards, and folders with one writer."""

import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import zarr
from filelock import FileLock, Timeout
from jaxtyping import Float
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore, MemoryStore

from suffice.digest import digest, is_digest
from suffice.errors import InputError

METADATA, CHUNKS = "zarr.json", "c"
"""Zarr's file that describes an array, and its folder of chunks."""

CHECKSUM = "checksum"
"""The attribute with the hash of all else in the metadata."""

PARTIAL = ".suffice-partial"
"""The suffix of a file while `atomic_write` writes it."""

LEFTOVER = re.compile(rf".*{re.escape(PARTIAL)}|.*\.[0-9a-f]{{32}}\.partial", re.DOTALL)
"""What a killed process may leave: files of `atomic_write`, and chunks of Zarr."""

LOCK, OWNER = ".suffice-lock", ".suffice-owner"
"""In a folder that `locked` has locked before: the file with the lock, and the one that says who holds it."""

GRACE = 1.0
"""Seconds that a lock is waited for: the workers of a killed run take a moment to end."""

SHOWN = 60
"""Characters of a value that a message shows."""


class RowShards:
    """An array (rows, columns) of floating point numbers that is filled shard by shard, and knows which shards it has.

    On disk it is a Zarr array with one chunk a shard. Each chunk has a checksum (CRC-32C) and is written to a file of
    its own that is then renamed, so a killed process leaves whole shards only. A shard whose file is damaged counts as
    missing. The metadata have a checksum too. NaN stands for a missing shard, so no value may be NaN.

    Source: Zarr v3, codec "crc32c"; CRC-32C is defined in RFC 3720, section 12.1.

    Example:
        >>> shards = RowShards.resume(None, shape=(3, 2), shard_rows=2, identity={})
        >>> shards.missing()
        [slice(0, 2, None), slice(2, 3, None)]
        >>> shards.write(slice(0, 2), np.ones((2, 2)))
        >>> shards.missing()
        [slice(2, 3, None)]
    """

    def __init__(self, array: "zarr.Array[Any]", folder: Path | None, is_empty: bool) -> None:
        self._array = array
        self._folder = folder
        self._is_empty = is_empty

    @classmethod
    def resume(
        cls,
        path: Path | None,
        shape: tuple[int, int],
        shard_rows: int,
        identity: Mapping[str, Any],
        dtype: Literal["float64", "float32"] = "float64",
    ) -> "RowShards":
        """The array in a folder, or a new one where there is none.

        Args:
            path: a folder, or None to stay in memory.
            shape: (rows, columns).
            shard_rows: rows of a shard.
            identity: what the values are computed from, as JSON values; contents as a `suffice.digest.digest`.
            dtype: of the values.

        Raises:
            InputError: the folder holds an array of another identity, shape or type, or damaged metadata.
        """
        if path is None or not (path / METADATA).exists():
            return cls._create(path, shape, shard_rows, identity, dtype)
        shards = cls.open(path)
        array = shards._array
        layout = {"shape": list(shape), "shard_rows": shard_rows, "dtype": dtype}
        stored = {"shape": list(array.shape), "shard_rows": array.chunks[0], "dtype": str(array.dtype)}
        differing = differences(stored | shards.identity, layout | json.loads(json.dumps(identity)))
        if differing:
            raise InputError(f"{path} was computed with other settings ({'; '.join(differing)}): give another folder")
        return shards

    @classmethod
    def _create(
        cls, path: Path | None, shape: tuple[int, int], shard_rows: int, identity: Mapping[str, Any], dtype: str
    ) -> "RowShards":
        array = zarr.create_array(
            MemoryStore(),
            shape=shape,
            chunks=(shard_rows, shape[1]),
            dtype=dtype,
            fill_value=np.nan,
            compressors=Crc32cCodec(),
            attributes=dict(identity),
        )
        if path is None:
            return cls(array, path, is_empty=True)
        # chunks without metadata are what an interrupted removal leaves: nobody knows what they were computed from
        shutil.rmtree(path / CHUNKS, ignore_errors=True)
        metadata = json.loads(json.dumps(array.metadata.to_dict()))
        metadata["attributes"][CHECKSUM] = digest(metadata)
        path.mkdir(parents=True, exist_ok=True)
        with atomic_write(path / METADATA) as file:
            file.write(json.dumps(metadata, indent=2).encode())
        return cls(zarr.open_array(LocalStore(path), mode="r+"), path, is_empty=True)

    @classmethod
    def open(cls, path: Path) -> "RowShards":
        """The array in a folder.

        Raises:
            InputError: there is none, or its metadata are damaged or have no checksum.
        """
        file = path / METADATA
        if not file.exists():
            raise InputError(f"{path}: no stored array")
        try:
            metadata = json.loads(file.read_bytes())
            checksum = metadata["attributes"].pop(CHECKSUM)
            if checksum != digest(metadata):
                raise ValueError(CHECKSUM)
            array = zarr.open_array(LocalStore(path), mode="r+")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise InputError(
                f"{file} is damaged, or was written by another version of suffice: remove {path} to compute it again"
            ) from error
        return cls(array, path, is_empty=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What the values were computed from."""
        return {key: value for key, value in self._array.attrs.items() if key != CHECKSUM}

    def shards(self) -> list[slice]:
        """The rows of each shard, in order."""
        rows, length = self._array.shape[0], self._array.chunks[0]
        return [slice(start, min(start + length, rows)) for start in range(0, rows, length)]

    def missing(self) -> list[slice]:
        """The shards that are not written yet, or whose files are damaged."""
        return [rows for rows in self.shards() if self._is_empty or self._fault(rows) is not None]

    def read(self, rows: slice = slice(None)) -> Float[np.ndarray, "rows columns"]:
        """Some rows.

        Raises:
            InputError: a shard of them is missing or damaged; names its file.
        """
        try:
            values = np.asarray(self._array[rows])
            is_whole = not np.isnan(values).any()
        except (ValueError, OSError):
            is_whole = False
        if not is_whole:
            chosen = range(*rows.indices(self._array.shape[0]))
            touched = [shard for shard in self.shards() if shard.start < chosen.stop and shard.stop > chosen.start]
            shard, fault = next((shard, fault) for shard in touched if (fault := self._fault(shard)) is not None)
            raise InputError(
                f"{self._name(shard)} {fault}: repeat the run or the call that writes it, which computes only what is "
                "missing"
            )
        return values

    def write(self, rows: slice, values: Float[np.ndarray, "rows columns"]) -> None:
        """Stores one shard, whole.

        Raises:
            InputError: a value is NaN, or the file cannot be written.
        """
        if np.isnan(values).any():
            raise InputError(f"{self._name(rows)}: a value is NaN, which cannot be stored")
        self._is_empty = False
        try:
            self._array[rows] = values
        except OSError as error:
            raise InputError(f"{self._name(rows)} cannot be written ({error.strerror})") from error

    def _fault(self, rows: slice) -> str | None:
        """What is wrong with a shard, if anything is."""
        try:
            return "is missing" if np.isnan(self._array[rows]).any() else None
        except ValueError:
            return "is damaged (its checksum does not match)"
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def _name(self, rows: slice) -> str:
        """Where a shard is stored, for messages."""
        if self._folder is None:
            return f"the shard of rows {rows.start} to {rows.stop - 1}"
        return str(self._folder / self._array.metadata.encode_chunk_key((rows.start // self._array.chunks[0], 0)))


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two sets of settings, in words; long values and hashes of contents are not shown.

    Example:
        >>> differences({"samples": 300, "probes": {"radius": 0.1}}, {"samples": 500, "probes": {"radius": 0.1}})
        ['samples: 300, now 500']
        >>> differences({"probes": {"radius": 0.1}}, {"probes": {"radius": 0.2}, "weights": digest("weights")})
        ['probes.radius: 0.1, now 0.2', 'weights: changed']
    """
    found = []
    for key in [*now, *(key for key in stored if key not in now)]:
        before, after = stored.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += [f"{key}.{difference}" for difference in differences(before, after)]
        elif any(is_digest(value) or len(_shown(value)) > SHOWN for value in (before, after)):
            found.append(f"{key}: changed")
        else:
            found.append(f"{key}: {_shown(before)}, now {_shown(after)}")
    return found


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "not set" if value is None else str(value)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder if there is none, and keeps every other process and thread from locking it in the meantime.

    What killed processes left of unfinished files is removed, but not from folders inside that have locks of their own.
    The operating system drops the lock of a process that ends, however it ends.

    Args:
        folder: to be written to by this thread, and by processes that it starts and waits for.

    Raises:
        InputError: another process or thread has locked it, or it cannot be written to.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder):
        ...     with locked(folder):
        ...         pass
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: ... is in use by process ... on ... since ...: wait until it ends, or ...
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=GRACE)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{folder} is in use by {_holder(folder)}: wait until it ends, or give another folder"
        ) from error
    except OSError as error:
        raise InputError(f"{folder} cannot be written to ({error.strerror}): give another folder") from error
    owner = folder / OWNER
    try:
        since = datetime.now().astimezone().isoformat(" ", timespec="seconds")
        owner.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
        _remove_leftovers(folder)
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_bytes())
        return f"process {owner['process']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, LookupError, TypeError):  # it has locked the folder, and not yet said so
        return "another process"


def _remove_leftovers(folder: Path) -> None:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not Path(parent, name, LOCK).exists()]
        for name in files:
            if LEFTOVER.fullmatch(name):
                Path(parent, name).unlink(missing_ok=True)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when it is complete, and survives a power cut from then on.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "result.json"
        >>> with atomic_write(file) as stream:
        ...     _ = stream.write(b"{}")
        >>> file.read_bytes()
        b'{}'
    """
    partial = path.with_name(f".{path.name}-{secrets.token_hex(8)}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in a folder durable, where the system knows how to; the content of the file is safe without."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
