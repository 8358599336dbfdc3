"""How well the gain of more samples is told for heads, by all methods, from one pilot of 5, 10 or 20% of a pool.

Run as ``PYTHONPATH=benchmarks python benchmarks/forecast/heads.py SHARED``, SHARED being the folder of models and data.
The truth is the mean test loss of heads that are fitted to so many samples of the pool; ``--again`` takes it from the
committed results.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from environment import RESULTS, alternate, save
from intervals import WIDTH
from jaxtyping import Float64, Int64
from sklearn.linear_model import LogisticRegression
from tasks import IN_VIEW, NOT_IN_VIEW, TUNED_ON, Task, all_tasks, kept, once

from suffice.forecasting import (
    FAMILIES,
    Estimator,
    NoImprovement,
    TwoPoint,
    curve_of,
    estimators_of,
    fit_curve,
    measure_head,
)
from suffice.forecasting.head import Head, fit_head, refit
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes import calibrated_slope, standard_error
from suffice.forecasting.slopes.best import ENOUGH
from suffice.results import CONFIDENCE, Curve, LearningCurve

SHARES = (0.05, 0.1, 0.2)
"""Of the pool: pilots."""

TIMES = (2, 4, 8, 16)
"""Sizes, over the pilot."""

PARTS = (0.1, 0.2, 0.4, 0.6, 0.8)
"""Of a pilot: the sub-sampled fits of the curve fits, three each."""

FITS = 3

DRAWS = (10, 100)
"""Fewest and most heads of a size that are fitted for the truth."""

DRAWN = 150_000
"""Samples that all of them have together, between these."""

CLEAR = 0.01
"""Rise of the accuracy, from which on its error is told relative to it."""

REPEATS = 3
"""Of each time, after one that is not counted; the least is told."""


def truth(task: Task, size: int, seed: int, drawn: int = DRAWN) -> dict[str, float]:
    """Expected test loss and error rate of heads fitted to so many samples of the pool, with standard errors.

    That of the draws is in gains as well, that of the test part in losses alone, as the gains have the same.
    """
    count = int(np.clip(drawn // size, *DRAWS))
    random = np.random.default_rng([seed, size])
    found = np.array([tested(task, random.permutation(len(task.labels))[:size]) for _ in range(count)])
    loss, wrong = found.mean((0, 2))
    error = found[:, 0].mean(1).std(ddof=1) / np.sqrt(count)
    tests = found.mean(0)
    return {
        "size": size,
        "loss": loss,
        "loss_error": error,
        "loss_test_error": standard_error(tests[0]),
        "wrong": wrong,
        "wrong_test_error": standard_error(tests[1]),
    }


def tested(task: Task, rows: Int64[np.ndarray, " rows"]) -> Float64[np.ndarray, "2 test"]:
    """Losses of the test part, and 1 where it is wrong."""
    head = fit_head(task.features[rows], CrossEntropy(task.labels[rows], task.classes), task.classes, task.l2)
    outputs = head.predict(task.test_features)
    losses = CrossEntropy(task.test_labels, task.classes).values(outputs)
    return np.stack([losses, outputs.argmax(1) != task.test_labels])


def pilot(task: Task, size: int, seed: int) -> dict[str, Any]:
    """What all methods tell from one pilot: the gain, and the whole forecast."""
    rows = np.random.default_rng([seed, size, 1]).permutation(len(task.labels))[:size]
    x, y = task.features[rows], task.labels[rows]
    ahead = [size, *(size * times for times in TIMES if size * times <= len(task.labels))]
    sizes = np.array(ahead[1:], dtype=np.float64)
    found = measure_head(x, y, task.l2, seed)
    at_fold = float(found.unseen.losses.mean())
    forecast = curve_of(found, ahead)
    head = fit_head(x, CrossEntropy(y, task.classes), task.classes, task.l2)
    points = [*sub_sampled(head, y, seed), (found.unseen.samples, at_fold, standard_error(found.unseen.losses))]
    at, values, errors = np.array(points).T
    methods: list[Estimator] = [
        *estimators_of(found, seed).values(),
        *(fit_curve(family, at, values, errors, size) for family in FAMILIES),
        TwoPoint(size, float(found.halves.losses.mean()), at_fold),
        NoImprovement(size),
    ]
    return {
        "size": size,
        "seed": seed,
        "sizes": ahead,
        "status": forecast.status,
        "level": forecast.level,
        "level_error": standard_error(found.unseen.losses),
        "slope": forecast.slope,
        "slope_error": forecast.slope_error,
        "wrong_at_fold": float(found.unseen.wrong.mean()),
        "loss": {name: getattr(forecast.loss, name).tolist() for name in ("mean", "low", "high")},
        "accuracy": {name: getattr(forecast.accuracy, name).tolist() for name in ("mean", "low", "high")},
        "gain": _gain_of(forecast),
        "gains": {method.name: method.gain(sizes).tolist() for method in methods},
    }


def _gain_of(forecast: LearningCurve) -> dict[str, list[float]] | None:
    """Median and interval at each size, from the differences within each draw; None where nothing is told."""
    if not isinstance(forecast.loss, Curve):
        return None
    drawn = forecast.loss.samples
    ends = np.quantile(drawn[:, :1] - drawn, (0.5, (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
    return dict(zip(("mean", "low", "high"), ends.tolist(), strict=True))


def seconds(task: Task, size: int) -> dict[str, float]:
    """Of the pilot's fit, of the folds that all methods take the level from, of the slope, and of retrainings."""
    rows = np.random.default_rng([0, size, 1]).permutation(len(task.labels))[:size]
    x, y = task.features[rows], task.labels[rows]
    head = fit_head(x, CrossEntropy(y, task.classes), task.classes, task.l2)
    outputs = out_of_fold(head, y)
    random = np.random.default_rng(2)
    parts = [random.permutation(size)[: round(part * size)] for part, _ in itertools.product(PARTS, range(FITS))]

    def fit(taken: Int64[np.ndarray, " taken"]) -> Head:
        return fit_head(x[taken], CrossEntropy(y[taken], task.classes), task.classes, task.l2)

    def slope() -> None:
        # of a head that no other slope was taken from
        calibrated_slope(replace(head), outputs, (1 - 1 / FOLDS) * size)

    several = [part for part in parts if len(set(y[part])) > 1]  # it refuses samples of one class

    def by_scikit_learn() -> None:
        for part in several:
            model = LogisticRegression(C=1 / (len(part) * task.l2), fit_intercept=False, max_iter=10_000)
            model.fit(x[part], y[part])

    sides: dict[str, Callable[[], Any]] = {
        "fit": lambda: fit(np.arange(size)),
        "ten folds": lambda: out_of_fold(head, y),
        "slopes": slope,
        "15 retrainings, ours": lambda: [fit(part) for part in parts],
        "15 retrainings, scikit-learn": by_scikit_learn,
    }
    return {name: min(taken) for name, taken in alternate(sides, REPEATS).items()}


