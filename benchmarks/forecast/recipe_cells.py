"""Collects what heads with other penalties lose at other sizes, on the tuning and development data of `outside_tasks`.

Run as ``PYTHONPATH=benchmarks/forecast python benchmarks/forecast/recipe_cells.py SHARED --cache FOLDER``. It writes
one file for each cell, a data set with a pilot size, ``FOLDER/recipes/NAME__SIZE.npz``, and goes on where it was
stopped; `recipes` judges the forecasts by them. The held-out part is left alone.

The pilots are those of `outside_heads`, which this goes with, and the penalty is that of its cells: the one that folds
choose on another pilot. Here is the truth, from random splits of the data set: up to four fifths are to train on, and
heads of each size are fitted to up to four disjoint parts of these, with penalties half a decade apart. From these the
loss of a recipe with given penalties is read. In the first splits `choose_penalty` chooses the penalty of one training
of each size as well: the recipe that tunes again.

With R splits, S sizes (k_0, and 2, 4, 8 times k_0 where there are so many) and G penalties, a cell has

- ``about``: JSON of data_set, part, columns, classes, size, samples;
- ``sizes`` (S,); ``penalties`` (G,), falling; ``loss``, ``error`` (R, S, G), means over the trainings of a split;
- ``tuned_loss``, ``tuned_error``, ``tuned_penalty`` (T, S): of one training with the penalty that its folds choose.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from outside_heads import PARTS, PILOTS, TEST_SHARE, TESTED, TIMES, drawn, fitted, pilot_sizes
from outside_tasks import DEVELOPMENT, TUNING, OutsideTask, makers, outside_task, part_of

from suffice.forecasting import choose_penalty
from suffice.forecasting.head import refit
from suffice.training.predictions import Predictions

STEPS = np.arange(1.5, -3.01, -0.5)
"""Decades from the penalty that folds choose on another pilot."""

LEAST, AHEAD, LARGEST_WORK, CLASSES = 48, 4, 2e6, 10
"""Samples of a pilot, and the largest size over these, at least; samples times weights, and classes, at most."""

WORK, SPLITS, TUNED = 4e6, (4, 16), 6
"""Samples times weights that the trainings of a cell have together; fewest and most splits; those that tune again."""


def cell(task: OutsideTask, part: str, size: int) -> dict[str, Any]:
    sizes = [size * more for more in TIMES if size * more <= (1 - TEST_SHARE) * len(task.labels)]
    other = drawn(task, size, PILOTS)
    penalties = choose_penalty(task.features[other], task.labels[other]) * 10**STEPS
    parts = [min(PARTS, sizes[-1] // of) for of in sizes]
    weights = min(sizes[-1], task.features.shape[1]) * task.classes
    work = sum(of * count for of, count in zip(sizes, parts, strict=True)) * weights
    splits = int(np.clip(WORK / work, *SPLITS))
    random, found, tuned = np.random.default_rng([3, size]), [], []
    for split in range(splits):
        order = random.permutation(len(task.labels))
        test = order[sizes[-1] :][:TESTED]
        found.append(
            [
                np.mean([_along(task, order[of * at : of * (at + 1)], test, penalties) for at in range(count)], axis=0)
                for of, count in zip(sizes, parts, strict=True)
            ]
        )
        if split < TUNED:
            tuned.append([_tuned(task, order[:of], test) for of in sizes])
    about = {"data_set": task.name, "part": part, "columns": task.features.shape[1], "classes": task.classes} | {
        "size": size,
        "samples": len(task.labels),
    }
    truth, by_folds = np.array(found), np.array(tuned)
    return {
        "about": json.dumps(about),
        "sizes": np.array(sizes),
        "penalties": penalties,
        "loss": truth[..., 0],
        "error": truth[..., 1],
        "tuned_loss": by_folds[..., 0],
        "tuned_error": by_folds[..., 1],
        "tuned_penalty": by_folds[..., 2],
    }


def _along(
    task: OutsideTask,
    rows: Int64[np.ndarray, " rows"],
    test: Int64[np.ndarray, " test"],
    penalties: Float64[np.ndarray, " penalties"],
) -> Float64[np.ndarray, "penalties 2"]:
    """Loss and error at each penalty, each fit from where the last ended."""
    head, found = fitted(task, rows, float(penalties[0])), []
    for penalty in penalties:
        head = refit(replace(head, penalty=float(penalty)), stationary=1e-3)
        told = Predictions(len(rows), head.predict(task.features[test]), task.labels[test])
        found.append([told.losses.mean(), told.wrong.mean()])
    return np.array(found)


def _tuned(task: OutsideTask, rows: Int64[np.ndarray, " rows"], test: Int64[np.ndarray, " test"]) -> list[float]:
    if np.bincount(task.labels[rows], minlength=task.classes).min() < 2:
        return [np.nan] * 3
    penalty = choose_penalty(task.features[rows], task.labels[rows])
    told = Predictions(len(rows), fitted(task, rows, penalty).predict(task.features[test]), task.labels[test])
    return [float(told.losses.mean()), float(told.wrong.mean()), penalty]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/forecast-benchmark/outside"))
    arguments = parser.parse_args()
    parts = part_of(list(makers(arguments.shared)))
    folder = arguments.cache / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(name for name, part in parts.items() if part in (TUNING, DEVELOPMENT)):
        task = outside_task(arguments.shared, arguments.cache, name)
        for size in pilot_sizes(task):
            largest = max(more * size for more in TIMES if more * size <= (1 - TEST_SHARE) * len(task.labels))
            is_large = largest * min(largest, task.features.shape[1]) * task.classes > LARGEST_WORK
            file = folder / f"{name}__{size}.npz"
            if size < LEAST or largest < AHEAD * size or is_large or task.classes > CLASSES or file.exists():
                continue
            start = time.process_time()
            found = cell(task, parts[name], size)
            unfinished = file.with_suffix(".unfinished.npz")
            np.savez_compressed(unfinished, **found)
            unfinished.rename(file)
            print(file.stem, found["loss"].shape, f"{time.process_time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
