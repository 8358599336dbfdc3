"""Collects what pilots of heads have measured on the data sets of `outside_tasks`, and what more samples brought.

Run as ``PYTHONPATH=benchmarks/forecast python benchmarks/forecast/outside_heads.py SHARED --cache FOLDER``. It writes
one file for each cell, a data set with a pilot size and a penalty, ``FOLDER/cells/NAME__SIZE__TIMES.npz``, and goes on
where it was stopped. Without ``--held-out`` it takes the tuning and development parts alone.

The penalty is chosen by folds on one pilot, and 10 and a tenth times that. A pilot is a random part of the data set
with at least two samples of each class; a size has four or more of the rarest class on average. The truth is the mean
over random splits of the data set: up to four fifths are to train on, and heads of each size are fitted to up to four
disjoint parts of these. All of a split are tested on the same others, so that the noise of the test part leaves the
gains, and the variance between the parts is that between trainings.

With P pilots, R splits, S sizes (k_0, and 2, 4, 8 times k_0 where there are so many), a cell has

- ``about``: JSON of data_set, part, columns, classes, size, penalty (lambda), times (over the chosen one), samples;
- ``sizes`` (S,); ``metrics``, their names: loss, error, balanced_error, macro_f1_error, auroc_error, of which the last
  three are 1 less balanced accuracy, macro F1 and the macro mean of one-versus-rest areas over the classes of the test
  part; ``truth`` (R, S, metrics), means over the trainings of a split; ``variance`` (R, S, metrics), between these,
  nan where there is one;
- ``rows`` (P, k_0), of the data set; ``labels`` (P, k_0); ``own``, ``folds``, ``halves`` (P, k_0, K): outputs of the
  head on its samples, of ten folds and of halves;
- ``measured`` (P, numbers), with their names in ``names``: see `measured`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from outside_tasks import DEVELOPMENT, HELD_OUT, TUNING, OutsideTask, makers, outside_task, part_of
from scipy.stats import rankdata

from suffice.forecasting import choose_penalty
from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.head import Head, fit_head, refit
from suffice.forecasting.levels.folds import STATIONARY, others_of_folds, out_of_fold, outputs_out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import sandwich_slope
from suffice.forecasting.slopes.best import ENOUGH
from suffice.forecasting.slopes.degrees_of_freedom import degrees_of_freedom
from suffice.training.predictions import Predictions

PILOTS = 5

TIMES = (1, 2, 4, 8)
"""Sizes, over the pilot."""

PENALTIES = (1.0, 10.0, 0.1)
"""Over the one that folds choose."""

PER_CLASS, LEAST, LARGEST, OF_RAREST = (8, 28, 90), 18, 900, 4
"""Samples in a pilot: for each class, in all, at most, and of the rarest class on average."""

TEST_SHARE, TESTED = 0.2, 1500
"""Of the data set, the least that is tested on; and the most samples."""

PARTS = 4
"""Most trainings of a size in one split."""

WORK, SPLITS = 5e7, (8, 60)
"""Samples times weights that the trainings of a cell have together, and the fewest and most splits."""

METRICS = ("loss", "error", "balanced_error", "macro_f1_error", "auroc_error")


def pilot_sizes(task: OutsideTask) -> list[int]:
    """Up to three sizes, each at least 1.5 times the last, of which the double can be trained."""
    most = min(LARGEST, int((1 - TEST_SHARE) * len(task.labels) / 2))
    rarest = OF_RAREST * len(task.labels) / np.bincount(task.labels).min()
    sizes: list[int] = []
    for each in PER_CLASS:
        size = int(min(most, max(LEAST, rarest, each * task.classes)))
        if not sizes or size >= 1.5 * sizes[-1]:
            sizes.append(size)
    return sizes


def metrics(outputs: Float64[np.ndarray, "test classes"], labels: Int64[np.ndarray, " test"]) -> list[float]:
    """In the order of `METRICS`; classes that the labels lack are left out of means over classes."""
    predictions = Predictions(0, outputs, labels)
    named, counts = outputs.argmax(1), np.bincount(labels, minlength=outputs.shape[1])
    right = np.bincount(labels[named == labels], minlength=len(counts))
    there = (counts > 0) & (counts < len(labels))
    f1 = 2 * right / np.maximum(counts + np.bincount(named, minlength=len(counts)), 1)
    # the area is the share of pairs in the right order
    positive = np.eye(len(counts))[labels]
    ranks = (rankdata(predictions.probabilities, axis=0) * positive).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        areas = (ranks - counts * (counts + 1) / 2) / (counts * (len(labels) - counts))
        recalls = right / counts
    return [
        float(predictions.losses.mean()),
        float(predictions.wrong.mean()),
        1 - float(recalls[counts > 0].mean()),
        1 - float(f1[counts > 0].mean()),
        1 - float(areas[there].mean()),
    ]


def fitted(task: OutsideTask, rows: Int64[np.ndarray, " rows"], penalty: float) -> Head:
    return fit_head(task.features[rows], CrossEntropy(task.labels[rows], task.classes), task.classes, penalty)


def truth(task: OutsideTask, sizes: list[int], penalty: float) -> Float64[np.ndarray, "2 splits sizes metrics"]:
    """Mean and variance over the trainings of each split."""
    parts = [min(PARTS, sizes[-1] // size) for size in sizes]
    work = sum(
        count * size * min(size, task.features.shape[1]) * task.classes
        for size, count in zip(sizes, parts, strict=True)
    )
    random, found = np.random.default_rng([1, sizes[0]]), []
    for _ in range(int(np.clip(WORK / work, *SPLITS))):
        order = random.permutation(len(task.labels))
        test = order[sizes[-1] :][:TESTED]

        def tested(rows: Int64[np.ndarray, " rows"], test: Int64[np.ndarray, " test"] = test) -> list[float]:
            return metrics(fitted(task, rows, penalty).predict(task.features[test]), task.labels[test])

        of_split = [
            np.array([tested(order[size * part : size * (part + 1)]) for part in range(count)])
            for size, count in zip(sizes, parts, strict=True)
        ]
        variances = [of.var(0, ddof=1) if len(of) > 1 else np.full(len(METRICS), np.nan) for of in of_split]
        found.append([[of.mean(0) for of in of_split], variances])
    return np.swapaxes(found, 0, 1)


def drawn(task: OutsideTask, size: int, seed: int) -> Int64[np.ndarray, " size"]:
    """Rows of a pilot, with at least two samples of each class."""
    random = np.random.default_rng([2, size, seed])
    while True:
        rows = random.permutation(len(task.labels))[:size]
        if np.bincount(task.labels[rows], minlength=task.classes).min() >= 2:
            return rows


def measured(head: Head, labels: Int64[np.ndarray, " samples"], seed: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Numbers and outputs of one pilot.

    Losses: own, fold, half, and own_half, of the heads for halves on their own samples; gap_error, the standard error
    of fold - own. Degrees of freedom: first, second, and first_half, second_half. Temperatures of the outputs out of
    ten folds and of halves. information and noise, the slopes from the curvature, as `suffice.forecasting` takes them.
    seconds of all of it but the fit.
    """
    start, size = time.perf_counter(), len(labels)
    folds = out_of_fold(head, labels, seed=seed)
    parts = others_of_folds(labels, 2, seed)
    halves = [refit(head, rows, STATIONARY) for rows in parts]
    of_halves = outputs_out_of_fold(
        head, [(half.weights, rows) for half, rows in zip(halves, parts[::-1], strict=True)]
    )
    own = head.loss.values(head.outputs)
    in_fold, in_halves = Predictions(0.9 * size, folds, labels), Predictions(0.5 * size, of_halves, labels)
    all_of_it, of_half = (
        degrees_of_freedom(head, seed),
        np.mean([degrees_of_freedom(half, seed) for half in halves], axis=0),
    )
    share = 1 - min(1.0, size / head.weights.shape[1] / ENOUGH) / 2
    numbers = {
        "own": own.mean(),
        "fold": in_fold.losses.mean(),
        "half": in_halves.losses.mean(),
        "own_half": np.mean([half.loss.values(half.outputs).mean() for half in halves]),
        "gap_error": (in_fold.losses - own).std(ddof=1) / np.sqrt(size),
        "half_gap_error": (in_halves.losses - in_fold.losses).std(ddof=1) / np.sqrt(size),
        "fold_error": in_fold.losses.std(ddof=1) / np.sqrt(size),
        "first": all_of_it.first,
        "second": all_of_it.second,
        "first_half": of_half[0],
        "second_half": of_half[1],
        "temperature": Calibrated(in_fold).temperature,
        "temperature_half": Calibrated(in_halves).temperature,
        "wrong": in_fold.wrong.mean(),
        "information": all_of_it.second / 2,
        "noise": sandwich_slope(head, (1 - share) * head.outputs + share * folds, seed).value,
        "rank": head.weights.shape[0],
        "seconds": time.perf_counter() - start,
    }
    arrays = {"labels": labels, "own": head.outputs, "folds": folds, "halves": of_halves}
    return {name: float(value) for name, value in numbers.items()}, arrays


