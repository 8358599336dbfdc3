"""How values of several settings are given: limits, lists at commas, names of methods."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from suffice.errors import InputError

LARGEST_SIDE = 4_096
"""Pixels: an image of this side takes 200 MB as numbers."""

MOST = 100_000
"""Of what takes memory or time for each: probes, points, draws, widths."""

Item = TypeVar("Item")


def distinct(values: list[Item]) -> list[Item]:
    """The values, each of which is there once.

    Raises:
        PydanticCustomError: one is there twice.

    Example:
        >>> distinct(["head", "full"])
        ['head', 'full']
    """
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "each may be named once")
    return values


Distinct = Annotated[list[Item], Field(min_length=1), AfterValidator(distinct)]
"""At least one value, each once."""

Number = TypeVar("Number", int, float)


def positive(values: list[Number] | None) -> list[Number] | None:
    """The values, which are there and above 0; None is for the default.

    Raises:
        ValueError: there is none, or one is 0 or less.

    Example:
        >>> positive([50, 100])
        [50, 100]
    """
    if values is not None and (not values or min(values) <= 0):
        raise ValueError("give positive numbers")
    return values


def refuse_booleans(names: Any) -> None:
    """Refuses the truth values that YAML makes of some words.

    Raises:
        InputError: one is in a list of names; says to put them in quotes.

    Example:
        >>> refuse_booleans([True, "maybe"])
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: YAML reads no, yes, on, off, true and false as truth values: put them in quotes
    """
    if isinstance(names, list) and any(isinstance(name, bool) for name in names):
        raise InputError("YAML reads no, yes, on, off, true and false as truth values: put them in quotes")


def at_commas(value: Any) -> Any:
    """A list from one value, or from words with commas between them.

    Example:
        >>> at_commas("100, 200"), at_commas(["a,b", "c"]), at_commas(3)
        (['100', '200'], ['a', 'b', 'c'], [3])
    """
    values = [value] if isinstance(value, (str, int, float)) else value
    if not isinstance(values, list):
        return value
    return [part.strip() if isinstance(part, str) else part for item in values for part in _parts(item)]


def _parts(item: Any) -> list[Any]:
    return item.split(",") if isinstance(item, str) else [item]


def in_one_spelling(name: str) -> str:
    """A method without blanks; full is also called all.

    Example:
        >>> in_one_spelling("lora( 4 )"), in_one_spelling("all")
        ('lora(4)', 'full')
    """
    plain = "".join(name.split())
    return "full" if plain == "all" else plain


def methods_at_commas(names: str) -> list[str]:
    """Methods between which commas stand; those within parentheses belong to a method.

    Example:
        >>> methods_at_commas("head, lora(4,8)")
        ['head', 'lora(4,8)']
    """
    return [in_one_spelling(name) for name in re.split(r",(?![^()]*\))", names)]
