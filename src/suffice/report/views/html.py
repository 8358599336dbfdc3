"""A view for notebooks: plain elements, so that it reads the same trusted or not, on light or dark, and in print."""

from html import escape

from suffice.report.views.view import Column, View

MOST = 20
"""Rows that are shown; of a longer table they are evenly spread."""

LEFT, RIGHT = (f' style="text-align:{side};padding:0.2em 0.8em"' for side in ("left", "right"))


def html_of(view: View) -> str:
    """The answer, the other sentences, and the table.

    Notebooks that are not trusted, and sites that show notebooks, remove scripts, style sheets and most attributes:
    nothing here needs them.

    Example:
        >>> print(html_of(View(["80% with <100> samples."], [Column("training samples", [100])], list)))
        <div>
        <p><strong>80% with &lt;100&gt; samples.</strong></p>
        <table style="color:inherit">
        <thead><tr><th style="text-align:right;padding:0.2em 0.8em">training samples</th></tr></thead>
        <tbody>
        <tr><td style="text-align:right;padding:0.2em 0.8em">100</td></tr>
        </tbody>
        </table>
        </div>
    """
    headline, *others = view.answer
    parts = [f"<p><strong>{escape(headline)}</strong></p>"]
    if others:
        parts.append(f"<p>{'<br>'.join(map(escape, others))}</p>")
    rows = shown_rows(view)
    head = "".join(f"<th{_side(column)}>{escape(name)}</th>" for column in view.columns for name in titles(column))
    parts += ['<table style="color:inherit">', f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for row in rows:
        cells = "".join(
            f"<td{_side(column)}>{escape(text)}</td>" for column in view.columns for text in texts(column, row)
        )
        parts.append(f"<tr>{cells}</tr>")
    parts += ["</tbody>", "</table>"]
    parts += [f"<p>{escape(note)}</p>" for note in (*left_out(view), *view.notes)]
    return "\n".join(["<div>", *parts, "</div>"])


def shown_rows(view: View) -> list[int]:
    """The rows of the table that are shown, the first and the last among them.

    Example:
        >>> shown_rows(View(["There are 96."], [Column("eigenvalue", [0.0] * 96)], list))
        [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95]
    """
    if view.rows <= MOST:
        return list(range(view.rows))
    if view.shown:
        return list(view.shown)
    return [round(row * (view.rows - 1) / (MOST - 1)) for row in range(MOST)]


def left_out(view: View) -> list[str]:
    """A sentence where not all rows are shown."""
    shown = len(shown_rows(view))
    return [f"{shown} of {view.rows:,} rows; to_dataframe() has all."] if shown < view.rows else []


def titles(column: Column) -> list[str]:
    """Of the column, and of its intervals."""
    name = column.name if column.unit == "%" else column.label  # cells of shares have their percent signs
    return [name] if column.low is None else [name, "interval"]


def texts(column: Column, row: int) -> list[str]:
    """The cells below these titles."""
    return [column.words(row)] if column.low is None else [column.words(row), column.interval_words(row)]


def _side(column: Column) -> str:
    return LEFT if column.is_text else RIGHT
