"""From labels as they are written to classes."""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int64

from suffice.data.order import are_whole, in_order
from suffice.errors import InputError, shortened
from suffice.numerals import PLAIN, Sign, decimal_sign, is_separated, number_of

MANY = 20
"""Distinct numbers up to which each may be a class."""

MISSING = frozenset({"nan", "NaN", "NAN", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaT", "None", "null", "NULL"})
"""What programs write where a value is missing."""

Codes = Int64[np.ndarray, " samples"]


def classes_of(
    codes: Codes, names: Sequence[str], source: str, order: Sequence[str] | None = None
) -> tuple[Codes, list[str]]:
    """Each distinct label as a class, see `suffice.data.order.in_order`.

    Args:
        codes: which of the names each sample has.
        names: the distinct labels, each of which some sample has.
        source: for messages.
        order: the names in the order of the source, if it has one.

    Raises:
        InputError: fewer than two classes, or as many as samples.

    Example:
        >>> classes_of(np.array([0, 1, 0]), ["dog", "cat"], "pets.csv")
        (array([1, 0, 1]), ['cat', 'dog'])
    """
    if len(names) < 2:
        raise InputError(f"{source}: the only label is {names[0][:50]!r}; at least two classes are needed")
    if len(names) == len(codes) > 2:
        raise InputError(
            f"{source}: all {len(codes):,} labels differ; if they are numbers, predict them with --task regression, or "
            "make two classes of them with --threshold; if not, give the column of labels with --label-column"
        )
    classes = in_order(names) if order is None else [name for name in order if name in set(names)]
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[name] for name in names], dtype=np.int64)[codes], classes


def refuse_many_numbers(names: Collection[str], samples: int, source: str) -> None:
    """Refuses labels that are quantities and not classes: many distinct numbers, with gaps or fractions.

    Raises:
        InputError: more than 20 distinct numbers that do not count from 0 or 1 on.

    Example:
        >>> refuse_many_numbers([str(number) for number in range(100)], 1000, "cifar100.csv")
        >>> refuse_many_numbers([f"{number / 7:.2f}" for number in range(100)], 1000, "scores.csv")
        Traceback (most recent call last):
        suffice.errors.InputError: scores.csv: the labels are 100 different numbers, 0 to 14.14: ...
    """
    if len(names) <= MANY:
        return
    sign = decimal_sign(names) or "."
    numbers = [number_of(name, sign) for name in names]
    if any(number is None for number in numbers):
        return
    if are_whole(names) and sorted(map(int, names)) in (list(range(len(names))), list(range(1, len(names) + 1))):
        return
    values = [number for number in numbers if number is not None]
    raise InputError(
        f"{source}: the labels are {len(names)} different numbers, {min(values):.6g} to {max(values):.6g}: to predict "
        "them give --task regression; for two classes give --threshold; if each is a class, list them with --classes"
    )


def sides_of(
    codes: Codes, names: Sequence[str], threshold: float, source: str, where: Callable[[int], str]
) -> tuple[Codes, list[str]]:
    """Two classes of labels that are numbers: below a threshold, and at least it.

    Args:
        codes: which of the names each sample has.
        names: the distinct labels.
        threshold: between the classes.
        source: for messages.
        where: says where a sample is.

    Raises:
        InputError: a label that is no number, or all on one side.
    """
    numbers = as_numbers(names, source)
    strange = np.isnan(numbers)[codes]
    if strange.any():
        first = int(strange.argmax())
        more = f", as are {strange.sum() - 1:,} more labels" if strange.sum() > 1 else ""
        name = names[codes[first]]
        remedy = "; write it without the percent sign" if name.endswith("%") else ""
        raise InputError(
            f"{where(first)}: the label {name[:50]!r} is no number{more}; --threshold needs numbers{remedy}"
        )
    labels = (numbers >= threshold).astype(np.int64)[codes]
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"{source}: all labels lie between {numbers.min():.15g} and {numbers.max():.15g}, on one side of "
            f"--threshold {threshold:.15g}; give one between them"
        )
    return labels, [f"< {threshold:.15g}", f">= {threshold:.15g}"]


