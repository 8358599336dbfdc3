"""``report.md``: the same words as ``report.html``, for a repository, an issue or a chat."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from suffice.report.pages.page import Block, Bullets, Drawn, Handle, Links, Maps, Moving, Page, Table, Words
from suffice.report.pages.settings import endings


def markdown(page: Page, folder: Path | None = None) -> str:
    """The page as Markdown, with its figures as the files beside it."""
    return "\n".join(_lines(page, folder))


def escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is; what stands between backquotes stays code.

    Example:
        >>> print(escaped("a*b <i> `suffice check`"))
        a\\*b &lt;i> `suffice check`
    """
    parts = " ".join(text.split()).split("`")
    is_code = len(parts) % 2 == 1
    shown = [
        part
        if is_code and number % 2
        else re.sub(r"([\\*_\[\]#|~])", r"\\\1", part).replace("&", "&amp;").replace("<", "&lt;")
        for number, part in enumerate(parts)
    ]
    return ("`" if is_code else "\\`").join(shown)


def _lines(page: Page, folder: Path | None) -> Iterator[str]:
    answer = page.answer
    yield f"{' · '.join(map(escaped, (page.command, *page.subject)))}\n"
    yield f"# {escaped(answer.sentence)}\n"
    for sentence in answer.more[:1]:
        yield f"{escaped(sentence)}\n"
    yield f"**Confidence: {answer.confidence}** – {escaped(answer.reason)}\n"
    if page.picture is not None:
        yield from _block(page.picture)
    if answer.next_steps:
        yield "## What to do next\n"
        yield from (f"{number}. {escaped(step)}" for number, step in enumerate(answer.next_steps, 1))
        yield ""
    if answer.more[1:]:
        yield "## The answer in more words\n"
        yield from _block(Bullets(answer.more[1:]))
    if answer.findings:
        yield "## Findings\n"
        for of in answer.findings:
            yield f"- **{of.code}** ({of.severity}): {escaped(of.what)}. {escaped(of.why)} *{escaped(of.remedy)}.*"
        yield ""
    for section in (*page.sections, *endings(page, folder)):
        yield f"## {escaped(section.title)}\n"
        for block in section.blocks:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Words(text):
            yield f"{escaped(text)}\n"
        case Bullets(items):
            yield from (f"- {escaped(item)}" for item in items)
            yield ""
        case Table():
            yield from _table(block)
        case Drawn(figure) | Handle(figure):
            yield f"![{escaped(figure.title)}](figures/{figure.name}.png)\n"
            yield f"{escaped(figure.caption)}\n"
        case Maps(maps, title):
            yield f"![{escaped(title)}](figures/{maps.name}.png)\n"
        case Moving(_, film, distance, caption):
            yield f"![The loss surface as samples are added](figures/{film.name}.gif)\n"
            yield f"{escaped(caption)}\n"
            yield from _block(Drawn(distance))
        case Links(before, targets):
            links = ", ".join(f"[{escaped(words)}]({target})" for words, target in targets.items())
            yield f"{escaped(before)} {links}.\n"


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    yield _row(["---", *("---:" for _ in table.columns[1:])], plain=True)
    yield from map(_row, table.rows)
    yield ""
    if table.caption:
        yield f"{escaped(table.caption)}\n"


def _row(cells: Sequence[str], plain: bool = False) -> str:
    return f"| {' | '.join(cells if plain else map(escaped, cells))} |"
