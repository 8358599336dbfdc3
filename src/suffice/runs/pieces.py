"""Parts of a result, each kept in a file as soon as it is measured, so that a run that is interrupted goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, final

from pydantic import TypeAdapter, ValidationError

from suffice.digest import digest
from suffice.storage import atomic_write

T = TypeVar("T")


@final
class Pieces:
    """Files of a folder, one for each part, marked with what they were measured on and with a hash of their content.

    Args:
        folder: is made when the first part is written.
        identity: hash of what all parts are measured on; a part of something else is measured again.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "parts"
        >>> Pieces(folder, "these weights").get("sizes", TypeAdapter(list[int]), lambda: [1, 2])
        [1, 2]
        >>> Pieces(folder, "these weights").get("sizes", TypeAdapter(list[int]), lambda: [9, 9])
        [1, 2]
        >>> Pieces(folder, "other weights").get("sizes", TypeAdapter(list[int]), lambda: [9, 9])
        [9, 9]
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder, self._identity = folder, identity

    def has(self, name: str) -> bool:
        """Whether a part is there, of the same thing and undamaged."""
        return self._content(name) is not None

    def get(self, name: str, kind: TypeAdapter[T], measure: Callable[[], T]) -> T:
        """The part in the file, or else the one that is measured now and kept.

        Args:
            name: of the part and its file.
            kind: its type, to and from JSON.
            measure: measures it.
        """
        content = self._content(name)
        if content is not None:
            try:
                return kind.validate_python(content)
            except ValidationError:  # of another version
                pass
        content = kind.dump_python(measure(), mode="json")
        self._folder.mkdir(parents=True, exist_ok=True)
        marked = {"identity": self._identity, "hash": digest(content), "content": content}
        with atomic_write(self._file(name)) as file:
            file.write(json.dumps(marked).encode())
        return kind.validate_python(json.loads(json.dumps(content)))

    def _content(self, name: str) -> Any:
        try:
            stored = json.loads(self._file(name).read_bytes())
            is_whole = stored["identity"] == self._identity and stored["hash"] == digest(stored["content"])
        except (OSError, ValueError, KeyError, TypeError):  # absent or damaged
            return None
        return stored["content"] if is_whole else None

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"
