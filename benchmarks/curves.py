"""Seconds from a ledger of 50,000 samples and 32 probes to all curves, intervals and sufficient sizes, by part.

Run as ``python benchmarks/curves.py``.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from environment import save

from suffice.landscape import Convergence, Ledger

SAMPLES, PROBES, SIZES, ORDERS, RESAMPLES, REPEATS = 50_000, 32, 60, 200, 1000, 3


def ledger() -> Ledger:
    """Lognormal losses; what samples have in common from probe to probe is as in a trained model."""
    draw = np.random.default_rng(0)
    losses = np.exp(draw.standard_normal((SAMPLES, 1)) + 0.3 * draw.standard_normal((SAMPLES, PROBES)))
    distance = np.array([0.0] + [1.0] * (PROBES - 1))
    return cast(Ledger, SimpleNamespace(losses=losses, index=draw.permutation(SAMPLES), distance=distance))


def parts(losses: Ledger) -> dict[str, float]:
    """Seconds of each part, from the start: nothing is kept from the last time."""
    seconds = {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        answer = run()
        seconds[name] = time.perf_counter() - start
        return answer

    curves = timed("means and variances", lambda: Convergence(losses, resamples=RESAMPLES))
    sizes = curves.log_sizes(SIZES)
    difference = timed("difference", lambda: curves.difference(sizes))
    timed("remaining", lambda: (curves.remaining(sizes), curves.remaining(sizes, population=True)))
    timed("null", lambda: curves.null(sizes))
    timed("in_order", lambda: curves.in_order(sizes))
    timed("in_order, source", lambda: curves.in_order(sizes, curves.source_order()))
    timed("band", lambda: curves.band(sizes, ORDERS))
    timed("interval (draws the bootstrap)", lambda: curves.interval(difference))
    timed("sufficient_size", lambda: [curves.sufficient_size(0.05, name) for name in ("remaining", "difference")])
    timed("exchangeability", curves.exchangeability)
    seconds["total"] = sum(seconds.values())
    return seconds


def main() -> None:
    """The fastest of several times."""
    losses = ledger()
    runs = [parts(losses) for _ in range(REPEATS)]
    best = min(runs, key=lambda run: run["total"])
    asked = {"samples": SAMPLES, "probes": PROBES, "sizes": SIZES, "orders": ORDERS, "resamples": RESAMPLES}
    save("curves", {**asked, "seconds": best, "totals": [run["total"] for run in runs]})


if __name__ == "__main__":
    main()
