"""Numbers as people write them: with a decimal comma, separators of thousands, or a percent sign."""

import math
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

Sign: TypeAlias = Literal[".", ","]
"""The decimal sign of a column."""

LONGEST = 400
"""Characters of a number; the largest float has 309 digits."""

GAPS = "\u0020\u00a0\u202f\u2009'\u2019_"
"""What separates thousands and nothing else: blanks, apostrophes, and the underscore of programming languages."""

APART = re.compile(rf"[-+]?\d{{1,3}}(?:([{GAPS}])\d{{3}})(?:\1\d{{3}})*(?:[.,]\d*)?", re.ASCII)
IN_THOUSANDS = {sign: re.compile(rf"[-+]?[1-9]\d{{0,2}}(?:[{sign}]\d{{3}})+", re.ASCII) for sign in ".,"}
PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
SIGNS: tuple[Sign, ...] = (".", ",")
OTHER: dict[Sign, Sign] = {".": ",", ",": "."}


def number_of(text: str, decimal: Sign = ".") -> float | None:
    """The finite number that a text is, or None.

    Thousands may be separated by the sign that is not the decimal one, by blanks or by apostrophes. A percent sign
    divides by 100.

    Args:
        text: one number, blanks around it are left out.
        decimal: the decimal sign, see `decimal_sign`.

    Example:
        >>> number_of(" 1e-3"), number_of("90%"), number_of("1,250.5"), number_of("nan")
        (0.001, 0.9, 1250.5, None)
        >>> number_of("0,47", ","), number_of("1.250,5", ","), number_of("0,47")
        (0.47, 1250.5, None)
    """
    plain = text.strip()
    if len(plain) > LONGEST:
        return None
    share = plain.endswith("%")
    plain = _without_gaps(plain.removesuffix("%").rstrip())
    whole, sign, part = plain.partition(decimal)
    if OTHER[decimal] in whole and IN_THOUSANDS[OTHER[decimal]].fullmatch(whole):
        plain = f"{whole.replace(OTHER[decimal], '')}{sign}{part}"
    if decimal == ",":
        if "." in plain:
            return None
        plain = plain.replace(",", ".")
    if PLAIN.fullmatch(plain) is None:
        return None
    number = float(plain) / (100 if share else 1)
    return number if math.isfinite(number) else None


def decimal_sign(words: Iterable[str], are_counts: bool = False, beside: Sign = ".") -> Sign | None:
    """The decimal sign of a column of numbers; None where it could be either.

    It is the sign by which all are numbers. Where both signs fit, every separator stands before three digits: a point
    is then decimal, a comma either. In a column of counts a comma then separates thousands, and a point is either,
    unless the columns beside it have a decimal comma.

    Args:
        words: as they are written; what is no number does not count.
        are_counts: whole numbers, such as sizes.
        beside: the decimal sign of other columns of the same table.

    Example:
        >>> decimal_sign(["0,47", "12"]), decimal_sign(["0.47", "1,200"]), decimal_sign(["1,200", "3,400"])
        (',', '.', None)
        >>> decimal_sign(["500", "1,000"], are_counts=True), decimal_sign(["500", "1.000"], are_counts=True)
        ('.', None)
        >>> decimal_sign(["500", "1.000"], are_counts=True, beside=",")
        ','
    """
    separated = [word for word in words if "," in word or "." in word]
    if not are_counts and not any("," in word or word.count(".") > 1 for word in separated):
        return "."
    numbers = [word for word in separated if any(number_of(word, sign) is not None for sign in SIGNS)]
    fits = [sign for sign in SIGNS if all(number_of(word, sign) is not None for word in numbers)]
    if numbers and len(fits) == len(SIGNS):
        return _either({sign for sign in SIGNS if any(sign in word for word in numbers)}, are_counts, beside)
    return fits[0] if fits else "."


def is_separated(word: str, decimal: Sign) -> bool:
    """Whether a number is not as a computer writes it: it has a decimal comma, separated thousands or a percent sign.

    Example:
        >>> is_separated("0,5", ","), is_separated("1.000", ","), is_separated("1000.5", ".")
        (True, True, False)
    """
    number = number_of(word, decimal)
    return number is not None and (PLAIN.fullmatch(word.strip()) is None or float(word) != number)


def _either(signs: set[Sign], are_counts: bool, beside: Sign) -> Sign | None:
    """Where every separator stands before three digits, or some number has the one sign and some the other."""
    if len(signs) > 1:
        return None
    (sign,) = signs
    if not are_counts:
        return "." if sign == "." else None
    # a count has no decimals: the sign separates thousands if that is not the decimal sign of the table
    return beside if sign != beside else None


def _without_gaps(text: str) -> str:
    found = APART.fullmatch(text)
    return text.replace(found[1], "") if found else text
