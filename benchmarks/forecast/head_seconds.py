"""Seconds of a head's forecast, of its parts, and of 15 retrainings, on 2,000 x 768 features with 10 classes.

Run as ``OMP_NUM_THREADS=1 PYTHONPATH=benchmarks python benchmarks/forecast/head_seconds.py``. Seconds are those of the
processor, which other processes change little; the least of three is told, and that of the clock beside it.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from environment import save
from sklearn.datasets import make_classification

from suffice.forecasting import curve_of, forecast_head, measure_head
from suffice.forecasting.head import fit_head
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import calibrated_slope

SAMPLES, COLUMNS, CLASSES = 2000, 768, 10

PENALTIES = (0.1, 0.01, 0.001)

PARTS, FITS = (0.1, 0.2, 0.4, 0.6, 0.8), 3
"""Of the retrainings, as in ``heads.py``."""

REPEATS = 3
"""Of all but the retrainings, which take longest."""


def seconds(run: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Of the processor and of the clock."""
    found = []
    for _ in range(repeats):
        before = time.process_time(), time.perf_counter()
        run()
        found.append((time.process_time() - before[0], time.perf_counter() - before[1]))
    return min(of for of, _ in found), min(of for _, of in found)


def of_penalty(features: Any, labels: Any, l2: float) -> dict[str, tuple[float, float]]:
    with_intercept = np.hstack([features, np.ones((SAMPLES, 1))])
    loss = CrossEntropy(labels, CLASSES)
    head = fit_head(with_intercept, loss, CLASSES, l2)
    outputs = out_of_fold(head, labels)
    evidence = measure_head(with_intercept, labels, l2)
    random = np.random.default_rng(2)
    parts = [random.permutation(SAMPLES)[: round(part * SAMPLES)] for part, _ in itertools.product(PARTS, range(FITS))]
    sizes = [2 * SAMPLES, 4 * SAMPLES, 8 * SAMPLES]

    def retrained() -> None:
        for part in parts:
            fit_head(with_intercept[part], CrossEntropy(labels[part], CLASSES), CLASSES, l2)

    sides: dict[str, Callable[[], Any]] = {
        "forecast": lambda: forecast_head(features, labels, sizes, l2),
        "fit": lambda: fit_head(with_intercept, loss, CLASSES, l2),
        "ten folds": lambda: out_of_fold(head, labels),
        "slope": lambda: calibrated_slope(replace(head), outputs, (1 - 1 / FOLDS) * SAMPLES),
        "curve": lambda: curve_of(replace(evidence, head=replace(head)), sizes),
        "15 retrainings": retrained,
    }
    return {name: seconds(run, 1 if "retrainings" in name else REPEATS) for name, run in sides.items()}


def main() -> None:
    features, labels = make_classification(
        SAMPLES, COLUMNS, n_informative=30, n_redundant=100, n_classes=CLASSES, random_state=0
    )
    features = (features - features.mean(0)) / features.std(0)
    rows = []
    for l2 in PENALTIES:
        found = of_penalty(features, labels, l2)
        share = found["slope"][0] / found["15 retrainings"][0]
        print(l2, found, flush=True)
        rows.append({"l2": l2, "slope_over_retrainings": share, "seconds": found})
    save("forecast_head_seconds", {"samples": SAMPLES, "columns": COLUMNS, "classes": CLASSES, "penalties": rows})


if __name__ == "__main__":
    main()
