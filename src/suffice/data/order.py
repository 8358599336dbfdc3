"""The order of classes."""

from collections.abc import Collection

LONGEST = 100
"""Digits of a number; more are a text."""


def in_order(names: Collection[str]) -> list[str]:
    """The names of classes in the order of the alphabet, or of size where all are whole numbers.

    So "2" comes before "10", as in the checkpoints that number their classes.

    Example:
        >>> in_order(["10", "9", "-1"]), in_order(["10", "9", "x"])
        (['-1', '9', '10'], ['10', '9', 'x'])
    """
    return sorted(names, key=lambda name: (int(name), name)) if are_whole(names) else sorted(names)


def are_whole(names: Collection[str]) -> bool:
    """Whether all names are whole numbers.

    Example:
        >>> are_whole(["10", "-1"]), are_whole(["10", "1.5"]), are_whole(["9" * 5000])
        (True, False, False)
    """
    return all(name.isascii() and name.removeprefix("-").isdecimal() and len(name) <= LONGEST for name in names)
