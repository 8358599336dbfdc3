"""How long a run should take, from what was measured in this process, on a machine that others use as well."""

import os

import psutil

START = 8.0
"""About the seconds to start workers on a machine that has nothing else to do."""


def in_parallel(seconds: float, workers: int, threads: int, is_here: bool) -> float:
    """Seconds of work that this process would do alone, when workers share it, with the time to start them.

    A process that competes for the cores gets its share of them. What one measures of its own pace is with the others
    that run then, and more workers compete with each other too.

    Args:
        seconds: of the work, by the pace of this process now.
        workers: how many there are; one is this process.
        threads: of each.
        is_here: they run on this machine.

    Example:
        >>> in_parallel(10.0, workers=1, threads=1, is_here=True)
        10.0
        >>> in_parallel(10.0, workers=5, threads=1, is_here=False)
        10.0
    """
    if workers == 1:
        return seconds
    if not is_here:
        return START + seconds / workers
    others, cores = psutil.getloadavg()[0], os.cpu_count() or 1
    alone, together = (max(1.0, (others + count * threads) / cores) for count in (1, workers))
    return START * together + seconds / workers * together / alone
