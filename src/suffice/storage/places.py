"""Where things are kept: a local folder, or a place in an object store that a URL names."""

import re
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from upath import UPath

from suffice.addresses import LOCAL, folder_of_url, split_url
from suffice.errors import InputError, InputWarning, reason
from suffice.regular import LARGEST, json_in, read_regular

Place: TypeAlias = Path | UPath
"""A path on this machine, or in a store; both are joined by ``/``."""

S3: dict[str, Any] = {
    "use_listings_cache": False,  # others write too
    # each of the five tries of s3fs; an endpoint that is gone or mute is said within a minute
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 0}},
}

OPTIONS = {"s3": S3, "s3a": S3}
"""How to open the file systems of some protocols."""

PATIENCE, SLOWEST = 30.0, 1e6
"""Seconds within which a store must answer, and bytes a second that it must take; some clients would wait for ever."""

EXTRAS = {"s3": "suffice[s3]", "s3a": "suffice[s3]"}
"""What to install for some protocols."""

READ_ONLY = frozenset({"http", "https", "data", "reference", "zip", "tar", "libarchive", "git", "github", "hf"})
"""Protocols of which nothing can be a store."""

AT_ONCE = 16
"""Objects that are read or removed at a time."""

WITHOUT_FOLDERS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")
"""Protocols of stores whose outermost folder, the bucket, is never made by suffice."""


class StoreError(InputError):
    """A store does not answer, or refuses; nothing is known of what it holds."""


def place(where: str | Place) -> Place:
    """A folder by its path, or a place in a store by its URL.

    Args:
        where: a path, or a URL of any protocol that fsspec knows, such as ``s3://bucket/folder``. Credentials are taken
            from the environment and the files that the protocol's own tools read. The path of a ``file://`` URL is made
            absolute.

    Raises:
        InputError: a URL of an unknown protocol, of one whose package is not installed or that cannot be a store, or
            with a password.
        StoreError: a server that is asked at once does not answer.

    Example:
        >>> place("runs/store").as_posix(), place("file:///data/store").as_posix()
        ('runs/store', '/data/store')
        >>> place("memory://store/ledger").name
        'ledger'
        >>> place("s4://bucket")
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: s4://bucket: no protocol "s4" is known: give a folder, s3://BUCKET/FOLDER, or ...
    """
    if not isinstance(where, str):
        return where
    protocol, rest = split_url(where)
    if not protocol:
        return Path(where)
    if protocol in LOCAL:
        return folder_of_url(where)
    where = f"{protocol}://{rest}"
    if protocol in READ_ONLY or "::" in where:
        raise InputError(
            f"{where}: nothing can be written there as to a store: give a folder, s3://BUCKET/FOLDER, or another of "
            "fsspec's URLs"
        )
    if ":" in rest.partition("/")[0].rpartition("@")[0]:
        raise InputError(
            f"{protocol}://…: a password in the URL of a store would be written to config.yaml: give credentials by "
            "the environment"
        )
    if sign := re.search(r"[?#]", rest):
        raise InputError(
            f'{where}: some stores take what follows "{sign[0]}" for the version of an object: give a URL without it'
        )
    if not rest.strip("/"):
        raise InputError(f"{where}: names no bucket: give {protocol}://BUCKET/FOLDER")
    try:
        found: UPath = UPath(where.rstrip("/"), **OPTIONS.get(protocol, {}))
        _ = found.fs
    except ImportError as error:
        named = EXTRAS.get(protocol)
        what = f"pip install '{named}'" if named else f"install what it needs ({reason(error)})"
        raise InputError(f"{where}: the package for {protocol}:// is not installed: {what}") from error
    except ValueError as error:
        raise InputError(
            f'{where}: no protocol "{protocol}" is known: give a folder, s3://BUCKET/FOLDER, or another URL of fsspec'
        ) from error
    except Exception as error:  # each file system has its own, and some ask a server at once
        raise StoreError(f"{where} {_refusal(error)}") from error
    return found


def exists(file: Place) -> bool:
    """Whether there is such a file.

    Raises:
        StoreError: the store does not say.
    """
    if isinstance(file, Path):
        return file.exists()
    with _answers(file):
        try:
            file.fs.info(file.path, **_soon(file))
        except FileNotFoundError:
            return False
    return True


def read_bytes(file: Place) -> bytes:
    """What a file holds.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is on this machine and cannot be read.
        StoreError: the store does not give it.
    """
    if isinstance(file, Path):
        return read_regular(file)
    with _answers(file):
        return bytes(file.fs.cat_file(file.path))


def modified(file: UPath) -> datetime | None:
    """When an object was written, by the clock of its store; None where that does not say.

    Raises:
        FileNotFoundError: there is none.
        StoreError: the store does not answer.
    """
    with _answers(file):
        try:
            written: datetime = file.fs.modified(file.path)
        except NotImplementedError:
            return None
    return written if written.tzinfo is not None else None


def named(where: Place) -> str:
    """What `place` takes for the same place, from any folder: an absolute path, or the URL.

    Example:
        >>> named(Path("exp:1/run")) == str(Path.cwd() / "exp:1" / "run")
        True
        >>> named(place("memory://store/ledger"))
        'memory://store/ledger'
    """
    return str(where.absolute() if isinstance(where, Path) else where)


def read_json(file: Place) -> Any:
    """The value in a file of JSON.

    Raises:
        ValueError: it is none.
        OSError: as of `read_bytes`, or it is longer than any of suffice.
        StoreError: the store does not give it.
    """
    return json_in(read_regular(file, LARGEST) if isinstance(file, Path) else read_bytes(file))


