"""A view for terminals, drawn by Rich."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from suffice.report.views.html import left_out, shown_rows, texts, titles
from suffice.report.views.view import View


def renderable_of(view: View) -> RenderableType:
    """The same words as in a notebook; nothing in them is read as markup.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> from suffice.report.views.view import Column
        >>> console = Console(file=io.StringIO(), width=60)
        >>> console.print(renderable_of(View(["80% with [b] samples."], [Column("training samples", [100])], list)))
        >>> console.file.getvalue().splitlines()[0]
        '80% with [b] samples.'
    """
    headline, *others = view.answer
    table, rows = Table(), shown_rows(view)
    for column in view.columns:
        for place, title in enumerate(titles(column)):
            longest = max((len(texts(column, row)[place]) for row in rows), default=0)
            table.add_column(Text(title), justify="left" if column.is_text else "right", min_width=longest)
    for row in rows:
        table.add_row(*(Text(text) for column in view.columns for text in texts(column, row)))
    below = [Text(sentence) for sentence in (*left_out(view), *view.notes)]
    return Group(Text(headline, style="bold"), *map(Text, others), table, *below)
