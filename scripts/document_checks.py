"""Writes docs/checks.md, the documentation of all findings, from the registry in suffice.checks.

python scripts/document_checks.py
"""

from pathlib import Path

from suffice.checks import KINDS, Kind

DOCUMENT = Path(__file__).parents[1] / "docs" / "checks.md"

INTRODUCTION = """# Checks

suffice checks a model once, before its first measurement: before `record`, a training, a forecast or a derivative.
Each finding has a code. An error stops what depends on it, with one line that names the module or parameter and says
what to do: a wrong derivative stops derivatives, and never losses or training. A warning stops nothing.

`Problem(..., checks=False)` skips all checks. What a model has passed is remembered for all problems that use it in
the same way (the same moving parameters, prediction, loss and collate function), so a study of hundreds of trainings
checks each model once.

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
    return _heading(kind).lower().replace(":", "").replace(" ", "-")


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