def sub_sampled(head: Head, labels: Int64[np.ndarray, " samples"], seed: int) -> Iterator[tuple[float, float, float]]:
    """Size, loss on the other samples and its standard error, of fits to parts of the pilot."""
    random = np.random.default_rng([seed, 2])
    for part, _ in itertools.product(PARTS, range(FITS)):
        order = random.permutation(len(labels))
        taken, others = np.split(order, [max(2, round(part * len(labels)))])
        fitted = refit(head, taken, 1e-3)
        losses = head.loss.take(others).values(head.features[others] @ fitted.weights)
        yield len(taken), float(losses.mean()), standard_error(losses)


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Root mean squares over pilots, at 8 times the pilot or the largest size."""
    parts = {
        f"{group}, {ENOUGH} samples a class or more": [
            record for record in records if record["group"] == group and record["per_class"] >= ENOUGH
        ]
        for group in (TUNED_ON, IN_VIEW, NOT_IN_VIEW)
    } | {
        f"{group}, fewer": [record for record in records if record["group"] == group and record["per_class"] < ENOUGH]
        for group in (TUNED_ON, IN_VIEW, NOT_IN_VIEW)
    }
    return {name: _of_part(part) | {"at": _at(part)} for name, part in parts.items() if part}


def _at(records: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Errors of the gain at each of `TIMES` the pilot, where the pool has so many."""
    gains: dict[int, dict[str, list[float]]] = {times: {} for times in TIMES}
    for record in records:
        losses = {point["size"]: point["loss"] for point in record["truth"]}
        for one in record["pilots"]:
            for place, size in enumerate(one["sizes"][1:]):
                times, true = round(size / one["size"]), losses[one["size"]] - losses[size]
                if one["status"] != "cannot_tell" and times in TIMES:
                    for name, values in one["gains"].items():
                        gains[times].setdefault(name, []).append(values[place] / true - 1)
    return {
        times: {"pilots": len(of["calibrated"])} | {name: _rms(values) for name, values in of.items()}
        for times, of in gains.items()
        if of
    }


KINDS = (
    *("level", "floor", "loss", "accuracy", "true_gain"),
    *("loss_covered", "loss_covered_by_both", "accuracy_covered", "accuracy_covered_by_both", "gain_covered"),
)
"""What is counted of each pilot."""


