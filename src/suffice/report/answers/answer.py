"""What a result says: the same words on the terminal, in ``report.html`` and in ``report.md``."""

from collections.abc import Sequence
from dataclasses import dataclass

from suffice.report.answers.words import capitalized, ended
from suffice.results import FindingValue, Word

MOST_STEPS = 3
"""Of what to do next."""


@dataclass(frozen=True)
class Answer:
    """The answer to the question of a command.

    ``sentence`` comes first and stands alone. ``why`` is the half sentence that follows the confidence. ``more`` says
    how sure the answer is and what belongs to it, in plain sentences. ``next_steps`` are actions with numbers.

    Raises:
        ValueError: more than three next steps.

    Example:
        >>> answer = Answer("About 740 samples reach 82%.", "medium", "the interval is 560 to 1,840")
        >>> answer.trust
        'Confidence: medium – the interval is 560 to 1,840.'
    """

    sentence: str
    confidence: Word
    why: str
    more: Sequence[str] = ()
    next_steps: Sequence[str] = ()
    findings: Sequence[FindingValue] = ()

    def __post_init__(self) -> None:
        if len(self.next_steps) > MOST_STEPS:
            raise ValueError(f"{len(self.next_steps)} next steps: at most {MOST_STEPS}")

    @property
    def trust(self) -> str:
        """The confidence and its reason."""
        return f"Confidence: {self.confidence} – {self.reason}"

    @property
    def reason(self) -> str:
        """Why the confidence is what it is, with its full stop."""
        return ended(self.why)


def finding_in_words(finding: FindingValue) -> str:
    """What was found, and what to do, on one line."""
    return f"{finding.code} ({finding.severity}): {ended(finding.what)} {ended(finding.remedy)}"


def remedies(findings: Sequence[FindingValue]) -> list[str]:
    """What to do about findings that lower the confidence, the most severe first."""
    order = ("error", "serious", "warning")
    bad = sorted(
        (finding for finding in findings if finding.severity in order),
        key=lambda finding: order.index(finding.severity),
    )
    return [
        f"{capitalized(finding.what).rstrip('.')} ({finding.code}): {lowered(finding.remedy).rstrip('.')}."
        for finding in bad
    ]


def lowered(sentence: str) -> str:
    """A sentence that follows a colon, unless it begins with a name or an abbreviation.

    Example:
        >>> lowered("The labels look random."), lowered("AUC is 1."), lowered("")
        ('the labels look random.', 'AUC is 1.', '')
    """
    return sentence if sentence[1:2].isupper() or not sentence else sentence[0].lower() + sentence[1:]
