"""The directive ``commands``: what ``suffice COMMAND --help`` says, of every command, from the application itself."""

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from suffice.cli.main import commands


def sections() -> Iterator[str]:
    """Markdown, a section for each command."""
    group = typer.main.get_command(commands)
    context = group.make_context("suffice", [], resilient_parsing=True)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        own = command.make_context(name, [], parent=context, resilient_parsing=True)
        yield f"## suffice {name}\n\n```text\n{' '.join(command.get_usage(own).split()).removeprefix('Usage: ')}\n```\n"
        yield markdown(command.help or "")
        given = sorted(command.get_params(own), key=lambda parameter: parameter.param_type_name)  # arguments come first
        records = filter(None, (parameter.get_help_record(own) for parameter in given))
        rows = [f"| {cell(names, code=True)} | {cell(meaning)} |" for names, meaning in records]
        yield "\n".join(["| argument or flag | meaning |", "|---|---|", *rows, ""])


def markdown(text: str) -> str:
    """Help as Rich shows it: bold words, and commands that are indented."""
    text = re.sub(r"\[(/?)bold\]", "**", text)
    return re.sub(r"(?m)^ {4}(suffice .*)$", r"```sh\n\1\n```", text) + "\n"


def cell(text: str, code: bool = False) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`{text}`" if code else text.replace("*", "\\*").replace("<", "&lt;").replace("[", "\\[")


class Commands(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(sections()), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