def names_in(folder: Place) -> list[str]:
    """The names of the files in a folder, in order; none where there is no folder.

    Raises:
        StoreError: the store does not list them.
    """
    if isinstance(folder, Path):
        return sorted(file.name for file in folder.glob("*"))
    with _answers(folder):
        try:
            listed = folder.fs.ls(folder.path, detail=False, **_soon(folder))
        except FileNotFoundError:
            return []
    return sorted(str(name).rpartition("/")[2] for name in listed)


def files_within(folder: Place, name: str) -> list[Place]:
    """The files of a name in a folder and all folders inside, in order."""
    if isinstance(folder, Path):
        return sorted(folder.rglob(name))
    with _answers(folder):
        try:
            listed = folder.fs.find(folder.path)
        except FileNotFoundError:
            return []
    inner = [str(path)[len(folder.path.rstrip("/")) + 1 :] for path in listed]
    return [folder / path for path in sorted(inner) if path.rpartition("/")[2] == name]


def count_files(place: Place) -> dict[str, int]:
    """How many files the folders in a place hold, at any depth; hidden ones do not count, nor files beside folders.

    Raises:
        StoreError: the store does not list them.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "ledger").mkdir()
        >>> _ = (folder / "ledger" / "index.npy").write_bytes(b"")
        >>> count_files(folder)
        {'ledger': 1}
    """
    if isinstance(place, Path):
        paths = [path.relative_to(place).as_posix() for path in place.glob("*/**/*") if path.is_file()]
    else:
        with _answers(place):
            try:
                found = place.fs.find(place.path)
            except FileNotFoundError:
                return {}
        paths = [str(path)[len(place.path.rstrip("/")) + 1 :] for path in found]
    parts = [path.split("/") for path in paths]
    return dict(Counter(path[0] for path in parts if len(path) > 1 and not any(part.startswith(".") for part in path)))


def create(file: UPath, held: bytes) -> None:
    """Writes an object of a store, if there is none of its name: in S3 by a conditional put, ``If-None-Match: *``.

    Raises:
        FileExistsError: there is one.
        NotImplementedError: the store cannot do that.
        StoreError: it refuses.
    """
    with _answers(file):
        try:
            _sent(file, held, mode="create")
        except StoreError:
            raise
        except (TypeError, ValueError) as error:
            raise NotImplementedError(str(error)) from error


def replace(file: UPath, held: bytes) -> None:
    """Writes an object of a store, in the place of one that is there.

    Raises:
        StoreError: the store refuses.
    """
    with _answers(file):
        _sent(file, held)


def put(file: UPath, held: bytes) -> None:
    """Writes an object of a store once: an equal one is left as it is, and another is replaced, of which is warned.

    Raises:
        StoreError: the store refuses.

    Example:
        >>> file = place("memory://of-put/one")
        >>> put(file, b"losses")
        >>> put(file, b"losses")
        >>> read_bytes(file)
        b'losses'
    """
    try:
        create(file, held)
        return
    except NotImplementedError:
        if not exists(file):
            replace(file, held)
            return
    except FileExistsError:
        pass
    if read_bytes(file) != held:
        replace(file, held)
        warnings.warn(
            f"{file} was damaged, or written by another kind of machine: it is replaced", InputWarning, stacklevel=2
        )


def remove(file: UPath) -> None:
    """Removes an object, or all in a folder, by their exact names; nothing happens where there is none.

    What removes by patterns in fsspec would take a name such as ``run[1]`` for that of others.
    """

    def remove_one(path: str) -> None:
        with _answers(file), suppress(FileNotFoundError):
            file.fs.rm_file(path)

    with _answers(file):
        try:
            found = file.fs.find(file.path)
        except FileNotFoundError:
            return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        deque(pool.map(remove_one, map(str, found)), maxlen=0)


def _sent(file: UPath, held: bytes, **how: str) -> None:
    within = _soon(file, len(held))
    try:
        file.fs.pipe_file(file.path, held, **how, **within)
    except FileNotFoundError as error:
        if file.protocol in WITHOUT_FOLDERS:
            raise StoreError(
                f"{file} cannot be written, as there is no such bucket ({reason(error)}): make it, or give another"
            ) from error
        file.fs.makedirs(file.fs._parent(file.path), exist_ok=True)
        file.fs.pipe_file(file.path, held, **how, **within)


def _soon(file: UPath, count: int = 0) -> dict[str, float]:
    """How long to wait for a request with so many bytes, where the file system takes that."""
    return {"timeout": PATIENCE + count / SLOWEST} if file.fs.async_impl else {}


@contextmanager
def _answers(file: UPath) -> Iterator[None]:
    """Says in one line what a store refuses, and what to do."""
    try:
        yield
    except (FileExistsError, FileNotFoundError, NotImplementedError, InputError):
        raise
    except Exception as error:
        raise StoreError(f"{file} {_refusal(error)}") from error


def _refusal(error: Exception) -> str:
    """What is the matter, and what to do; packages for stores, which need not be installed, are known by names."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, PermissionError):
        return f"may not be read or written ({reason(error)}): give credentials that may, or another store"
    if kinds & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}:
        return (
            f"needs credentials ({reason(error)}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for "
            "one of ~/.aws"
        )
    if isinstance(error, (ConnectionError, TimeoutError)) or kinds & {"HTTPClientError", "EndpointConnectionError"}:
        return f"does not answer ({reason(error)}): see to the network, and to AWS_ENDPOINT_URL if the store is not AWS"
    return f"cannot be used ({reason(error)}): see to it, and run the same command again"
