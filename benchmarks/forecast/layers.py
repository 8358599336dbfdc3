"""How well the gain of more samples is told for last layers, LoRA and whole models, from one training.

Run in the project's folder, with an experiment of ``suffice study``, as

    PYTHONPATH=benchmarks python benchmarks/forecast/layers.py vit-fashion --methods "last_layers(1),lora(4)" \\
        --sizes 250,500,1000

The truth is the mean over the seeds of the study. Curves are fitted to its trainings at all sizes up to the pilot's, of
all seeds; the forecasts have the one training, which is made here as there.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import yaml
from environment import save

from suffice.configuration import StudyConfig, read_configuration
from suffice.forecasting import FAMILIES, curve_of, effective_penalty, fit_curve, measure_problem
from suffice.results import Band
from suffice.studies import ALL, Learners, Place, StudySamples, train_cell

FURTHEST = 8
"""Times the pilot."""

Cells = dict[tuple[str, int], list[dict[str, Any]]]


def of_study(experiment: str) -> Cells:
    """The trainings on all classes, by method and size."""
    found: Cells = {}
    result = json.loads((Path("experiments") / experiment / "result.json").read_text())
    for cell in result["study"]["cells"]:
        if cell["task"] == "all" and cell["status"] == "finished":
            found.setdefault((cell["method"], cell["size"]), []).append(cell)
    return found


def by_curves(cells: Cells, method: str, size: int, ahead: list[int]) -> dict[str, list[float]]:
    """Gains that curves tell which are fitted to the real trainings at sizes up to the pilot's."""
    smaller = [cell for (name, at), some in cells.items() if name == method and at <= size for cell in some]
    at = np.array([float(cell["size"]) for cell in smaller])
    losses = np.array([cell["test_loss"] for cell in smaller])
    sizes = np.array(ahead, dtype=np.float64)
    gains = {}
    for name, family in FAMILIES.items():
        if len(set(at)) >= family.free:
            gains[name] = fit_curve(name, at, losses, np.full(len(at), 0.01), size).gain(sizes).tolist()
    before = sorted(set(at))[-2]
    fall = losses[at == before].mean() - losses[at == size].mean()
    gains["two points"] = (fall / (1 / before - 1 / size) * (1 / size - 1 / sizes)).tolist()
    gains["no improvement"] = [0.0] * len(ahead)
    return gains


def means(cells: Cells, method: str, sizes: list[int], what: str) -> list[float]:
    return [fmean(cell[what] for cell in cells[method, size]) for size in sizes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--methods", required=True, help="such as last_layers(1),lora(4)")
    parser.add_argument("--sizes", required=True, help="of the pilots")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--information", action="store_true", help="the slope of the tangent kernel as well")
    arguments = parser.parse_args()
    cells = of_study(arguments.experiment)
    asked = yaml.safe_load((Path("experiments") / arguments.experiment / "config.yaml").read_text())
    config = read_configuration(StudyConfig, asked | {"class_subsets": []})
    samples = StudySamples(config)
    learners = Learners(config, samples.tasks, Path("runs/forecast-benchmark") / arguments.experiment)
    parts = samples.tasks[ALL].parts
    records = []
    for method in arguments.methods.split(","):
        for shard in learners.plan_features(method):
            learners.run_features(method, shard)
        for size in map(int, arguments.sizes.split(",")):
            ahead = sorted(at for name, at in cells if name == method and size < at <= FURTHEST * size)
            losses = means(cells, method, [size, *ahead], "test_loss")
            accuracies = means(cells, method, [size, *ahead], "test_accuracy")
            for seed in range(arguments.seeds):
                learner = learners.get(Place(ALL, method, seed))
                order = samples.order(ALL, seed)
                start = time.perf_counter()
                train_cell(config, learner, parts, order, Place(ALL, method, seed), size)
                trained = time.perf_counter()
                problem = learner.problem(order[:size])
                holdout = learner.problem(parts.test).dataset
                pilot = measure_problem(problem, None, None, "holdout", holdout)
                seconds = time.perf_counter() - trained
                estimators = dict(pilot.estimators)
                if arguments.information:
                    penalty = effective_penalty(problem, learner.initial)
                    found = measure_problem(problem, penalty, None, "holdout", holdout, estimator="information")
                    estimators["information"] = found.estimators["information"]
                curve = curve_of(pilot, [size, *ahead])
                gains = {name: one.gain(np.array(ahead, dtype=float)).tolist() for name, one in estimators.items()}
                records.append(
                    {
                        "method": method,
                        "size": size,
                        "seed": seed,
                        "ahead": ahead,
                        "true_loss": losses,
                        "true_accuracy": accuracies,
                        "loss": band(curve.loss),
                        "accuracy": band(curve.accuracy),
                        "status": curve.status,
                        "explanation": curve.explanation,
                        "own_loss": pilot.own_loss,
                        "descent": pilot.descent,
                        "gains": gains | by_curves(cells, method, size, ahead),
                        "seconds": {"training": trained - start, "forecast": seconds},
                    }
                )
                print(json.dumps(records[-1]), flush=True)
    save(f"forecast_layers_{arguments.experiment}", {"pilots": records})


def band(of: Band) -> dict[str, list[float]]:
    return {name: getattr(of, name).tolist() for name in ("mean", "low", "high")}


if __name__ == "__main__":
    main()
