"""A finding as a plain value."""

from typing import Literal

from pydantic import Field

from suffice.results.value import Value

Severity = Literal["error", "serious", "warning", "note"]
"""From what stops the answer to what is only said."""


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
