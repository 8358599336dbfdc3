"""Arrays on disk in shards, each with a checksum."""

import asyncio
import json
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import zarr
from jaxtyping import Float
from upath import UPath
from zarr.abc.store import ByteRequest
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore

from suffice.digest import digest
from suffice.errors import InputError, InputWarning
from suffice.software import deciding
from suffice.storage.differences import differences
from suffice.storage.places import (
    AT_ONCE,
    Place,
    StoreError,
    create,
    exists,
    files_within,
    put,
    read_bytes,
    read_json,
    remove,
)
from suffice.storage.writing import atomic_write, sync_file

METADATA, CHUNKS = "zarr.json", "c"
"""Zarr's file that describes an array, and its folder of chunks."""

CHECKSUM, SOFTWARE = "checksum", "software"
"""The attributes with the hash of all else in the metadata, and with the versions that wrote the array."""

Dtype: TypeAlias = Literal["float64", "float32"]

MISSING = "is missing"
"""What is wrong with a shard that was not written yet."""


class DamagedArrayError(InputError):
    """What describes a stored array is damaged, so nobody knows what its values are of."""


class RowShards:
    """An array (rows, columns) of floating point numbers that is filled shard by shard, and knows which shards it has.

    On disk it is a Zarr array with one chunk a shard. Each chunk has a checksum (CRC-32C) and is written to a file of
    its own that is then renamed, so a killed process leaves whole shards only; in a store, it is put once. A shard
    whose file is damaged counts as missing. The metadata have a checksum too. NaN stands for a missing shard, so no
    value may be NaN.

    Source: Zarr v3, codec "crc32c"; CRC-32C is defined in RFC 3720, section 12.1.

    Example:
        >>> shards = RowShards.resume(None, shape=(3, 2), shard_rows=2, identity={})
        >>> shards.missing()
        [slice(0, 2, None), slice(2, 3, None)]
        >>> shards.write(slice(0, 2), np.ones((2, 2)))
        >>> shards.missing()
        [slice(2, 3, None)]
    """

    def __init__(self, array: "zarr.Array[Any]", folder: Place | None, is_empty: bool) -> None:
        self._array = array
        self._folder = folder
        self._is_empty = is_empty

    @classmethod
    def resume(
        cls,
        path: Place | None,
        shape: tuple[int, int],
        shard_rows: int,
        identity: Mapping[str, Any],
        dtype: Dtype = "float64",
    ) -> "RowShards":
        """The array in a folder, or a new one where there is none or its metadata are damaged, which is warned of.

        Args:
            path: a folder, a place in a store, or None to stay in memory.
            shape: (rows, columns).
            shard_rows: rows of a shard.
            identity: what the values are computed from, as JSON values; contents as a `suffice.digest.digest`.
            dtype: of the values.

        Raises:
            InputError: the folder holds an array of another identity, shape or type, or one that other versions of the
                software computed.
        """
        if path is None or not exists(path / METADATA):
            return cls._create(path, shape, shard_rows, identity, dtype)
        try:
            shards = cls.open(path)
        except DamagedArrayError as error:
            warnings.warn(InputWarning(str(error), event="damaged"), stacklevel=2)
            if not isinstance(path, Path):
                remove(path)
            return cls._create(path, shape, shard_rows, identity, dtype)
        array = shards._array
        layout = {"shape": list(shape), "shard_rows": shard_rows, "dtype": dtype}
        stored = {"shape": list(array.shape), "shard_rows": array.chunks[0], "dtype": str(array.dtype)}
        software = {SOFTWARE: array.attrs.get(SOFTWARE)}
        differing = differences(
            stored | shards.identity | software, layout | json.loads(json.dumps(identity)) | {SOFTWARE: deciding()}
        )
        if differing:
            raise InputError(f"{path} was computed with other settings ({'; '.join(differing)}): give another folder")
        return shards

    @classmethod
    def _create(
        cls, path: Place | None, shape: tuple[int, int], shard_rows: int, identity: Mapping[str, Any], dtype: Dtype
    ) -> "RowShards":
        array = zarr.create_array(
            MemoryStore(),
            shape=shape,
            chunks=(shard_rows, shape[1]),
            dtype=dtype,
            fill_value=np.nan,
            compressors=Crc32cCodec(),
            attributes=dict(identity) | {SOFTWARE: deciding()},
        )
        if path is None:
            return cls(array, path, is_empty=True)
        metadata = json.loads(json.dumps(array.metadata.to_dict()))
        metadata["attributes"][CHECKSUM] = digest(metadata)
        held = json.dumps(metadata, indent=2).encode()
        # chunks without metadata are what an interrupted removal leaves: nobody knows what they were computed from
        if isinstance(path, Path):
            shutil.rmtree(path / CHUNKS, ignore_errors=True)
            path.mkdir(parents=True, exist_ok=True)
            with atomic_write(path / METADATA) as file:
                file.write(held)
        else:
            try:
                create(path / METADATA, held)
            except FileExistsError:  # another run has begun it in the meantime
                return cls.resume(path, shape, shard_rows, identity, dtype)
            except NotImplementedError:
                put(path / METADATA, held)
            else:
                remove(path / CHUNKS)
        return cls(_opened(path), path, is_empty=True)

    @classmethod
    def open(cls, path: Place) -> "RowShards":
        """The array in a folder.

        Raises:
            DamagedArrayError: its metadata are damaged.
            InputError: there is none, or its metadata have no checksum.
        """
        file = path / METADATA
        if not exists(file):
            raise InputError(f"{path}: no stored array")
        damaged = DamagedArrayError(
            f"{file} is damaged (its checksum does not match): the run or the call that writes it begins the array anew"
        )
        try:
            metadata = read_json(file)
            if not isinstance(metadata, dict):
                raise damaged
        except (DamagedArrayError, StoreError):
            raise
        except ValueError as error:
            raise damaged from error
        except OSError as error:
            raise InputError(
                f"{file} cannot be read ({error.strerror}): move {path} away to compute it again"
            ) from error
        try:
            checksum = metadata["attributes"].pop(CHECKSUM)
            if checksum != digest(metadata):
                raise damaged
            array = _opened(path)
        except (DamagedArrayError, StoreError):
            raise
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise InputError(
                f"{file} is damaged, or was written by another version of suffice: remove {path} to compute it again"
            ) from error
        return cls(array, path, is_empty=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What the values were computed from."""
        return {key: value for key, value in self._array.attrs.items() if key not in (CHECKSUM, SOFTWARE)}

    @property
    def bytes(self) -> int:
        """What the values of all shards take."""
        return int(self._array.nbytes)

    def shards(self) -> list[slice]:
        """The rows of each shard, in order."""
        rows, length = self._array.shape[0], self._array.chunks[0]
        return [slice(start, min(start + length, rows)) for start in range(0, rows, length)]

    def missing(self) -> list[slice]:
        """The shards that are not written yet, or whose files are damaged; those are warned of by name."""
        if self._is_empty:
            return self.shards()
        faults = self._faults()
        for rows, fault in faults:
            if fault != MISSING:
                words = f"{self._name(rows)} {fault}: it is computed again"
                warnings.warn(InputWarning(words, event="damaged"), stacklevel=2)
        return [rows for rows, _ in faults]

    def written(self) -> int:
        """How many shards have a file, whole or damaged."""
        if self._folder is None or isinstance(self._folder, Path):
            return sum(Path(self._name(rows)).exists() for rows in self.shards())
        there = {str(file) for file in files_within(self._folder / CHUNKS, "0")}
        return sum(self._name(rows) in there for rows in self.shards())

    def damaged(self) -> list[str]:
        """The files of shards that are damaged, and how; those that are not written yet are not."""
        return [f"{self._name(rows)} {fault}" for rows, fault in self._faults() if fault != MISSING]

    def _faults(self) -> list[tuple[slice, str]]:
        """The shards that are not whole, and what is wrong with each."""
        if self._folder is None or isinstance(self._folder, Path):
            faults = [self._fault(rows) for rows in self.shards()]
        else:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                faults = list(pool.map(self._fault, self.shards()))
        return [(rows, fault) for rows, fault in zip(self.shards(), faults, strict=True) if fault is not None]

    def read(self, rows: slice = slice(None)) -> Float[np.ndarray, "rows columns"]:
        """Some rows.

        Raises:
            InputError: a shard of them is missing or damaged; names its file.
        """
        try:
            values = np.asarray(self._array[rows])
            is_whole = not np.isnan(values).any()
        except StoreError:
            raise
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
            if isinstance(self._folder, Path):
                sync_file(self._folder / self._key(rows))
        except OSError as error:
            raise InputError(f"{self._name(rows)} cannot be written ({error.strerror})") from error

    def _fault(self, rows: slice) -> str | None:
        """What is wrong with a shard, if anything is."""
        if isinstance(self._folder, Path) and not (self._folder / self._key(rows)).exists():
            return MISSING  # told much faster than by Zarr
        try:
            return MISSING if np.isnan(self._array[rows]).any() else None
        except StoreError:
            raise
        except ValueError:
            return "is damaged (its checksum does not match)"
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def _name(self, rows: slice) -> str:
        """Where a shard is stored, for messages."""
        if self._folder is None:
            return f"the shard of rows {rows.start} to {rows.stop - 1}"
        return str(self._folder / self._key(rows))

    def _key(self, rows: slice) -> str:
        """The name of a shard's file."""
        return str(self._array.metadata.encode_chunk_key((rows.start // self._array.chunks[0], 0)))


class _Files(LocalStore):
    """A folder as Zarr sees it, where pipes and devices are not read."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return await asyncio.to_thread(self._buffer, key, prototype)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return self._buffer(key, prototype)

    def _buffer(self, key: str, prototype: BufferPrototype | None) -> Buffer | None:
        try:
            held = read_bytes(self.root / key)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(held)


class _Objects(MemoryStore):
    """A place in a store as Zarr sees it: chunks and metadata are read there, and chunks are put there once."""

    def __init__(self, folder: UPath) -> None:
        super().__init__()
        self._objects = folder

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        try:
            held = await asyncio.to_thread(read_bytes, self._objects / key)
        except FileNotFoundError:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(held)

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        await asyncio.to_thread(put, self._objects / key, value.to_bytes())


def _opened(path: Place) -> "zarr.Array[Any]":
    return zarr.open_array(_Files(path) if isinstance(path, Path) else _Objects(path), mode="r+")
