"""Collect what a method says, retrain, ask again: how often too few are collected, and how many too many.

Run as ``PYTHONPATH=benchmarks python benchmarks/forecast/collect.py SHARED``, the folder of models and data.

From q0 samples the test loss of a head has to come down to what D* = 2, 4 or 8 q0 samples reach on average. In each of
at most T rounds a method says how many are needed, and these are collected, at most ten times those at hand; it ends
when D* is reached. Ours is asked with its slope, in the last round less one standard error. A run fails if
q_T < D*; its cost ratio is (q_T - q0) / (D* - q0) - 1. Some runs are lucky: their head has the target loss with fewer
samples than are needed on average, and is asked for no more. Those that have neither D* nor the loss miss the target.
The protocol is that of R. Mahmood et al., "Optimizing Data
Collection for Machine Learning" (NeurIPS 2022), with the test part as their validation set.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from environment import save
from heads import FITS, PARTS, truth
from jaxtyping import Int64
from tasks import Task, all_tasks

from suffice.forecasting import curve_of, fit_curve, measure_pilot, sufficient_size
from suffice.forecasting.head import fit_head, refit
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slope import standard_error
from suffice.results import LearningCurve

START = 0.05
"""q0, over the pool."""

TIMES = (2, 4, 8)
"""D*, over q0."""

ROUNDS = (1, 3, 5)

MOST = 10
"""Times the samples at hand: more are not collected in a round."""

Ask = Callable[[Task, Int64[np.ndarray, " rows"], float, bool], float]

KNOWN: dict[tuple[str, str, bytes], Any] = {}
"""What was computed for one method serves the others, and the other targets and rounds."""


def once(kind: str, task: Task, rows: Int64[np.ndarray, " rows"], compute: Callable[[], Any]) -> Any:
    key = kind, task.name, rows.tobytes()
    if key not in KNOWN:
        KNOWN[key] = compute()
    return KNOWN[key]


def by_curvature(task: Task, rows: Int64[np.ndarray, " rows"], target: float, last: bool) -> float:
    def forecast() -> LearningCurve:
        others = task.test_features, task.test_labels
        return curve_of(measure_pilot(task.features[rows], task.labels[rows], task.l2, 0, others), [len(rows)])

    curve = once("forecast", task, rows, forecast)
    if curve.slope is None or curve.slope_error is None or curve.level is None:
        return math.inf
    slope = curve.slope - curve.slope_error * last
    left = 1 / len(rows) - (curve.level - target) / slope if slope > 0 else 0.0
    return 1 / left if left > 0 else math.inf


def by_fit(family: str) -> Ask:
    def ask(task: Task, rows: Int64[np.ndarray, " rows"], target: float, last: bool) -> float:
        del last
        points = once("points", task, rows, lambda: sub_sampled(task, rows))
        size = sufficient_size(fit_curve(family, *np.array(points).T, len(rows)), target, correction=0.0)
        return math.inf if size is None else size

    return ask


def sub_sampled(task: Task, rows: Int64[np.ndarray, " rows"]) -> list[tuple[float, float, float]]:
    """Size, test loss and its standard error, of heads fitted to parts of the samples at hand and to all."""
    head = fit_head(task.features[rows], CrossEntropy(task.labels[rows], task.classes), task.classes, task.l2)
    random, loss = np.random.default_rng([2, len(rows)]), CrossEntropy(task.test_labels, task.classes)
    points = []
    for part in [*(part for part in PARTS for _ in range(FITS)), 1.0]:
        taken = random.permutation(len(rows))[: max(2, round(part * len(rows)))]
        losses = loss.values(task.test_features @ head.axes @ refit(head, taken, 1e-3).weights)
        points.append((float(len(taken)), float(losses.mean()), standard_error(losses)))
    return points


METHODS: dict[str, Ask] = {"suffice": by_curvature} | {
    family: by_fit(family) for family in ("power_law", "power_law_with_limit", "arctan")
}


def collected(
    task: Task, ask: Ask, order: Int64[np.ndarray, " pool"], start: int, enough: int, target: float, rounds: int
) -> float:
    """q_T."""
    size = float(start)
    for number in range(1, rounds + 1):
        asked = ask(task, order[: int(size)], target, number == rounds)
        size = max(size, min(asked, MOST * size))
        if size >= enough:
            break
    return size


def misses(task: Task, rows: Int64[np.ndarray, " rows"], target: float) -> bool:
    """Whether the head that is fitted to the samples collected loses more than the target."""

    def fitted() -> float:
        head = fit_head(task.features[rows], CrossEntropy(task.labels[rows], task.classes), task.classes, task.l2)
        loss = CrossEntropy(task.test_labels, task.classes)
        return float(loss.values(head.predict(task.test_features)).mean())

    return bool(once("loss", task, rows, fitted) > target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--pilots", type=int, default=5)
    parser.add_argument("--features", type=Path, default=Path("runs/forecast-benchmark"), help="where they are kept")
    arguments = parser.parse_args()
    found: dict[tuple[str, int, bool], list[tuple[bool, bool, float]]] = {}
    for task in all_tasks(arguments.shared, arguments.features):
        start = round(START * len(task.labels))
        for times in TIMES:
            enough, target = times * start, truth(task, times * start, 0)["loss"]
            for seed in range(arguments.pilots):
                order = np.random.default_rng([seed, 3]).permutation(len(task.labels))
                for name, ask in METHODS.items():
                    for rounds in ROUNDS:
                        size = collected(task, ask, order, start, enough, target, rounds)
                        ratio = (size - start) / (enough - start) - 1
                        failed = size < enough
                        missed = failed and misses(task, order[: int(size)], target)
                        found.setdefault((name, rounds, task.tuned), []).append((failed, missed, ratio))
            print(task.name, times, flush=True)
    table: list[dict[str, Any]] = [
        {
            "method": name,
            "rounds": rounds,
            "tuned": tuned,
            "runs": len(results),
            "failure_rate": float(np.mean([failed for failed, _, _ in results])),
            "miss_rate": float(np.mean([missed for _, missed, _ in results])),
            "median_cost_ratio": float(np.median([ratio for _, _, ratio in results])),
        }
        for (name, rounds, tuned), results in found.items()
    ]
    save("forecast_collect", {"table": table})


if __name__ == "__main__":
    main()
