"""The trainings of a study as a table, and what there is to say of those that diverged."""

import csv
import io
from collections.abc import Sequence
from typing import Any, TypeVar

from suffice.results import Cell, LanguageCell
from suffice.results.value import Value

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What begins a formula."""

GIVEN = ("configuration", "versions")
"""What a result repeats."""

Of = TypeVar("Of", bound=Value)


def table_of(cells: Sequence[Value]) -> str:
    """A row for each training as CSV; missing values are empty.

    Args:
        cells: at least one, all of one type.
    """
    table = io.StringIO()
    # quoted, as a carriage return in a name would end the row
    writer = csv.DictWriter(table, list(type(cells[0]).model_fields), lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({name: _as_cell(value) for name, value in cell.model_dump().items()} for cell in cells)
    return table.getvalue()


def _as_cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula has a quote before it, as OWASP recommends."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def with_six_digits(result: Of) -> Of:
    """The result with numbers of six digits, since it has thousands; the settings it answers are as they were given."""

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: short(item) for key, item in value.items()}
        if isinstance(value, list):
            return [short(item) for item in value]
        return float(f"{value:.6g}") if isinstance(value, float) else value

    given = result.model_dump(mode="json")
    return type(result).model_validate({name: item if name in GIVEN else short(item) for name, item in given.items()})


def diverged_in_words(cells: Sequence[Cell | LanguageCell]) -> list[str]:
    """Which trainings diverged, in a sentence; nothing where none did."""
    names = [f"{cell.method} on {cell.size:,} with seed {cell.seed}" for cell in cells if cell.status == "diverged"]
    if not names:
        return []
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return [f"{len(names)} of {len(cells)} trainings diverged and are left out of all averages: {shown}."]
