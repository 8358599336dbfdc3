"""The label of a checkpoint for each class of the data."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from suffice.errors import InputError, nearest

LabelMap: TypeAlias = Mapping[str, str | int] | Sequence[str]
"""From class of the data to label of the checkpoint, by name or index; or a list of "class=label"."""

MINUS = "\N{MINUS SIGN}"
"""Stands for a hyphen that is a sign."""

LISTED = 6
"""Names shown in a message."""


@dataclass(frozen=True)
class Matching:
    """The result of `match_labels`.

    Attributes:
        labels: the checkpoint's label for each class; None if the names do not match one to one.
        fault: what does not match; None if all match, or if classes and labels may be matched in order.
        matches_some: at least one class matches a label.
    """

    labels: tuple[int, ...] | None
    fault: str | None
    matches_some: bool


def match_labels(classes: Sequence[str], names: Mapping[int, str], label_map: LabelMap | None = None) -> Matching:
    """Matches the classes of the data with the labels of a checkpoint by name.

    A class matches the label of the same name, or else the one whose name differs only in case, blanks, ``_`` or ``-``;
    minus signs of numbers and at the end of a name, as in A-, are significant. Numbers match by value. If there are as
    many labels as classes, the class k, a whole number, also matches LABEL_k.

    Names that do not match are a fault, unless no name matches and either all labels are of the form LABEL_0 or both
    sides are numbers: such classes and labels may be matched in order.

    Args:
        classes: names of the classes of the data.
        names: the checkpoint's name of each label.
        label_map: the label of classes whose names differ.

    Raises:
        InputError: ``label_map`` has an unknown class or label, has one label for two classes, or leaves out a class
            that no name matches.

    Example:
        >>> match_labels(["Negative", "Positive"], {0: "POSITIVE", 1: "NEGATIVE"}).labels
        (1, 0)
        >>> match_labels(["no", "yes"], {0: "NEGATIVE", 1: "POSITIVE"}, ["no=NEGATIVE", "yes=1"]).labels
        (0, 1)
        >>> match_labels(["no", "yes"], {0: "NEGATIVE", 1: "POSITIVE"}).fault
        "the checkpoint has no label 'no'; it has NEGATIVE, POSITIVE"
        >>> match_labels(["no", "yes"], {0: "LABEL_0", 1: "LABEL_1"}).fault is None
        True
    """
    labels = _Labels(names)
    found = {name: _label(label, labels) for name, label in read_label_map(classes, label_map).items()}
    faults: list[str] = []
    for name in classes:
        if name in found:
            continue
        likely = labels.likely(name)
        if not likely and len(classes) == len(names):
            likely = labels.numbered(name)
        if len(likely) == 1:
            found[name] = likely[0]
        elif likely:
            faults.append(f"{name!r} may be any of the labels {labels.listed(likely)}")
        else:
            faults.append(f"the checkpoint has no label {name!r}{_offer(name, names.values())}")
    classes_of: dict[int, str] = {}
    for name, label in found.items():
        twin = classes_of.setdefault(label, name)
        if twin != name:
            faults.append(f"the classes {twin!r} and {name!r} cannot both have the label {names[label]!r}")
    if not faults:
        return Matching(tuple(found[name] for name in classes), None, True)
    if label_map:
        raise InputError(f"label_map: {faults[0]}; give each class one label with --label-map CLASS=LABEL")
    are_numbers = all(map(_is_number, classes)) and all(map(_is_number, names.values()))
    are_in_order = not found and (are_numbers or all(map(_is_default, names.values())))
    return Matching(None, None if are_in_order else faults[0], bool(found))


class _Labels:
    """The labels of a checkpoint, found by name."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._plain: dict[str, list[int]] = defaultdict(list)
        for label, name in names.items():
            self._exact[name].append(label)
            self._plain[_plain(name)].append(label)

    def likely(self, name: str) -> list[int]:
        """Those of this name, else those whose names differ only in case, blanks, ``_`` or ``-``."""
        return self._exact.get(name) or self._plain.get(_plain(name), [])

    def numbered(self, name: str) -> list[int]:
        """LABEL_k, if the name is the whole number k."""
        number = _plain(name)
        return self._plain.get(f"label{number}", []) if number.isdecimal() else []

    def listed(self, labels: Iterable[int]) -> str:
        return _listed(self.names[label] for label in labels)


def read_label_map(classes: Sequence[str], label_map: LabelMap | None) -> dict[str, str | int]:
    """A label map as a dictionary.

    Raises:
        InputError: an unknown class, a class given twice, or an item of a list without an equals sign.

    Example:
        >>> read_label_map(["< 3", ">= 3"], [">= 3=POSITIVE"])
        {'>= 3': 'POSITIVE'}
    """
    items = label_map.items() if isinstance(label_map, Mapping) else (_pair(text, classes) for text in label_map or ())
    pairs: dict[str, str | int] = {}
    for name, label in items:
        if name not in classes:
            raise InputError(f"label_map: no class {name!r} in the data{_offer(name, classes)}")
        if name in pairs:
            raise InputError(f"label_map: the class {name!r} is given twice; give it one label")
        pairs[name] = label
    return pairs


def _pair(text: str, classes: Sequence[str]) -> tuple[str, str]:
    """The two sides of "class=label"; the left one is a class, as names may contain equals signs."""
    cuts = [cut.start() for cut in re.finditer("=", text)]
    if not cuts:
        raise InputError(f"label_map: {text!r} has no equals sign; write CLASS=LABEL, such as cat=LABEL_3")
    cut = next((cut for cut in reversed(cuts) if text[:cut].strip() in classes), cuts[0])
    return text[:cut].strip(), text[cut + 1 :].strip()


def _label(label: str | int, labels: _Labels) -> int:
    likely = labels.likely(label) if isinstance(label, str) else []
    if len(likely) > 1:
        raise InputError(f"label_map: {label!r} may be any of {labels.listed(likely)}; give its index")
    if likely:
        return likely[0]
    if not str(label).isdecimal() or int(label) not in labels.names:
        raise InputError(f"label_map: the checkpoint has no label {label!r}{_offer(str(label), labels.names.values())}")
    return int(label)


def _plain(name: str) -> str:
    """A name without case and separators; minus signs and separators between digits stay."""
    name = unicodedata.normalize("NFKC", name).casefold().strip()
    if _is_number(name):
        return format(Decimal(name).normalize(), "f")
    name = re.sub(r"(?<=[\s_])-(?=\d)|(?<=\w)-$|(?<=\s)-$", MINUS, name)
    return re.sub(r"(?<!\d)[\s_-]+|[\s_-]+(?!\d)", "", name)


def _is_default(name: str) -> bool:
    """Whether a name is the default of transformers, such as LABEL_0."""
    return re.fullmatch(r"label\d+", _plain(name)) is not None


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", name.strip()) is not None


def _offer(name: str, known: Iterable[str]) -> str:
    return nearest(name, list(known)) or f"; it has {_listed(known)}"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:LISTED]) + (", …" if len(shown) > LISTED else "")
