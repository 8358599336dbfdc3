"""What to train next, so that the size for a target is known better."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from suffice.results import HORIZON, Curve

SIZES = 80
"""From the smallest measured one to the horizon, evenly spaced in log n, between which a size is told."""

BINS = 20
"""Of simulated scores, within which what is asked has the spread that is left after such a score."""

SEEDS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class NextRun:
    """What to train next, and how much narrower it makes the answer.

    Attributes:
        size: number of training samples.
        seeds: how many trainings on so many samples, each on other ones.
        interval_left: expected width of the interval of the answer after these trainings, over its width now.
        explanation: one plain sentence.
    """

    size: int
    seeds: int
    interval_left: float
    explanation: str


def next_run(curve: Curve, target: float, samples: int | None = None, seed: int = 0) -> NextRun:
    """Which trainings would narrow the size for a target most.

    Each choice is simulated with the curves of the posterior; what is left of the interval of log n is the spread of n
    among curves with about the same simulated score. Sizes are the samples at hand and halves of them, not below the
    smallest measured size; seeds are as many as make up no more trained samples than one training on all samples at
    hand.

    Args:
        curve: of scores.
        target: in its metric.
        samples: how many are at hand; None for as many as the largest measured size.
        seed: of the simulation.

    Raises:
        InputError: a target out of range.

    Source: M. Strong and J. E. Oakley, "An efficient method for computing single-parameter partial expected value of
    perfect information", Medical Decision Making 2013 (conditional spread from one set of draws).

    Example:
        >>> from suffice.forecasting import forecast_scores
        >>> curve = forecast_scores([100, 200, 400, 800], [0.70, 0.76, 0.80, 0.83], at=[1600], metric="accuracy")
        >>> next_run(curve, 0.85, samples=3200).size
        3200
    """
    draws, limit = curve.draws, curve.as_upper_end(target)
    most, smallest = int(samples or draws.largest), draws.smallest
    grid = np.geomspace(draws.smallest, HORIZON * draws.largest, SIZES)
    reached = draws.means(grid) <= limit
    needed = np.where(reached.any(1), np.log(grid)[reached.argmax(1)], np.log(grid[-1]))
    noise = np.random.default_rng(seed).normal(size=len(needed))
    choices = []
    for size in sorted({most, *(most >> halvings for halvings in range(1, 4) if most >> halvings >= smallest)}):
        at = np.array([float(size)])
        of_one = draws.deviations(at)[:, 0]
        for seeds in (count for count in SEEDS if count * size <= most):
            simulated = draws.means(at)[:, 0] + of_one / math.sqrt(seeds) * noise
            choices.append((_left(needed, simulated), size, seeds))
    left, size, seeds = min(choices)
    trainings = f"{seeds} training{'s' * (seeds > 1)} on {size:,} samples"
    explanation = f"{trainings} should narrow the interval of the size to {left:.0%} of its width."
    return NextRun(size, seeds, left, explanation)


def _left(asked: Float64[np.ndarray, " draws"], told: Float64[np.ndarray, " draws"]) -> float:
    """The spread of what is asked that is left when something is told, over the whole."""
    parts = np.array_split(asked[np.argsort(told, kind="stable")], BINS)
    whole = float(asked.var())
    within = float(np.average([part.var() for part in parts], weights=[len(part) for part in parts]))
    return math.sqrt(within / whole) if whole > 0 else 1.0
