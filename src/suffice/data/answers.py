"""The answer within a completion: what a regular expression finds in it, or all of it."""

import re
from collections.abc import Sequence

from suffice.errors import InputError, shortened

EXACT = "exact"
"""Names the pattern by which the whole completion is the answer."""


class AnswerPattern:
    r"""Finds the answer in a text: the first group of the last match, or the whole text, without blanks around it.

    A match whose group is empty is none, so that `(.*)` does not find the empty end of every text.

    Args:
        pattern: a regular expression of Python with a group, or ``exact``.

    Raises:
        InputError: no regular expression, or one without a group.

    Example:
        >>> pattern = AnswerPattern("#### (-?[0-9,]+)")
        >>> pattern.of("Two and two.\n#### 4\n"), pattern.of("It is 4.")
        ('4', None)
        >>> AnswerPattern("exact").of(" It is 4.\n")
        'It is 4.'
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._expression = None if pattern == EXACT else _compiled(pattern)

    def of(self, text: str) -> str | None:
        """The answer in a text; None where it has none."""
        if self._expression is None:
            return text.strip() or None
        groups = (match[1] for match in self._expression.finditer(text))
        found = [group.strip() for group in groups if group is not None and group.strip()]
        return found[-1] if found else None


def _compiled(pattern: str) -> re.Pattern[str]:
    where = f"--answer-pattern {shortened(pattern)!r}"
    try:
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"{where}: no regular expression ({error}); give one, or exact") from error
    if not found.groups:
        raise InputError(
            f"{where}: has no group: put what is compared in parentheses, as in '#### (-?[0-9,]+)', or give exact"
        )
    return found


def references(pattern: AnswerPattern, completions: Sequence[str], names: Sequence[str]) -> list[str]:
    """The answer of each reference completion.

    Args:
        pattern: finds it.
        completions: of the data.
        names: where each of them is, for messages.

    Raises:
        InputError: a completion without an answer.

    Example:
        >>> references(AnswerPattern("= ([0-9]+)"), ["1 + 1 = 2", "two"], ["a.jsonl, line 1", "a.jsonl, line 2"])
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: a.jsonl, line 2: 'two' has no match of --answer-pattern '= ([0-9]+)', as 1 of 2 ...
    """
    found = [pattern.of(completion) for completion in completions]
    missing = [row for row, answer in enumerate(found) if answer is None]
    if missing:
        row = missing[0]
        raise InputError(
            f"{names[row]}: {shortened(completions[row][-60:].strip())!r} has no match of --answer-pattern "
            f"{shortened(pattern.pattern)!r}, as {len(missing):,} of {len(found):,} samples to test on: give a pattern "
            "that all of them match, or remove these"
        )
    return [answer for answer in found if answer is not None]
