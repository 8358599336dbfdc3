"""Writes docs/checks.md, the documentation of all findings, from the registry in suffice.checks.

python scripts/document_checks.py
"""

import re
from pathlib import Path

from suffice.checks import KINDS, Kind

DOCUMENT = Path(__file__).parents[1] / "docs" / "checks.md"

STOPS = (
    "stops what depends on it, with one line that names the module or parameter and says what to do: a wrong "
    "derivative stops derivatives, and never losses or training"
)

INTRODUCTION = f"""# Checks

suffice checks a model once, before its first measurement: before `record`, a training, a forecast or a derivative
(SUF001 to SUF014). A forecast also checks what it was made from (SUF015 on). Each finding has a code.

| severity | a check of a model | a check of a forecast |
|---|---|---|
| error | {STOPS} | there is no curve, and the confidence is "cannot tell" |
| serious | | the confidence is low |
| warning | stops nothing | the confidence is one step lower |
| note | | is said, and changes nothing |

`Problem(..., checks=False)` skips all checks of the model. What a model has passed is remembered for all problems that
use it in the same way (the same moving parameters, prediction, loss and collate function), so a study of hundreds of
trainings checks each model once.

This page is written by `python scripts/document_checks.py`.

| code | severity | finding |
|---|---|---|
"""


def document() -> str:
    """The page: a table of all kinds, and a section for each."""
    rows = [f"| [{kind.code}](#{_anchor(kind)}) | {kind.severity} | {kind.title} |" for kind in KINDS]
    return INTRODUCTION + "\n".join(rows) + "\n" + "".join(map(_section, KINDS))


def _heading(kind: Kind) -> str:
    return f"{kind.code}: {kind.title}"


def _anchor(kind: Kind) -> str:
    """As GitHub makes it of the heading."""
    return re.sub(r"[^\w -]", "", _heading(kind).lower()).replace(" ", "-")


def _section(kind: Kind) -> str:
    return f"""
## {_heading(kind)}

Severity: {kind.severity}.

**How it is detected.** {kind.detected}

**Why it matters.** {kind.matters}

**What to do.** {kind.remedy}
"""


if __name__ == "__main__":
    DOCUMENT.write_text(document())
