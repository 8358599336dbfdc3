"""Formulas as MathML, which browsers draw by themselves: no script and no font is loaded."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html import HTMLTranslator

TAG = re.compile(r"\\tag\{(.*?)\}")

SAID_OTHERWISE = {
    r"\s+": " ",
    r"\{aligned\}": "{align*}",  # the converter knows only this one
    r"(\\math(?:bb|bf|cal)) (\w)": r"\1{\2}",  # in braces it finds the letter itself, which browsers know
}

DRAWN_OTHERWISE = {
    '<mn mathvariant="bold">1</mn>': "<mn>\N{MATHEMATICAL BOLD DIGIT ONE}</mn>",
    # bars of a norm keep to the line, and with them their indices
    "<mo>&#x02016;</mo>": '<mo stretchy="false">&#x02016;</mo>',
    "<mo>&#x0007C;</mo>": '<mo stretchy="false">&#x0007C;</mo>',
}


def formula(latex: str, display: str) -> str:
    for pattern, replacement in SAID_OTHERWISE.items():
        latex = re.sub(pattern, replacement, latex)
    drawn = convert(latex, display=display)
    for before, after in DRAWN_OTHERWISE.items():
        drawn = drawn.replace(before, after)
    return drawn


def inline(writer: HTMLTranslator, node: nodes.math) -> None:
    writer.body.append(f'<span class="math">{formula(node.astext(), "inline")}</span>')
    raise nodes.SkipNode


def block(writer: HTMLTranslator, node: nodes.math_block) -> None:
    """A displayed formula, with its number at the right."""
    latex = node.astext()
    tag = TAG.search(latex)
    number = f'<span class="number">({tag[1]})</span>' if tag else ""
    shown = formula(TAG.sub("", latex), "block")
    writer.body.append(f'<div class="math formula" tabindex="0">{shown}{number}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
