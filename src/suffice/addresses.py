"""Where a store is, as a person writes it: the path of a folder, or a URL."""

import re
from pathlib import Path

from suffice.errors import InputError

LOCAL = frozenset({"file", "local"})
"""Protocols of folders on this machine."""


def split_url(where: str) -> tuple[str, str]:
    """The protocol of a URL, in small letters, and what follows ``://``; of a path, nothing and the path.

    Raises:
        InputError: a URL without its ``//``.

    Example:
        >>> split_url("S3://bucket/Runs"), split_url("runs/store")
        (('s3', 'bucket/Runs'), ('', 'runs/store'))
        >>> split_url("s3:/bucket")
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: s3:/bucket: write the URL of a store as s3://bucket
    """
    protocol, is_url, rest = where.partition("://")
    if is_url:
        return protocol.lower(), rest
    if slip := re.match(r"([a-z][a-z0-9]+):/*(?=\w)", where, re.IGNORECASE):
        known = slip[1].lower()
        root = "/" if known in LOCAL else ""
        raise InputError(f"{where}: write the URL of a store as {known}://{root}{where[slip.end() :]}")
    return "", where


def folder_of_url(where: str) -> Path:
    """The folder that a URL of this machine names; one without a third slash counts from the folder of now.

    Raises:
        InputError: it names none.

    Example:
        >>> folder_of_url("file:///data/store").as_posix(), folder_of_url("file://localhost/data/store").as_posix()
        ('/data/store', '/data/store')
        >>> folder_of_url("file://store") == Path("store").absolute()
        True
    """
    _, rest = split_url(where)
    path = re.sub(r"^localhost(?=/|$)", "", rest, flags=re.IGNORECASE)
    if not path.strip("/"):
        raise InputError(f"{where}: names no folder: give its path, or file:///FOLDER")
    return Path(path).absolute()


def absolute(where: str) -> str:
    """The same place, named so that a process in another folder finds it.

    Raises:
        InputError: a URL that names no folder, or without its ``//``.

    Example:
        >>> absolute("/data/store"), absolute("FILE:///data/store"), absolute("MEMORY://store/Runs")
        ('/data/store', '/data/store', 'memory://store/Runs')
    """
    protocol, rest = split_url(where)
    if protocol in LOCAL:
        return str(folder_of_url(where))
    return f"{protocol}://{rest}" if protocol else str(Path(rest).absolute())
