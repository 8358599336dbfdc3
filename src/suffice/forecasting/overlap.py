"""Samples that are among others, by content."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor


def repeated(known: Iterable[Any], others: Iterable[Any]) -> list[int]:
    """Places of the others that are among the known samples by content, whatever their labels.

    Args:
        known: items of a data set: ``(x, y)``, dictionaries with "labels", images or texts.
        others: the same.

    Example:
        >>> repeated([("good", 1), ("bad", 0)], [("fair", 1), ("bad", 1)])
        [1]
    """
    seen = {_content(_input(item)) for item in known}
    return [place for place, item in enumerate(others) if _content(_input(item)) in seen]


def _input(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {key: value for key, value in item.items() if key != "labels"}
    return item[0] if isinstance(item, tuple | list) and len(item) == 2 else item


def _content(item: Any) -> bytes:
    if isinstance(item, Tensor):
        item = item.detach().cpu().numpy()
    if isinstance(item, Mapping):
        return b"".join(_content(key) + _content(value) for key, value in sorted(item.items()))
    if isinstance(item, tuple | list):
        return b"".join(map(_content, item))
    content = np.ascontiguousarray(item).tobytes() if hasattr(item, "__array_interface__") else repr(item).encode()
    return hashlib.blake2b(content, digest_size=16).digest()
