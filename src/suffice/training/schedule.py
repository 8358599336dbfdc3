"""The learning rate of each step: how it rises, and what follows."""

import math
from typing import Literal, TypeAlias

Schedule: TypeAlias = Literal["constant", "warmup-stable-decay", "cosine"]

DECAY = 0.2
"""Share of the steps in which a rate that was constant falls."""


def share_of_peak(schedule: Schedule, step: int, steps: int, warm_up: int) -> float:
    r"""The learning rate of a step over the peak rate.

    With w = ``warm_up`` + 1, step s of S and d = max(1, round(0.2 S)), it is the smaller of :math:`(s + 1) / w` and

    - constant: 1,
    - warmup-stable-decay: 1, and in the last d steps :math:`(S - s) / d`,
    - cosine: 1 for s < w, then :math:`(1 + \cos(\pi (s - w) / (S - w))) / 2`.

    The linear decay over the last fifth is that of A. Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond
    Fixed Training Durations", NeurIPS 2024.

    Args:
        schedule: what follows the rise.
        step: s, from 0 on.
        steps: S, of the whole training.
        warm_up: steps before the rate is at its peak.

    Example:
        >>> [share_of_peak("constant", step, 5, warm_up=1) for step in range(5)]
        [0.5, 1.0, 1.0, 1.0, 1.0]
        >>> [share_of_peak("warmup-stable-decay", step, 10, warm_up=1) for step in (0, 1, 7, 8, 9)]
        [0.5, 1.0, 1.0, 1.0, 0.5]
        >>> [round(share_of_peak("cosine", step, 4, warm_up=0), 2) for step in range(4)]
        [1.0, 1.0, 0.75, 0.25]
    """
    rising = warm_up + 1
    if schedule == "cosine" and step >= rising:
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
    share = min(1.0, (step + 1) / rising)
    if schedule == "warmup-stable-decay":
        falling = max(1, round(DECAY * steps))
        share = min(share, (steps - step) / falling)
    return share
