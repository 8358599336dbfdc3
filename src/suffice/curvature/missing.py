"""Whether the chain of a random vector may hide an eigenvalue: the largest weight that its moments allow."""

import math
from collections.abc import Sequence

DOUBT = 0.01
"""The largest probability that a missing eigenvalue goes unseen."""

MARGIN = 0.25
"""A missing eigenvalue may go unseen if it exceeds the smallest one found by less than this share of it."""


def largest_hidden(dimension: int) -> float:
    """A random unit vector has less weight than this on a given direction with the probability `DOUBT` at most."""
    return math.pi * DOUBT**2 / (2 * dimension)


def longest_probe(parameters: int) -> int:
    """Steps after which a spectrum within the level excludes what lies `MARGIN` above it, by Chebyshev polynomials."""
    return 2 + math.ceil(math.acosh(1 / math.sqrt(largest_hidden(parameters))) / math.acosh(1 + MARGIN))


def may_hide(chain: Sequence[tuple[float, float]], level: float, dimension: int) -> bool:
    """Whether the moments of a chain from a random vector allow its weight on an eigenvector at or beyond the level."""
    for x in (level, -level):
        before, now, total, last = 0.0, 1.0, 1.0, 0.0
        for diagonal, coupling in chain:
            if coupling == 0:
                total = math.inf  # the chain has ended: it holds all eigenvectors that its start has weight on
                break
            before, now, last = now, ((x - diagonal) * now - last * before) / coupling, coupling
            total += now * now
        if 1 / total > largest_hidden(dimension):
            return True
    return False
