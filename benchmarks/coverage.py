"""How often a 90% interval holds the true spread: bootstrap-t, as in `suffice`, against the percentile bootstrap.

Run as ``python benchmarks/coverage.py LEDGER``, with a ledger whose losses at all probes are taken as a population,
such as ``held_out_ledger`` of ``suffice demo``.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from environment import save

from suffice.landscape import Ledger
from suffice.landscape.spread import Spread

CONFIDENCE, SIZES, REPETITIONS, RESAMPLES = 0.9, (50, 200, 1000), 1000, 400
TAILS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]


def percentile(spread: Spread, relative: bool) -> tuple[float, float]:
    """The plain interval, from the same draws."""
    drawn = spread._resampled
    estimate = spread.variance / spread.scale(relative) ** 2
    low, high = estimate * np.quantile(drawn.variance / drawn.mean**2 if relative else drawn.variance, TAILS)
    return float(low), float(high)


def shares(intervals: list[tuple[float, float]], truth: float) -> dict[str, float]:
    """Where the truth lies, and how wide an interval is."""
    low, high = np.array(intervals).T
    return {
        "covered": float(np.mean((low <= truth) & (truth <= high))),
        "truth_below": float(np.mean(truth < low)),
        "truth_above": float(np.mean(truth > high)),
        "median_width_over_truth": float(np.median(high - low) / truth),
    }


def coverage(
    sample: Callable[[np.random.Generator, int], np.ndarray], variance: float, mean: float
) -> dict[str, dict[int, Any]]:
    """Shares by quantity and sample size."""
    found: dict[str, dict[int, Any]] = {"variance": {}, "variance over squared mean": {}}
    for size in SIZES:
        draw = np.random.default_rng(size)
        spreads = [Spread(sample(draw, size), RESAMPLES, seed) for seed in range(REPETITIONS)]
        for (name, by_size), truth in zip(found.items(), (variance, variance / mean**2), strict=True):
            relative = name != "variance"
            by_size[size] = {
                "bootstrap_t": shares([spread.interval(CONFIDENCE, relative) for spread in spreads], truth),
                "percentile": shares([percentile(spread, relative) for spread in spreads], truth),
            }
    return found


def main() -> None:
    """Two distributions with known moments, and one of a real model, drawn from with replacement."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("ledger")
    real = Ledger.open(arguments.parse_args().ledger).losses
    e = float(np.e)
    save(
        "coverage",
        {
            "confidence": CONFIDENCE,
            "repetitions": REPETITIONS,
            "resamples": RESAMPLES,
            "standard_error_of_coverage": (CONFIDENCE * (1 - CONFIDENCE) / REPETITIONS) ** 0.5,
            "lognormal": coverage(lambda draw, size: draw.lognormal(size=(size, 1)), (e - 1) * e, e**0.5),
            "exponential": coverage(lambda draw, size: draw.exponential(size=(size, 1)), 1.0, 1.0),
            "demo": {
                "population": list(real.shape),
                **coverage(
                    lambda draw, size: real[draw.integers(len(real), size=size)],
                    float(real.var(0).mean()),
                    float(real[:, 0].mean()),
                ),
            },
        },
    )


if __name__ == "__main__":
    main()
