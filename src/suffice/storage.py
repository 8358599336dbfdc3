"""Arrays on disk in row shards: streamed, resumable, replaced atomically."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import zarr
from jaxtyping import Float
from zarr.storage import LocalStore, MemoryStore

from suffice.errors import InputError

METADATA = "zarr.json"
"""Zarr's own file, which makes a folder an array."""

PARTIAL = "*.suffice-partial"
"""What a killed process may leave of a file that it was writing."""


class RowShards:
    """An array (rows, columns) of floating point numbers that is filled shard by shard, and knows which shards it has.

    On disk it is a Zarr array with one chunk a shard; each chunk is written to a file of its own and renamed, so a
    killed process leaves whole shards only. NaN stands for "not there yet", so no value may be NaN.

    Example:
        >>> shards = RowShards.resume(None, shape=(3, 2), shard_rows=2, identity={})
        >>> shards.missing()
        [slice(0, 2, None), slice(2, 3, None)]
        >>> shards.write(slice(0, 2), np.ones((2, 2)))
        >>> shards.missing()
        [slice(2, 3, None)]
    """

    def __init__(self, array: "zarr.Array[Any]", is_empty: bool) -> None:
        self._array = array
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
        """An array as it was left, or a new one.

        Args:
            path: a folder, or None to stay in memory.
            shape: (rows, columns).
            shard_rows: rows of a shard.
            identity: what the values are made from, as JSON values.
            dtype: of the values.

        Raises:
            InputError: the folder holds an array of another identity or shape.
        """
        if path is None or not (path / METADATA).exists():
            array = zarr.create_array(
                MemoryStore() if path is None else LocalStore(path),
                shape=shape,
                chunks=(shard_rows, shape[1]),
                dtype=dtype,
                fill_value=np.nan,
                compressors=None,
                attributes=dict(identity),
            )
            return cls(array, is_empty=True)
        shards = cls.open(path)
        differing = [key for key, value in identity.items() if shards.identity.get(key) != value]
        if shards._array.shape != shape or shards._array.chunks[0] != shard_rows:
            differing.append("shape")
        if differing:
            raise InputError(f"{path} holds another array (different {', '.join(differing)}): give another folder")
        return shards

    @classmethod
    def open(cls, path: Path) -> "RowShards":
        """The array that lies in a folder.

        Raises:
            InputError: none lies there.
        """
        if not (path / METADATA).exists():
            raise InputError(f"{path}: no stored array")
        try:
            return cls(zarr.open_array(LocalStore(path), mode="r+"), is_empty=False)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a stored array of suffice: remove it") from error

    @property
    def identity(self) -> dict[str, Any]:
        """What the values were made from."""
        return dict(self._array.attrs)

    def shards(self) -> list[slice]:
        """The rows of each shard, in order."""
        rows, length = self._array.shape[0], self._array.chunks[0]
        return [slice(start, min(start + length, rows)) for start in range(0, rows, length)]

    def missing(self) -> list[slice]:
        """The shards that are not written yet."""
        if self._is_empty:
            return self.shards()
        return [rows for rows in self.shards() if np.isnan(self.read(rows)).any()]

    def read(self, rows: slice = slice(None)) -> Float[np.ndarray, "rows columns"]:
        """Some rows; those that are not written yet are NaN."""
        return np.asarray(self._array[rows])

    def write(self, rows: slice, values: Float[np.ndarray, "rows columns"]) -> None:
        """Stores one shard, whole."""
        self._is_empty = False
        self._array[rows] = values


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when it is complete and not before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=PARTIAL[1:])
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
