"""How well the gain of more samples is told for last layers, LoRA and whole models, from one training.

Run in the project's folder, with an experiment of ``suffice study``, as

    PYTHONPATH=benchmarks python benchmarks/forecast/layers.py vit-fashion --methods "lora(4)" --sizes 250,500

The truth is the mean test loss over the seeds of the study, and so are the losses of smaller sizes that curves are
fitted to; the pilots are trained here as there.
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
from suffice.forecasting import FAMILIES, curve_of, effective_penalty, fit_curve
from suffice.forecasting.fine_tuned import measure_problem
from suffice.studies import ALL, Learners, Place, StudySamples, train_cell

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
    gains["a + b/n"] = (fall / (1 / before - 1 / size) * (1 / size - 1 / sizes)).tolist()
    return gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--methods", required=True, help="such as last_layers(1),lora(4)")
    parser.add_argument("--sizes", required=True, help="of the pilots")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    cells = of_study(arguments.experiment)
    asked = yaml.safe_load((Path("experiments") / arguments.experiment / "config.yaml").read_text())
    config = read_configuration(StudyConfig, asked | {"class_subsets": []})
    samples = StudySamples(config)
    learners = Learners(config, samples.tasks, Path("runs/forecast-benchmark") / arguments.experiment)
    test = samples.tasks[ALL].parts.test
    records = []
    for method in arguments.methods.split(","):
        for shard in learners.plan_features(method):
            learners.run_features(method, shard)
        for size in map(int, arguments.sizes.split(",")):
            ahead = sorted(at for name, at in cells if name == method and at > size)
            now = fmean(cell["test_loss"] for cell in cells[method, size])
            truth = [now - fmean(cell["test_loss"] for cell in cells[method, at]) for at in ahead]
            for seed in range(arguments.seeds):
                learner = learners.get(Place(ALL, method, seed))
                order = samples.order(ALL, seed)
                start = time.perf_counter()
                train_cell(config, learner, samples.tasks[ALL].parts, order, Place(ALL, method, seed), size)
                trained = time.perf_counter()
                problem = learner.problem(order[:size])
                penalty = effective_penalty(problem, learner.initial)
                pilot = measure_problem(problem, penalty, None, "holdout", learner.problem(test).dataset)
                seconds = time.perf_counter() - trained
                curve = curve_of(pilot, ahead)
                gains = {
                    name: one.gain(np.array(ahead, dtype=np.float64)).tolist() for name, one in pilot.estimators.items()
                }
                records.append(
                    {
                        "method": method,
                        "size": size,
                        "seed": seed,
                        "ahead": ahead,
                        "penalty": penalty,
                        "true_gain": truth,
                        "level_of_pilot": float(pilot.nearly_all.losses.mean()),
                        "true_level": now,
                        "status": curve.status,
                        "explanation": curve.explanation,
                        "gain_low": (curve.loss.mean[0] - curve.loss.high).tolist(),
                        "gains": gains | by_curves(cells, method, size, ahead),
                        "seconds": {"training": trained - start, "forecast": seconds},
                    }
                )
                print(json.dumps(records[-1]), flush=True)
    names = sorted({name for record in records for name in record["gains"]})
    errors = {
        name: [record["gains"][name][-1] / record["true_gain"][-1] - 1 for record in records if name in record["gains"]]
        for name in names
    }
    table = {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in errors.items()}
    save(f"forecast_layers_{arguments.experiment}", {"error_of_gain_to_the_largest_size": table, "pilots": records})


if __name__ == "__main__":
    main()
