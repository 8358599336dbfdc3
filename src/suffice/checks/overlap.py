"""Guard: test samples are not among the training samples, by content."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from suffice.checks.registry import OVERLAP, Finding
from suffice.digest import digest_of_input


def check_apart(known: Iterable[Any], others: Iterable[Any], name: Callable[[int], str]) -> None:
    """Stops where test samples are among the training samples.

    Args:
        known: training samples.
        others: test samples.
        name: what to call a test sample in the message, by its index.

    Raises:
        InputError: SUF012.

    Example:
        >>> check_apart([("good", 1), ("bad", 0)], [("fair", 1), ("bad", 1)], lambda index: f"row {index}")
        Traceback (most recent call last):
        suffice.errors.InputError: SUF012: 1 of the test samples is among the training samples: row 1. Remove ...
    """
    twice = repeated(known, others)
    if twice:
        some = f"{len(twice):,} of the test samples are" if len(twice) > 1 else "1 of the test samples is"
        first = f"{name(twice[0])}" if len(twice) == 1 else f"the first is {name(twice[0])}"
        what = f"{some} among the training samples: {first}"
        Finding(OVERLAP, what, "Remove the copies, their test loss is too low").report()


def repeated(known: Iterable[Any], others: Iterable[Any]) -> list[int]:
    """Indices of the others that are among the known samples by content, whatever their labels.

    Args:
        known: items of a data set: ``(x, y)``, dictionaries with "labels", images or texts.
        others: the same.

    Example:
        >>> repeated([("good", 1), ("bad", 0)], [("fair", 1), ("bad", 1)])
        [1]
    """
    seen = {digest_of_input(_input(item)) for item in known}
    return [index for index, item in enumerate(others) if digest_of_input(_input(item)) in seen]


def copies_of(items: Iterable[Any]) -> Int64[np.ndarray, " items"]:
    """The group of each item: items with the same content, whatever their labels, have the same number from 0 on.

    Args:
        items: of a data set: ``(x, y)``, dictionaries with "labels", images or texts.

    Example:
        >>> copies_of([("good", 1), ("bad", 0), ("good", 0)])
        array([0, 1, 0])
    """
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(digest_of_input(_input(item)), len(numbers)) for item in items], dtype=np.int64)


def _input(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {key: value for key, value in item.items() if key != "labels"}
    return item[0] if isinstance(item, tuple | list) and len(item) == 2 else item
