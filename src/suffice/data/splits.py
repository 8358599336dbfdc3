"""Splits: the parts into which data come divided."""

from collections.abc import Mapping

TRAIN, VALIDATION, TEST = "train", "validation", "test"

NAMES: Mapping[str, str] = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
"""What folders, columns and data sets call a split, and its name here."""


def split_named(name: str) -> str | None:
    """The split that a word means, or None.

    Example:
        >>> split_named("Val"), split_named("cats")
        ('validation', None)
    """
    return NAMES.get(name.strip().lower())
