"""Has the smallest class enough samples?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from suffice.checks import Finding
from suffice.checks.registry import FEW_OF_A_CLASS

ENOUGH = 24
"""Samples of each class from which on forecasts held; chosen on the tuning tasks of `benchmarks/forecast`."""


def about_smallest_class(
    labels: Int64[np.ndarray, " samples"],
    groups: Int64[np.ndarray, " samples"] | None = None,
    names: Sequence[str] | None = None,
) -> Finding | None:
    """SUF017: a class with fewer than 24 different samples.

    Args:
        labels: the classes; those without samples do not count.
        groups: copies, which count once.
        names: of the classes, for the message.

    Example:
        >>> print(about_smallest_class(np.repeat([0, 1], [100, 9]), names=["cat", "dog"]))
        SUF017: 9 samples of the class 'dog', the smallest. Label at least 15 more of it.
    """
    if groups is not None:
        labels = np.unique(np.stack([groups, labels]), axis=1)[1]
    classes, counts = np.unique(labels, return_counts=True)
    fewest = int(counts.argmin())
    if counts[fewest] >= ENOUGH:
        return None
    name = str(classes[fewest]) if names is None else repr(names[int(classes[fewest])])
    what = f"{counts[fewest]:,} {'sample' if counts[fewest] == 1 else 'samples'} of the class {name}, the smallest"
    return Finding(FEW_OF_A_CLASS, what, f"Label at least {ENOUGH - counts[fewest]} more of it")
