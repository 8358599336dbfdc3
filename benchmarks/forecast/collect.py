"""Collect what a method says, retrain, ask again: how often too few are collected, and how many too many.

Run as ``PYTHONPATH=benchmarks python benchmarks/forecast/collect.py SHARED``, the folder of models and data.

From q0 samples the test loss of a head has to come down to what D* = 2, 4 or 8 q0 samples reach on average. In each of
at most T rounds a method says how many are needed, and these are collected, at most ten times those at hand; it ends
when D* is reached. A run fails if q_T < D*; its cost ratio is (q_T - q0) / (D* - q0) - 1. Ours is asked with an
assurance in the last round, and before it nearer to the median: the standard score grows in proportion to the rounds
made. All methods have the same level, in one of two ways:

- mean: the mean test loss of heads with so many samples, straight in 1/k between the sizes where it was measured. So
  are the rounds simulated in R. Mahmood et al., "How Much More Data Do I Need?" (CVPR 2022), and "Optimizing Data
  Collection for Machine Learning" (NeurIPS 2022); the test part is their validation set. Curves are fitted to these
  means, and with each round to one more; the slope is from the samples at hand.
- own: the test loss of the one head that is fitted to what was collected; curves are fitted to heads on parts of the
  first q0, and to one more with each round. Some of these heads are lucky, have the target loss with fewer samples than
  are needed on average, and ask for no more. Those that have neither D* nor the loss miss.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from collecting import EVEN, by_assurance, by_fit
from environment import RESULTS, save
from heads import FITS, PARTS, truth
from jaxtyping import Float64, Int64
from scipy.special import ndtr, ndtri
from tasks import Task, all_tasks, kept, once

from suffice.forecasting import curve_of, fit_curve, measure_head
from suffice.forecasting.head import Head, fit_head, refit
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import standard_error
from suffice.results import LearningCurve

START = 0.05
"""q0, over the pool."""

TIMES = (2, 4, 8)
"""D*, over q0."""

KNOTS = (1, 1.5, 2, 3, 4, 6, 8)
"""Where the mean test loss is measured, over q0, besides `PARTS` of it."""

DRAWN = 40_000
"""Samples that all heads of a size have together, of which the mean is taken; see ``heads.py``."""

ROUNDS = (1, 3, 5)

LEVELS = ("mean", "own")


@dataclass(frozen=True)
class Collection:
    """Samples of a task that come in some order.

    Attributes:
        start: q0.
        means: the mean test loss of heads with so many samples.
        known: what was computed for one method serves the others, and the other targets, levels and rounds.
    """

    task: Task
    order: Int64[np.ndarray, " pool"]
    start: int
    means: dict[int, float]
    known: dict[tuple[str, int], Any] = field(default_factory=dict)

    def mean(self, size: int) -> float:
        return float(np.interp(-1 / size, [-1 / knot for knot in self.means], list(self.means.values())))

    def own(self, size: int) -> Float64[np.ndarray, " test"]:
        """The test losses of the head that is fitted to the first so many."""
        return np.asarray(self._once(size, self._tested))

    def forecast(self, size: int) -> LearningCurve:
        """From the first so many."""
        curve = self._once(size, self._forecast)
        assert isinstance(curve, LearningCurve)
        return curve

    def points(self, level: str, sizes: list[int]) -> list[tuple[float, float, float]]:
        """Size, test loss and its standard error: of parts of the first q0, and of all that was collected since."""
        if level == "mean":
            before = [knot for knot in self.means if knot < self.start]
            return [(size, self.mean(size), EVEN) for size in (*before, *sizes)]
        own = [(size, float(self.own(size).mean()), standard_error(self.own(size))) for size in sizes]
        return [*self._once(self.start, self._sub_sampled), *own]

    def _once(self, size: int, compute: Callable[[int], Any]) -> Any:
        key = compute.__name__, size
        if key not in self.known:
            self.known[key] = compute(size)
        return self.known[key]

    def _tested(self, size: int) -> Float64[np.ndarray, " test"]:
        return self._on_test(self._head(size))

    def _forecast(self, size: int) -> LearningCurve:
        rows = self.order[:size]
        return curve_of(measure_head(self.task.features[rows], self.task.labels[rows], self.task.l2), [size])

    def _sub_sampled(self, size: int) -> list[tuple[float, float, float]]:
        head, random, points = self._head(size), np.random.default_rng([2, size]), []
        for part, _ in product(PARTS, range(FITS)):
            taken = random.permutation(size)[: round(part * size)]
            losses = self._on_test(refit(head, taken, 1e-3))
            points.append((float(len(taken)), float(losses.mean()), standard_error(losses)))
        return points

    def _head(self, size: int) -> Head:
        x, y = self.task.features[self.order[:size]], self.task.labels[self.order[:size]]
        return fit_head(x, CrossEntropy(y, self.task.classes), self.task.classes, self.task.l2)

    def _on_test(self, head: Head) -> Float64[np.ndarray, " test"]:
        losses = CrossEntropy(self.task.test_labels, self.task.classes).values(head.predict(self.task.test_features))
        return np.asarray(losses)


ASSURANCES = (0.5, 0.6, 0.7, 0.8, 0.9)

Ask = Callable[[Collection, str, list[int], float, float, float], int]
"""How many samples are needed: from the kind of level, all sizes so far, the level now, and how far it has to fall; and
which share of the rounds this one ends."""


def by_draws(assurance: float) -> Ask:
    def ask(run: Collection, level: str, sizes: list[int], now: float, fall: float, share: float) -> int:
        del level
        asked = float(ndtr(share * ndtri(assurance)))
        return by_assurance(sizes[-1], now, fall, run.forecast(sizes[-1]), asked)

    return ask


def by_curve(family: str) -> Ask:
    def ask(run: Collection, level: str, sizes: list[int], now: float, fall: float, share: float) -> int:
        del now, share
        return by_fit(sizes[-1], fall, fit_curve(family, *np.array(run.points(level, sizes)).T, sizes[-1]))

    return ask


METHODS = {f"suffice, {assurance:g}": by_draws(assurance) for assurance in ASSURANCES} | {
    family: by_curve(family) for family in ("power_law", "power_law_with_limit", "arctan")
}


def collected(run: Collection, ask: Ask, level: str, enough: int, rounds: int) -> int:
    """q_T."""
    sizes = [run.start]
    for number in range(1, rounds + 1):
        now = run.mean(sizes[-1]) if level == "mean" else float(run.own(sizes[-1]).mean())
        size = ask(run, level, sizes, now, now - run.mean(enough), number / rounds)
        if size >= enough:
            return size
        if size > sizes[-1]:
            sizes.append(size)
    return sizes[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--pilots", type=int, default=5)
    parser.add_argument("--features", type=Path, default=Path("runs/forecast-benchmark"), help="where they are kept")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=LEVELS)
    parser.add_argument("--again", action="store_true", help="take the means from the committed results of heads.py")
    arguments = parser.parse_args()
    known: dict[str, dict[int, float]] = {}
    if arguments.again:
        for record in json.loads((RESULTS / "forecast_heads.json").read_text())["tasks"]:
            known[record["task"]] = {point["size"]: point["loss"] for point in record["truth"]}
    folder = kept(arguments.features / "collect", arguments.pilots)
    runs: list[dict[str, Any]] = []
    for task in all_tasks(arguments.shared, arguments.features):
        runs += once(
            folder / f"{task.name}.json",
            lambda task=task: of_task(task, arguments.pilots, arguments.levels, known.get(task.name, {})),
        )
        print(task.name, flush=True)
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        alike.setdefault(tuple(run[key] for key in ("method", "level", "rounds", "tasks")), []).append(run)
    table = [
        dict(zip(("method", "level", "rounds", "tasks"), key, strict=True))
        | {
            "runs": len(of),
            "failure_rate": float(np.mean([run["failed"] for run in of])),
            "miss_rate": float(np.mean([run["missed"] for run in of])),
            "median_cost_ratio": float(np.median([run["ratio"] for run in of])),
            "median_cost_ratio_of": {
                times: float(np.median([run["ratio"] for run in of if run["times"] == times])) for times in TIMES
            },
        }
        for key, of in alike.items()
    ]
    save("forecast_collect", {"table": table})


def of_task(task: Task, pilots: int, levels: Sequence[str], known: dict[int, float]) -> list[dict[str, Any]]:
    """What became of each run; `known` are mean losses from q0 on."""
    start = round(START * len(task.labels))
    knots = sorted({max(2, round(knot * start)) for knot in (*PARTS, *KNOTS)})
    if known:  # from the pilot on, what is known of other sizes is enough: the loss is nearly straight in 1/k
        knots = sorted({*(size for size in knots if size < start), *known})
    means = {size: known[size] if size in known else truth(task, size, 0, DRAWN)["loss"] for size in knots}
    runs = []
    for seed in range(pilots):
        order = np.random.default_rng([seed, 3]).permutation(len(task.labels))
        run = Collection(task, order, start, means)
        for times, level, rounds, (name, ask) in product(TIMES, levels, ROUNDS, METHODS.items()):
            enough = times * start
            size = collected(run, ask, level, enough, rounds)
            runs.append(
                {
                    "method": name,
                    "level": level,
                    "rounds": rounds,
                    "tasks": task.group,
                    "times": times,
                    "failed": size < enough,
                    "missed": size < enough and float(run.own(size).mean()) > run.mean(enough),
                    "ratio": (size - start) / (enough - start) - 1,
                }
            )
    return runs


if __name__ == "__main__":
    main()