def _of_part(records: list[dict[str, Any]]) -> dict[str, Any]:
    gains: dict[str, list[float]] = {}
    found: dict[str, list[float]] = {name: [] for name in KINDS}
    refused, scatter = 0, []
    for record in records:
        slopes = [one["slope"] for one in record["pilots"] if one["slope"] is not None]
        if len(slopes) > 1:
            scatter.append(np.std(slopes, ddof=1) / np.mean(slopes))
        truth = {point["size"]: point for point in record["truth"]}
        for one in record["pilots"]:
            if one["status"] == "cannot_tell":
                refused += 1
                continue
            place = max(place for place, size in enumerate(one["sizes"]) if size <= 8 * one["size"])
            now, then = truth[one["size"]], truth[one["sizes"][place]]
            for name, values in one["gains"].items():
                gains.setdefault(name, []).append(values[place - 1] / (now["loss"] - then["loss"]) - 1)
            found["gain_covered"].append(
                one["gain"]["low"][place] <= now["loss"] - then["loss"] <= one["gain"]["high"][place]
            )
            found["level"].append(one["level"] / now["loss"] - 1)
            found["floor"].append(one["level_error"] / now["loss"])
            found["loss"].append(one["loss"]["mean"][place] / then["loss"] - 1)
            rise = now["wrong"] - then["wrong"]
            if rise > CLEAR:
                told = one["accuracy"]["mean"][place] - one["accuracy"]["mean"][0]
                found["accuracy"].append(told / rise - 1)
            found["true_gain"].append(np.hypot(now["loss_error"], then["loss_error"]) / (now["loss"] - then["loss"]))
            for name, true, noise in (
                ("loss", then["loss"], then["loss_test_error"]),
                ("accuracy", 1 - then["wrong"], then["wrong_test_error"]),
            ):
                mean, low, high = (one[name][end][place] for end in ("mean", "low", "high"))
                room = mean - low if true < mean else high - mean
                found[f"{name}_covered"].append(abs(true - mean) <= room)
                found[f"{name}_covered_by_both"].append(abs(true - mean) <= np.hypot(room, WIDTH * noise))
    return {
        "pilots": len(found["loss"]),
        "cannot_tell": refused,
        "error_of_gain": {name: _rms(values) for name, values in gains.items()},
        "error_of_level": _rms(found["level"]),
        "noise_floor": _rms(found["floor"]),
        "error_of_loss": _rms(found["loss"]),
        "error_of_accuracy_gain": _rms(found["accuracy"]),
        "noise_of_true_gain": _rms(found["true_gain"]),
        "noise_of_slope_from_pilot_to_pilot": _rms(scatter),
        "coverage_of_gain": float(np.mean(found["gain_covered"])),
        "coverage_of_loss": float(np.mean(found["loss_covered"])),
        "coverage_of_loss_noise_of_test_part_added": float(np.mean(found["loss_covered_by_both"])),
        "coverage_of_accuracy": float(np.mean(found["accuracy_covered"])),
        "coverage_of_accuracy_noise_of_test_part_added": float(np.mean(found["accuracy_covered_by_both"])),
    }


def _rms(values: list[float]) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--pilots", type=int, default=10)
    parser.add_argument(
        "--features", type=Path, default=Path("runs/forecast-benchmark"), help="where they and finished pilots are kept"
    )
    parser.add_argument("--again", action="store_true", help="take the truth from the committed results")
    arguments = parser.parse_args()
    folder = kept(arguments.features / "heads", arguments.pilots)
    known: dict[str, list[dict[str, float]]] = {}
    if arguments.again:
        before = json.loads((RESULTS / "forecast_heads.json").read_text())["tasks"]
        known = {record["task"]: record["truth"] for record in before}
    records = []
    for task in all_tasks(arguments.shared, arguments.features):
        sizes = [round(share * len(task.labels)) for share in SHARES]
        ahead = sorted({k * times for k in sizes for times in (1, *TIMES) if k * times <= len(task.labels)})
        curve = known.get(task.name) or once(
            folder / f"{task.name}.json", lambda task=task, ahead=ahead: [truth(task, at, 0) for at in ahead]
        )
        for size in sizes:
            found = once(
                folder / f"{task.name}, {size}.json",
                lambda task=task, size=size: {
                    "pilots": [pilot(task, size, seed) for seed in range(arguments.pilots)],
                    "seconds": seconds(task, size),
                },
            )
            of_task = {"task": task.name, "group": task.group, "per_class": size / task.classes, "l2": task.l2}
            records.append(of_task | {"truth": curve} | found)
            print(task.name, size, flush=True)
    for record in records:
        record["summary"] = _of_part([record])
    rows = [{name: value for name, value in record.items() if name != "pilots"} for record in records]
    save("forecast_heads", {"summary": summary(records), "pilots_each": arguments.pilots, "tasks": rows})


if __name__ == "__main__":
    main()
