"""How well the gain of more samples is told for last layers, LoRA and whole models, from one training.

Run in the project's folder, with an experiment of ``suffice study``, as

    PYTHONPATH=benchmarks python benchmarks/forecast/layers.py vit-fashion --methods "last_layers(1),lora(4)" \\
        --sizes 250,500,1000

The truth is the mean over the seeds of the study. Curves are fitted to its trainings at all sizes up to the pilot's, of
all seeds; the forecasts have the one training, which is made here as there.
"""

import argparse
import functools
import json
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import yaml
from collecting import EVEN, by_fit
from environment import save

from suffice.configuration import StudyConfig, read_configuration
from suffice.engine import Workers
from suffice.forecasting import (
    FAMILIES,
    CurveFit,
    Estimator,
    FirstOrder,
    NoImprovement,
    Slope,
    curve_of,
    effective_penalty,
    estimators_of,
    fit_curve,
    measure_problem,
)
from suffice.results import Band
from suffice.studies import StudySamples, train_cell
from suffice.training import Learners, Series

FURTHEST = 8
"""Times the pilot."""

KEPT = Path("runs/forecast-benchmark")
"""Where features and what came of each pilot are left."""

COLLECTING = ("power_law", "power_law_with_limit", "arctan")
"""Curves that are asked how many samples to collect, for the loss that a larger size has."""

Cells = dict[tuple[str, str, int], list[dict[str, Any]]]
"""Trainings by task, method and size."""


def of_study(experiment: str) -> Cells:
    found: Cells = {}
    result = json.loads((Path("experiments") / experiment / "result.json").read_text())
    for cell in result["study"]["cells"]:
        if cell["status"] == "finished":
            found.setdefault((cell["task"], cell["method"], cell["size"]), []).append(cell)
    return found


def by_curves(cells: Cells, task: str, method: str, size: int) -> list[CurveFit | FirstOrder | NoImprovement]:
    """Fitted to the real trainings at sizes up to the pilot's."""
    smaller = [
        cell for (of, by, at), some in cells.items() if (of, by) == (task, method) and at <= size for cell in some
    ]
    at = np.array([float(cell["size"]) for cell in smaller])
    losses = np.array([cell["test_loss"] for cell in smaller])
    before = sorted(set(at))[-2]
    fall = losses[at == before].mean() - losses[at == size].mean()
    return [
        *(
            fit_curve(name, at, losses, np.full(len(at), EVEN), size)
            for name, family in FAMILIES.items()
            if len(set(at)) >= family.free
        ),
        FirstOrder("two points", size, Slope(fall / (1 / before - 1 / size), 0.0)),
        NoImprovement(size),
    ]


def asked(falls: list[float], size: int, curves: list[CurveFit | FirstOrder | NoImprovement]) -> dict[str, list[int]]:
    """How many samples each curve says to collect, in one round, for so far a fall of the loss."""
    return {
        one.family: [by_fit(size, fall, one) for fall in falls]
        for one in curves
        if isinstance(one, CurveFit) and one.family in COLLECTING
    }


def means(cells: Cells, task: str, method: str, sizes: list[int], what: str) -> list[float]:
    return [fmean(cell[what] for cell in cells[task, method, size]) for size in sizes]


@dataclass(frozen=True)
class Pilot:
    """What is trained, and forecast.

    Attributes:
        experiment: whose recipe and samples are taken.
        information: whether the slope of the tangent kernel is told as well.
        place: classes, method and seed.
        size: number of samples.
    """

    experiment: str
    information: bool
    place: Series
    size: int

    @property
    def file(self) -> Path:
        """Where the result is left."""
        return KEPT / self.experiment / "pilots" / f"{'-'.join(map(str, self.place))}-{self.size}.json"


@functools.cache
def opened(experiment: str) -> tuple[StudyConfig, StudySamples, Learners]:
    recipe = yaml.safe_load((Path("experiments") / experiment / "config.yaml").read_text())
    config = read_configuration(StudyConfig, recipe)
    samples = StudySamples(config)
    return config, samples, Learners(config, samples.tasks, KEPT / experiment)


def measure(pilot: Pilot) -> None:
    """Trains, forecasts, and writes what came of it."""
    config, samples, learners = opened(pilot.experiment)
    cells, place, size = of_study(pilot.experiment), pilot.place, pilot.size
    task, method, seed = place
    parts = samples.tasks[task].parts
    ahead = sorted(at for of, by, at in cells if (of, by) == (task, method) and size < at <= FURTHEST * size)
    losses = means(cells, task, method, [size, *ahead], "test_loss")
    learner = learners.get(place)
    order = samples.order(task, seed)
    start = time.perf_counter()
    train_cell(config, learner, parts, order, place, size)
    trained = time.perf_counter()
    problem = learner.problem(order[:size])
    holdout = learner.problem(parts.test).dataset
    penalty = effective_penalty(problem, learner.initial)
    found = measure_problem(problem, penalty, None, "holdout", holdout)
    seconds = time.perf_counter() - trained
    curves = by_curves(cells, task, method, size)
    estimators: list[Estimator] = [*estimators_of(found).values(), *curves]
    if pilot.information:
        with_kernel = measure_problem(problem, penalty, None, "holdout", holdout, estimator="information")
        estimators.append(estimators_of(with_kernel)["information"])
    curve = curve_of(found, [size, *ahead])
    record = {
        "task": task,
        "method": method,
        "size": size,
        "seed": seed,
        "ahead": ahead,
        "true_loss": losses,
        "true_accuracy": means(cells, task, method, [size, *ahead], "test_accuracy"),
        "loss": band(curve.loss),
        "accuracy": band(curve.accuracy),
        "status": curve.status,
        "explanation": curve.explanation,
        "slope": curve.slope,
        "slope_error": curve.slope_error,
        "own_loss": found.own_loss,
        "descent": found.descent,
        "gains": {one.name: one.gain(np.array(ahead, dtype=float)).tolist() for one in estimators},
        "asked": asked([losses[0] - loss for loss in losses[1:]], size, curves),
        "seconds": {"training": trained - start, "forecast": seconds},
    }
    pilot.file.parent.mkdir(parents=True, exist_ok=True)
    pilot.file.write_text(json.dumps(record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--methods", required=True, help="such as last_layers(1),lora(4)")
    parser.add_argument("--sizes", required=True, help="of the pilots")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--information", action="store_true", help="the slope of the tangent kernel as well")
    parser.add_argument("--workers", type=int, default=1, help="processes; with more than one no times are told")
    arguments = parser.parse_args()
    _, samples, learners = opened(arguments.experiment)
    methods, sizes = arguments.methods.split(","), [int(size) for size in arguments.sizes.split(",")]
    for method in methods:
        for shard in learners.plan_features(method):
            learners.run_features(method, shard)
    pilots = [
        Pilot(arguments.experiment, arguments.information, Series(task, method, seed), size)
        for task, method, size, seed in product(samples.tasks, methods, sizes, range(arguments.seeds))
    ]
    with Workers(arguments.workers, torch.get_num_threads() if arguments.workers == 1 else 1) as workers:
        workers.run(measure, pilots, lambda pilot: print(pilot.place, pilot.size, flush=True))
    records = [json.loads(pilot.file.read_text()) for pilot in pilots]
    if arguments.workers > 1:
        for record in records:
            del record["seconds"]
    save(f"forecast_layers_{arguments.experiment}", {"pilots": records})


def band(of: Band) -> dict[str, list[float]]:
    return {name: getattr(of, name).tolist() for name in ("mean", "low", "high")}


if __name__ == "__main__":
    main()
