"""What a result says, as plain values: the answer in sentences, a table, and figures; and how its numbers are read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from suffice.report.answers.words import in_words, share_in_words
from suffice.report.figures.figure import Figure, Surfaces
from suffice.results import interval_in_words

Cell: TypeAlias = float | str | bool | None
"""Of a table; what is not known is None or NaN."""

UNKNOWN = "not known"
"""Of a cell that has no value."""


@dataclass(frozen=True)
class Column:
    """One quantity, with a value in each row, and with the ends of its intervals if it has some.

    ``unit`` is "%" for shares, which are given from 0 to 1; probabilities are read as "below 1%" and so on. An interval
    that has a lower end alone has no upper one.
    """

    name: str
    values: Sequence[Cell]
    low: Sequence[Cell] | None = None
    high: Sequence[Cell] | None = None
    unit: str = ""
    is_probability: bool = False

    @property
    def label(self) -> str:
        """The name with the unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def is_text(self) -> bool:
        """Whether the values are words."""
        return any(isinstance(value, str | bool) for value in self.values)

    def words(self, row: int) -> str:
        """The value for people.

        Example:
            >>> share = Column("accuracy", [0.786, math.nan], unit="%")
            >>> share.words(0), share.words(1), Column("samples", [1500]).words(0), Column("loss", [0.51239]).words(0)
            ('78.6%', 'not known', '1,500', '0.512')
        """
        value = self.values[row]
        if self.is_probability and isinstance(value, float):
            return share_in_words(value)
        return _words(value, self.unit)

    def interval_words(self, row: int) -> str:
        """The interval for people.

        Example:
            >>> Column("samples", [740], low=[560], high=[None]).interval_words(0)
            '560 or more, no upper end'
            >>> Column("accuracy", [0.8], low=[0.75], high=[0.84], unit="%").interval_words(0)
            '75.0% to 84.0%'
        """
        low, high = (None if ends is None else ends[row] for ends in (self.low, self.high))
        if not _is_known(low):
            return UNKNOWN
        if isinstance(low, int) and (high is None or isinstance(high, int)):
            return interval_in_words(low, high)
        return f"{_words(low, self.unit)} to {_words(high, self.unit)}"


@dataclass(frozen=True)
class View:
    """A result as people see it.

    Attributes:
        answer: sentences, the answer first.
        columns: of the table, each with as many rows.
        draw: makes the figures, the one that shows the answer first; not called unless one is drawn.
        notes: sentences below the table: findings, doubts, notes on the inputs.
        shown: rows that people see of a long table; evenly spread ones where it is empty.
        cells: makes the columns of the data frame, where these are more than people would read.
    """

    answer: Sequence[str]
    columns: Sequence[Column]
    draw: Callable[[], Sequence[Figure | Surfaces]]
    notes: Sequence[str] = field(default=())
    shown: Sequence[int] = field(default=())
    cells: Callable[[], Sequence[Column]] | None = None

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.columns[0].values)


def _is_known(value: Cell) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _words(value: Cell, unit: str) -> str:
    if value is None or not _is_known(value):
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit == "%":
        return in_words("accuracy", value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
