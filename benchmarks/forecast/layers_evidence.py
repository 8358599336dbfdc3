"""What forecasts of last layers, LoRA and whole models are made from, kept for each pilot: the trainings are run once.

Run in the project's folder, with an experiment of ``suffice study``, as

    PYTHONPATH=benchmarks python benchmarks/forecast/layers_evidence.py vit-digits --folder runs/layers \\
        --methods "last_layers(1),lora(4),full" --sizes 80,160,320

A pilot is trained as the study trains, on the first samples of a seed, and so are its five folds and two halves. Its
file, ``FOLDER/EXPERIMENT/TASK_METHOD_SEED_SIZE.npz``, holds

- ``own outputs``, ``own labels``: of the pilot's model for its own samples;
- ``test outputs``, ``test labels``: of the same model for the test part of the study;
- ``fold outputs``, ``half outputs``: for its own samples, each by the model that was trained without its fold or half;
- ``penalty``: the effective penalty, nan if none holds the weights; ``descent``: as `suffice.forecasting.Pilot` has it;
- ``moving``: number of weights that move; ``seconds``: of all eight trainings;
- ``experiment``, ``task``, ``method``, ``seed``, ``size``.

The truth is not in it: it is in the study's ``result.json``. A file that is there is not made again.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Int64
from torch import Tensor

from suffice.configuration import StudyConfig, read_configuration
from suffice.curvature import parameter_count
from suffice.errors import InputError
from suffice.forecasting import FOLDS_OF_TRAININGS, effective_penalty, measure_problem
from suffice.forecasting.levels import trained_out_of_fold
from suffice.problem import Problem
from suffice.storage import atomic_write
from suffice.studies import StudySamples
from suffice.training import Learner, Learners, Series, fine_tune, training_of

EXPERIMENTS = Path("experiments")


class Study:
    """A study whose trainings are run again, on parts of its samples."""

    def __init__(self, experiment: str, folder: Path) -> None:
        recipe = yaml.safe_load((EXPERIMENTS / experiment / "config.yaml").read_text())
        self.experiment = experiment
        self.config = read_configuration(StudyConfig, recipe)
        self.samples = StudySamples(self.config)
        self.learners = Learners(self.config, self.samples.tasks, folder / experiment)
        found = json.loads((EXPERIMENTS / experiment / "result.json").read_text())["study"]["cells"]
        self.trained = {
            (cell["task"], cell["method"], cell["size"], cell["seed"]) for cell in found if cell["status"] == "finished"
        }
        self._folder = folder / experiment

    def file(self, place: Series, size: int) -> Path:
        """Where a pilot's evidence is kept."""
        return self._folder / f"{place.task}_{place.method}_{place.seed}_{size}.npz"

    def measure(self, place: Series, size: int) -> None:
        """Trains on a pilot and on its parts, and keeps what came of it."""
        learner = self.learners.get(place)
        rows = self.samples.order(place.task, place.seed)[:size]
        start = time.perf_counter()
        trained = self._train(learner, place, rows)
        problem = learner.problem(rows)
        holdout = learner.problem(self.samples.tasks[place.task].parts.test).dataset
        learner.load(trained)
        found = measure_problem(problem, None, None, "holdout", holdout)
        labels = found.own.labels

        def refit(positions: Int64[np.ndarray, " _"]) -> Mapping[str, Tensor]:
            return self._train(learner, place, rows[positions])

        unseen = {
            name: trained_out_of_fold(problem, labels, refit, folds, self.config.seed)
            for name, folds in (("fold", FOLDS_OF_TRAININGS), ("half", 2))
        }
        learner.load(trained)
        content: dict[str, Any] = {
            "own outputs": found.own.outputs,
            "own labels": labels,
            "test outputs": found.holdout.outputs,
            "test labels": found.holdout.labels,
            **{f"{name} outputs": predictions.outputs for name, predictions in unseen.items()},
            "penalty": _penalty(problem, learner),
            "descent": found.descent,
            "moving": parameter_count(problem),
            "seconds": time.perf_counter() - start,
            "experiment": self.experiment,
            "size": size,
            **place._asdict(),
        }
        file = self.file(place, size)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            np.savez(stream, **content)

    def _train(self, learner: Learner, place: Series, rows: Int64[np.ndarray, " rows"]) -> dict[str, Tensor]:
        learner.load(learner.initial)
        fine_tune(learner.problem(rows), training_of(self.config, self.config.of_method(place.method), place))
        return learner.state()


def _penalty(problem: Problem, learner: Learner) -> float:
    try:
        return effective_penalty(problem, learner.initial)
    except InputError:  # the way from the initial weights does not determine it
        return math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--folder", type=Path, default=Path("runs/layers"))
    parser.add_argument("--methods", required=True, help="such as last_layers(1),lora(4)")
    parser.add_argument("--sizes", required=True, help="of the pilots")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--tasks", default="", help="separated by semicolons; all by default")
    arguments = parser.parse_args()
    study = Study(arguments.experiment, arguments.folder)
    methods, sizes, seeds = arguments.methods.split(","), arguments.sizes.split(","), arguments.seeds.split(",")
    tasks = arguments.tasks.split(";") if arguments.tasks else list(study.samples.tasks)
    for method in methods:
        for shard in study.learners.plan_features(method):
            study.learners.run_features(method, shard)
    for seed, task, method, size in product(map(int, seeds), tasks, methods, map(int, sizes)):
        place = Series(task, method, seed)
        if (task, method, size, seed) in study.trained and not study.file(place, size).exists():
            start = time.perf_counter()
            study.measure(place, size)
            print(*place, size, f"{time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
