"""The exception and the warning that are meant for a person to read, and what helps to word them."""

import difflib
import unicodedata
from collections.abc import Sequence


class InputError(ValueError):
    """Something given to suffice cannot be used; the message says what, where, and what to do.

    Every message fits one line. The command line prints it alone, without a stack trace.
    """


class InputWarning(UserWarning):
    """Something given to suffice can be used, with a caveat; the message is one line.

    The command line prints it as a note. Warnings of libraries, which mean little to a person, are of other classes.

    Args:
        message: the line.
        event: a word or two for what has happened, for the log of a run.
        **facts: numbers and names of it, for the same.

    Example:
        >>> InputWarning("memory ran out; batches are halved to 4", event="halved", batch_size=4).facts
        {'batch_size': 4}
    """

    def __init__(self, message: str, event: str = "warning", **facts: int | str) -> None:
        super().__init__(message)
        self.event = event
        self.facts = facts


def nearest(word: str, known: Sequence[str]) -> str:
    """A question that offers the known word most like this one, or nothing.

    Example:
        >>> nearest("radios", ["radius", "probes"])
        '; did you mean "radius"?'
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f'; did you mean "{" ".join(close[0].split())}"?' if close else ""


def shortened(name: str, longest: int = 60) -> str:
    """A name that data give, for a line of text.

    Example:
        >>> shortened("cat"), shortened("9" * 5000)
        ('cat', '999999999999999999999999999999… (5,000 characters)')
    """
    return name if len(name) <= longest else f"{name[: longest // 2]}… ({len(name):,} characters)"


def reason(error: BaseException) -> str:
    """What another library's error says, in one line.

    Example:
        >>> reason(KeyError("labels"))
        "KeyError: 'labels'"
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")


def printable(text: str) -> str:
    r"""Text that cannot drive a terminal: control characters are escapes, save the end of a line.

    Example:
        >>> print(printable("cat\x1b[2J\u202egnp.exe"))
        cat\x1b[2J\u202egnp.exe
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in STEERING and char != "\n" else char
        for char in text
    )


STEERING = frozenset({"Cc", "Cf", "Cs"})
"""Categories of characters that move the cursor or the direction of text, or are none."""