def as_numbers(names: Sequence[str], source: str) -> Float64[np.ndarray, " names"]:
    """Labels as numbers, with the decimal sign of all of them; nan where one is no number, or a percentage.

    Raises:
        InputError: commas that could be decimal or separate thousands.

    Example:
        >>> as_numbers(["0,47", "2", "many"], "prices.csv").tolist()
        [0.47, 2.0, nan]
        >>> as_numbers(["1,200", "3,400"], "prices.csv")
        Traceback (most recent call last):
        suffice.errors.InputError: prices.csv: the labels, such as '1,200', could be 1.2 or 1200: write them with ...
    """
    sign = decimal_sign(names)
    if sign is None:
        example = next(name for name in names if number_of(name, ",") != number_of(name))
        raise InputError(
            f"{source}: the labels, such as {shortened(example)!r}, could be {number_of(example, ','):.15g} or "
            f"{number_of(example):.15g}: write them with a decimal point and without separators of thousands"
        )
    return np.array([math.nan if (found := _number(name, sign)) is None else found for name in names])


def about_numbers(names: Sequence[str]) -> list[str]:
    """What to say of labels that `as_numbers` reads otherwise than a computer writes them.

    Example:
        >>> about_numbers(["3", "0,47"]), about_numbers(["3", "0.47"])
        (["The labels have a decimal comma: '0,47' is read as 0.47."], [])
    """
    sign = decimal_sign(names) or "."
    example = next((name for name in names if is_separated(name, sign) and _number(name, sign) is not None), None)
    if example is None:
        return []
    how = "have a decimal comma" if sign == "," else "have separators of thousands"
    return [f"The labels {how}: {shortened(example)!r} is read as {number_of(example, sign):.15g}."]


def refuse_alike(counts: Mapping[str, int], source: str) -> None:
    """Refuses classes whose names look alike, by case, blanks or how Unicode writes them, or are the same number.

    Args:
        counts: the number of samples of each class.
        source: for messages.

    Raises:
        InputError: two such names.

    Example:
        >>> refuse_alike({"Cat": 3, "cat": 2, "dog": 4}, "pets.csv")
        Traceback (most recent call last):
        suffice.errors.InputError: pets.csv: the classes 'Cat' (3) and 'cat' (2) differ only by case or blanks: ...
        >>> refuse_alike({"1": 3, "1.0": 2}, "pets.csv")
        Traceback (most recent call last):
        suffice.errors.InputError: pets.csv: the classes '1' (3) and '1.0' (2) are the same number: write them ...
    """
    alike: dict[str | float, list[str]] = defaultdict(list)
    for name in counts:
        alike[_looks(name)].append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        how, quoted = _difference(twins[0])
        shown = " and ".join(f"{quoted(name)} ({counts[name]:,})" for name in twins[0])
        more = f", and {len(twins) - 1:,} more such groups" if len(twins) > 1 else ""
        raise InputError(
            f"{source}: the classes {shown} {how}{more}: write them alike if they are one, leave one out with "
            "--exclude, or list all that you mean with --classes"
        )


def plainly(text: str) -> str:
    """A text without what the eye does not see: one way to write accents, no characters without width, no outer blanks.

    It is in Unicode's normal form NFC (Unicode Standard Annex 15), without format characters (category Cf).

    Example:
        >>> plainly("cafe\u0301\u200b ") == "caf\u00e9"
        True
    """
    if text.isascii():
        return text.strip()
    seen = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFC", seen).strip()


def look_of(text: str) -> str:
    """What a text has in common with those that differ from it only by case or blanks, or by how Unicode writes them.

    Example:
        >>> look_of("A  Good\\tfilm ") == look_of("a good film")
        True
    """
    return " ".join(plainly(text).split()).casefold()


def _looks(name: str) -> str | float:
    plain = plainly(name)
    if PLAIN.fullmatch(plain) and "e" not in plain.lower():
        number = number_of(plain)
        return plain if number is None or abs(number) >= EXACT else number
    return "".join(plain.split()).casefold()


EXACT = 2.0**53
"""From here on two whole numbers may be the same float."""


def _difference(names: Sequence[str]) -> tuple[str, Callable[[str], str]]:
    """What names that look alike differ by, and how to show it."""
    plain = [plainly(name) for name in names]
    if isinstance(_looks(names[0]), float):
        return "are the same number", lambda name: repr(shortened(name))
    if len(set(plain)) == len(plain):
        return "differ only by case or blanks", lambda name: repr(shortened(name))
    return "differ only in how Unicode writes them (NFC and NFD) or by characters without width", lambda name: ascii(
        shortened(name)
    )


def _number(name: str, sign: Sign) -> float | None:
    return None if name.rstrip().endswith("%") else number_of(name, sign)


def counts_of(codes: Codes, names: Sequence[str]) -> Counter[str]:
    """The number of samples of each class."""
    return Counter(dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True)))
