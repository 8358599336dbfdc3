"""Pieces of a result, each kept in a file as soon as it is computed, so that a run that is interrupted goes on."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, final

from pydantic import TypeAdapter, ValidationError

from suffice.digest import digest, is_digest
from suffice.errors import InputError, InputWarning
from suffice.storage.places import Place, StoreError, read_bytes, read_json
from suffice.storage.writing import atomic_write

T = TypeVar("T")


@final
class Pieces:
    """JSON files of a folder or of a place in a store, one a piece, with what it was computed from and a hash.

    The hash is of the file's name too, so that one piece is not taken for another.

    A piece may have further files, such as weights. They are written first, and the JSON file keeps their hashes, so
    that a piece is whole or counts as missing. A piece that is damaged is warned of by name, and counts as missing; one
    of another identity counts as missing too.

    Args:
        folder: is made when the first piece is written.
        identity: hash of all that decides the pieces.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "pieces"
        >>> Pieces(folder, "these weights").get("sizes", TypeAdapter(list[int]), lambda: [1, 2])
        [1, 2]
        >>> Pieces(folder, "these weights").get("sizes", TypeAdapter(list[int]), lambda: [9, 9])
        [1, 2]
        >>> Pieces(folder, "other weights").get("sizes", TypeAdapter(list[int]), lambda: [9, 9])
        [9, 9]
    """

    def __init__(self, folder: Place, identity: str) -> None:
        self._folder, self._identity = folder, identity

    def has(self, name: str) -> bool:
        """Whether a piece is there, of the same identity and undamaged, with all its files."""
        try:
            self.read(name)
            return True
        except FileNotFoundError:
            return False
        except StoreError:
            raise
        except InputError as error:
            warnings.warn(InputWarning(f"{error}: it is computed again", event="damaged"), stacklevel=2)
            return False

    def read(self, name: str) -> Any:
        """The content of a piece.

        Raises:
            FileNotFoundError: it is not there, or of another identity.
            InputError: it is damaged; names the file.
        """
        stored = self._stored(name)
        for suffix, expected in stored["files"].items():
            _checked(self._file(name, suffix), expected)
        return stored["content"]

    def file(self, name: str, suffix: str) -> bytes:
        """What a further file of a piece holds.

        Raises:
            FileNotFoundError: the piece is not there, or of another identity, or has no such file.
            InputError: it is damaged; names the file.
        """
        stored = self._stored(name)
        if suffix not in stored["files"]:
            raise FileNotFoundError(self._file(name, suffix))
        return _checked(self._file(name, suffix), stored["files"][suffix])

    def write(self, name: str, content: Any, files: Mapping[str, bytes] | None = None) -> None:
        """Stores a piece; the file that marks it as complete is written last.

        In a store, a whole piece that another run has put there in the meantime stays: the times in it may differ.

        Args:
            name: of the piece and its files.
            content: JSON values.
            files: what its further files hold, by their suffixes, such as ".npy".
        """
        if isinstance(self._folder, Path):
            self._folder.mkdir(parents=True, exist_ok=True)
        elif self.has(name):
            return
        for suffix, held in (files or {}).items():
            with atomic_write(self._file(name, suffix)) as stream:
                stream.write(held)
        file, hashes = self._file(name), {suffix: digest(held) for suffix, held in (files or {}).items()}
        marked = {"identity": self._identity, "files": hashes, "content": content}
        with atomic_write(file) as stream:
            stream.write(json.dumps(marked | {"checksum": _checksum(file, marked)}).encode())

    def get(self, name: str, kind: TypeAdapter[T], compute: Callable[[], T]) -> T:
        """The piece that is there, or else the one that is computed now and kept.

        Args:
            name: of the piece and its file.
            kind: its type, to and from JSON.
            compute: gives it.
        """
        if self.has(name):
            try:
                return kind.validate_python(self.read(name))
            except ValidationError:  # of another version
                pass
        content = json.loads(json.dumps(kind.dump_python(compute(), mode="json")))
        self.write(name, content)
        return kind.validate_python(content)

    def _stored(self, name: str) -> dict[str, Any]:
        stored = read_piece(self._file(name))
        if stored["identity"] != self._identity:
            raise FileNotFoundError(self._file(name))
        return stored

    def _file(self, name: str, suffix: str = ".json") -> Place:
        return self._folder / f"{name}{suffix}"


def read_piece(file: Place) -> dict[str, Any]:
    """The identity, the content and the hashes of the further files of a piece, from its JSON file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged, or stood under another name; names it.
    """
    try:
        stored = read_json(file)
        if stored["checksum"] == _checksum(file, stored) and _are_hashes(stored["files"]):
            return dict(stored)
    except (FileNotFoundError, StoreError):
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    raise InputError(f"{file} is damaged (its checksum does not match)")


def _checksum(file: Place, stored: Mapping[str, Any]) -> str:
    return digest(file.name, stored["identity"], stored["files"], stored["content"])


def _are_hashes(files: Any) -> bool:
    """Whether these are the hashes of files beside a piece, by their suffixes."""
    return isinstance(files, dict) and all(is_digest(held) and "/" not in suffix for suffix, held in files.items())


def faults_of_piece(file: Place) -> list[str]:
    """What is wrong with a piece, and with its further files.

    Args:
        file: its JSON file.
    """
    try:
        stored = read_piece(file)
    except StoreError:
        raise
    except InputError as error:
        return [str(error)]
    found = []
    for suffix, expected in stored["files"].items():
        try:
            _checked(file.with_name(file.name.removesuffix(".json") + suffix), expected)
        except StoreError:
            raise
        except InputError as error:
            found.append(str(error))
    return found


def _checked(file: Place, expected: str) -> bytes:
    try:
        held = read_bytes(file)
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from error
    if digest(held) != expected:
        raise InputError(f"{file} is damaged (its checksum does not match)")
    return held
