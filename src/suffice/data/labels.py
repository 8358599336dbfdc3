"""From labels as they are written to classes."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from suffice.data.order import are_whole, in_order
from suffice.errors import InputError

MANY = 20
"""Distinct numbers up to which each may be a class."""

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
    numbers = [number_of(name) for name in names]
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
    numbers = np.array([math.nan if (number := number_of(name)) is None else number for name in names])
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


def refuse_alike(counts: Mapping[str, int], source: str) -> None:
    """Refuses classes whose names differ only by case or blanks.

    Args:
        counts: the number of samples of each class.
        source: for messages.

    Raises:
        InputError: two such names.

    Example:
        >>> refuse_alike({"Cat": 3, "cat": 2, "dog": 4}, "pets.csv")
        Traceback (most recent call last):
        suffice.errors.InputError: pets.csv: the classes 'Cat' (3) and 'cat' (2) differ only by case or blanks: ...
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        alike["".join(name.split()).casefold()].append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        shown = " and ".join(f"{name[:50]!r} ({counts[name]:,})" for name in twins[0])
        more = f", and {len(twins) - 1:,} more such groups" if len(twins) > 1 else ""
        raise InputError(
            f"{source}: the classes {shown} differ only by case or blanks{more}: write them alike if they are one, "
            "leave one out with --exclude, or list all that you mean with --classes"
        )


def number_of(text: str) -> float | None:
    """The finite number that a text is, or None.

    Example:
        >>> number_of(" 1e-3"), number_of("50%"), number_of("nan")
        (0.001, None, None)
    """
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def counts_of(codes: Codes, names: Sequence[str]) -> Counter[str]:
    """The number of samples of each class."""
    return Counter(dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True)))
