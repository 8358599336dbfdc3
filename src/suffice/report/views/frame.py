"""The table of a view as a data frame."""

from collections.abc import Sequence

import pandas as pd

from suffice.report.views.view import Cell, Column, View


def frame_of(view: View) -> pd.DataFrame:
    """All rows; an estimate with an interval is followed by its ends.

    Example:
        >>> columns = [Column("training samples", [100]), Column("accuracy", [0.8], [0.75], [0.84], "%")]
        >>> frame_of(View(["80% with 100 samples."], columns, list)).to_dict("records")
        [{'training samples': 100, 'accuracy, %': 80.0, 'accuracy, % (low)': 75.0, 'accuracy, % (high)': 84.0}]
    """
    series = {}
    for column in view.columns if view.cells is None else view.cells():
        series[column.label] = _series(column, column.values)
        for name, ends in (("low", column.low), ("high", column.high)):
            if ends is not None:
                series[f"{column.label} ({name})"] = _series(column, ends)
    return pd.DataFrame(series)


def _series(column: Column, values: Sequence[Cell]) -> pd.Series:
    if column.unit == "%":
        return pd.Series([None if value is None else 100 * float(value) for value in values], dtype="float64")
    known = [value for of in (column.values, column.low or (), column.high or ()) for value in of if value is not None]
    if not known or any(isinstance(value, str) for value in known):
        return pd.Series(list(values), dtype="object")
    kind = "float64"
    if all(isinstance(value, bool) for value in known):
        kind = "boolean"
    elif all(isinstance(value, int) for value in known):
        kind = "Int64" if None in values else "int64"
    return pd.Series(list(values), dtype=kind)
