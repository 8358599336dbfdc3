"""Values in messages: one line that a terminal can show, of a few words whatever the value is."""

import reprlib
from typing import Any


def printable(text: str, longest: int = 200) -> str:
    """A text in one line that a terminal can show, cut where it is long.

    Example:
        >>> printable("one\\n\\x07two"), printable("long" * 9, 10)
        ('one \\\\x07two', 'longlonglo…')
    """
    words = " ".join(text.split())
    cut = f"{words[:longest]}…" if len(words) > longest else words
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)


def shown(value: Any) -> str:
    """A value in a message, in a few words whatever it is.

    Example:
        >>> shown(10**5000), shown("x" * 100)[:5], shown([[0] * 99])
        ('a number of more than 19 digits', "'xxxx", '[[0, 0, 0, 0, 0, 0, ...]]')
    """
    return printable(_Short().repr(value), 80)


class _Short(reprlib.Repr):
    """Values in a few words; numbers of thousands of digits cannot be written out."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 60, 60

    def repr_int(self, x: int, level: int) -> str:
        """A number, or how long it is."""
        return str(x) if x.bit_length() <= 63 else "a number of more than 19 digits"
