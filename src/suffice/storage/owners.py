"""Who holds a lock, as the holder has written it, and as somebody else may have written it in its place."""

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

LONGEST = 10_000
"""Bytes of what an owner writes."""

Word = Annotated[str, Field(max_length=300)]


class Owner(TypedDict):
    """The process that holds a lock."""

    process: Annotated[int, Field(gt=0, lt=2**31)]
    host: Word
    since: Word


_OWNER = TypeAdapter(Owner)


def owner_in(held: bytes) -> Owner | None:
    """What an owner has written of itself; None where that is damaged.

    Example:
        >>> owner_in(b'{"process": 7, "host": "node1", "since": "noon"}')
        {'process': 7, 'host': 'node1', 'since': 'noon'}
        >>> owner_in(b'{"process": 1e400, "host": null}') is owner_in(b"[" * 9000) is None
        True
    """
    if len(held) > LONGEST:
        return None
    try:
        return _OWNER.validate_json(held, strict=True)
    except ValidationError:
        return None


def in_words(owner: Owner | None) -> str:
    """An owner, for a sentence.

    Example:
        >>> in_words({"process": 7, "host": "node1", "since": "noon"}), in_words(None)
        ('process 7 on node1 since noon', 'another process')
    """
    return "another process" if owner is None else "process {process} on {host} since {since}".format_map(owner)
