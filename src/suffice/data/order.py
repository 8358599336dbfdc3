"""The order of classes."""

from collections.abc import Collection


def in_order(names: Collection[str]) -> list[str]:
    """The names of classes in the order of the alphabet, or of size where all are whole numbers.

    So "2" comes before "10", as in the checkpoints that number their classes.

    Example:
        >>> in_order(["10", "9", "-1"]), in_order(["10", "9", "x"])
        (['-1', '9', '10'], ['10', '9', 'x'])
    """
    are_whole = all(name.isascii() and name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name) if are_whole else 0, name))
