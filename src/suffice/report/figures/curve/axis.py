"""The axis of sizes that both figures have."""

import math
from collections.abc import Sequence

MOST = 9
"""Numbers on the axis that lie apart from each other."""


def sizes_on_axis(sizes: Sequence[int]) -> list[int]:
    """Round sizes from the first to the last one, which are to have numbers on a logarithmic axis.

    Example:
        >>> sizes_on_axis([90, 1500]), sizes_on_axis([50, 2_000_000])
        ([100, 200, 500, 1000], [100, 1000, 10000, 100000, 1000000])
    """
    powers = [10**power for power in range(int(math.log10(sizes[0])), int(math.log10(sizes[-1])) + 1)]
    fine = [digit * power for power in powers for digit in (1, 2, 5) if sizes[0] <= digit * power <= sizes[-1]]
    return fine if len(fine) <= MOST else [power for power in powers if sizes[0] <= power]