def cell(task: OutsideTask, part: str, size: int, times: float, penalty: float) -> dict[str, Any]:
    sizes = [size * more for more in TIMES if size * more <= (1 - TEST_SHARE) * len(task.labels)]
    rows = [drawn(task, size, seed) for seed in range(PILOTS)]
    pilots = [measured(fitted(task, of, penalty), task.labels[of], seed) for seed, of in enumerate(rows)]
    about = {"data_set": task.name, "part": part, "columns": task.features.shape[1], "classes": task.classes} | {
        "size": size,
        "penalty": penalty,
        "times": times,
        "samples": len(task.labels),
    }
    means, variances = truth(task, sizes, penalty)
    arrays = {name: np.stack([found[name] for _, found in pilots]) for name in pilots[0][1]}
    return arrays | {
        "about": json.dumps(about),
        "sizes": np.array(sizes),
        "metrics": np.array(METRICS),
        "truth": means,
        "variance": variances,
        "rows": np.stack(rows),
        "names": np.array(list(pilots[0][0])),
        "measured": np.array([list(numbers.values()) for numbers, _ in pilots]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/forecast-benchmark/outside"))
    parser.add_argument("--held-out", action="store_true", help="take the held-out data sets, at the end, once")
    arguments = parser.parse_args()
    parts = part_of(list(makers(arguments.shared)))
    wanted = (HELD_OUT,) if arguments.held_out else (TUNING, DEVELOPMENT)
    folder = arguments.cache / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(name for name, part in parts.items() if part in wanted):
        task = outside_task(arguments.shared, arguments.cache, name)
        for size in pilot_sizes(task):
            rows = drawn(task, size, PILOTS)
            chosen = choose_penalty(task.features[rows], task.labels[rows])
            for times in PENALTIES:
                file = folder / f"{name}__{size}__{times:g}.npz"
                if file.exists():
                    continue
                start = time.perf_counter()
                found = cell(task, parts[name], size, times, times * chosen)
                unfinished = file.with_suffix(".unfinished.npz")
                np.savez_compressed(unfinished, **found)
                unfinished.rename(file)
                print(file.stem, found["truth"].shape[:2], f"{time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
