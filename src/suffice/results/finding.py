"""A finding as a plain value."""

from typing import Literal

from pydantic import Field

from suffice.results.value import Value

Severity = Literal["error", "serious", "warning", "note"]
"""From what stops the answer to what is only said."""


Word = Literal["high", "medium", "low", "cannot tell"]
"""How much an answer can be trusted."""


class Trust(Value):
    """How much an answer can be trusted, and what that rests on."""

    word: Word = Field(description="high, medium, low, or cannot tell")
    reason: str = Field(description="half a sentence, with the code of the finding that decides it, if one does")


class FindingValue(Value):
    """What was found that bears on an answer, why it matters, and what to do."""

    code: str = Field(description="stable name, SUF001 and so on; docs/checks.md has them all")
    severity: Severity = Field(
        description="error: there is no answer; serious: the confidence is low; warning: the confidence is one step "
        "lower; note: the confidence is the same"
    )
    what: str = Field(description="what was found, numbers first")
    why: str = Field(description="why it matters")
    remedy: str = Field(description="what to do")
