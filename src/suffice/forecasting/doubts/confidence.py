"""How much an answer can be trusted, in one word."""

import math
from collections.abc import Sequence
from typing import TypeVar

from suffice.checks import Finding
from suffice.results import FindingValue, Trust, Word

WORDS: tuple[Word, ...] = ("high", "medium", "low")

NARROW, WIDE = 2.0, 5.0
"""Upper over lower end of the interval of the needed size up to which the confidence is high, and medium."""

Some = TypeVar("Some", Finding, FindingValue)

UNLIKELY, DOUBTFUL = 0.05, 0.2
"""Probabilities up to which that a target is out of reach has high confidence, and medium."""

SEVERITIES = ("error", "serious", "warning", "note")


def confidence_of(
    findings: Sequence[FindingValue],
    low: float | None,
    high: float | None,
    reach: float | None = None,
    of: str = "the interval is {} to {}",
) -> Trust:
    """The confidence of an answer, from its interval and what was found.

    An interval up to 2 times as wide as its lower end is long gives high, up to 5 times medium, and beyond that, or
    without an upper end, low. That a target is out of reach has high confidence where it is reached with a probability
    of at most 0.05, medium up to 0.2, and low beyond. Each warning takes it one step down, a serious finding down to
    low. An error, or no interval, means that the answer cannot be told. Notes change nothing.

    Args:
        findings: all that bear on the answer.
        low: lower end of the interval of the needed size, in samples in all; None where there is no answer.
        high: upper end; None where there is none.
        reach: of a target that is out of reach, the largest probability with which it is reached.
        of: what the interval is of, in words; the ends have three digits where they are no numbers of samples.

    Example:
        >>> from suffice.forecasting.doubts import about_errors
        >>> confidence_of([], 560, 1840)
        Trust(word='medium', reason='the interval is 560 to 1,840')
        >>> confidence_of([about_errors(4, 200).value], 560, 1840)
        Trust(word='low', reason='4 errors in 200 unseen samples: the accuracy is 95.4% to 99.4% (90% interval) ...
    """
    worst = by_severity(findings)
    if worst and worst[0].severity == "error":
        return Trust(word="cannot tell", reason=_of(worst[0]))
    if reach is not None:
        by_width, reason = _step(reach, UNLIKELY, DOUBTFUL), f"it is reached with probability {_percent(reach)} at most"
    elif low is None:
        return Trust(word="cannot tell", reason="there is no size that reaches it")
    else:
        by_width = _step(math.inf if high is None or low <= 0 else high / low, NARROW, WIDE)
        reason = "the interval has no upper end" if high is None else of.format(_short(low), _short(high))
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    step = min(2, by_width + counts["warning"] + 2 * counts["serious"])
    if step > by_width:
        return Trust(word=WORDS[step], reason=_of(worst[0]))
    return Trust(word=WORDS[step], reason=reason)


def _short(end: float) -> str:
    return f"{end:,.0f}" if end >= 1 else f"{end:.2g}"


def _percent(share: float) -> str:
    return "below 1%" if share < 0.01 else f"{share:.0%}"


def _step(value: float, high: float, medium: float) -> int:
    """The index of the word for a value up to which the confidence is high, or medium."""
    return 0 if value <= high else 1 if value <= medium else 2


def by_severity(findings: Sequence[Some]) -> list[Some]:
    """The findings, the most severe first, otherwise in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _of(finding: FindingValue) -> str:
    return f"{finding.what} ({finding.code})"
