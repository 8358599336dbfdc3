"""How well metrics are foretold where the fall of the loss is known, and the numbers of `suffice.forecasting.metrics`.

Run as ``PYTHONPATH=benchmarks python benchmarks/forecast/metric_rates.py CACHE``, CACHE being the folder that
`outside_heads.py` has filled. The noise of the rates, ALWAYS and FROM_NOISE, is fitted to the tuning data sets, all
metrics together, by maximum likelihood; all is shown of the development data sets as well. The fall of the loss is the
true one, so that errors are those of the metric alone. Each data set has the same weight; intervals are of a bootstrap
over data sets.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from environment import save
from jaxtyping import Float64
from scipy.stats import beta, norm

from suffice.forecasting.metrics import (
    AUROC,
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    Metric,
    MetricNow,
    Rates,
    known,
    metric_now,
)
from suffice.forecasting.metrics.now import LUCK
from suffice.forecasting.metrics.rate import ALWAYS, FROM_NOISE
from suffice.training.predictions import Predictions

METRICS: dict[str, Metric] = {
    "error": Accuracy(),
    "balanced_error": BalancedAccuracy(),
    "macro_f1_error": MacroF1(),
    "auroc_error": AUROC(),
}
"""By the name that the cache has for 1 less the metric."""

CLEAR = 0.004
"""Rises of the metric from which on their logarithm is compared; they are also twice their standard error."""

CLEAR_FALL = 0.01
"""The same of falls of the loss, over the loss."""

ENOUGH = 24
"""Samples a class, between the two parts of a table."""

DRAWS, BOOTSTRAPS = 1000, 1000

TRIED = np.arange(0.05, 1, 0.05), np.arange(0.0, 2, 0.1)
"""Values of ALWAYS and FROM_NOISE."""


@dataclass(frozen=True)
class Found:
    """Of one pilot and metric, at some times its samples."""

    data_set: str
    part: str
    per_class: float
    metric: str
    times: int
    now: MetricNow
    true_now: float
    noise: float
    fall: float
    fall_from_folds: float
    loss: float
    rise: float
    rise_error: float
    true: float
    rates: dict[str, float]

    @property
    def is_clear(self) -> bool:
        """Whether the rate has a logarithm that means something."""
        return self.fall > CLEAR_FALL * self.loss and self.rise > max(CLEAR, 2 * self.rise_error)


def of_cell(file: Path, parts: Sequence[str]) -> list[Found]:
    """Everything of a cell; nothing where it is of another part."""
    with np.load(file) as kept:
        cell = {name: kept[name] for name in kept}
    about = json.loads(str(cell["about"]))
    if about["part"] not in parts:
        return []
    names, size, classes = list(cell["names"]), about["size"], about["classes"]
    losses = cell["truth"][:, :, 0]
    found = []
    for labels, folds, halves, numbers in zip(
        cell["labels"], cell["folds"], cell["halves"], cell["measured"], strict=True
    ):
        of = dict(zip(names, numbers, strict=True))
        unseen, before = Predictions(0.9 * size, folds, labels), Predictions(0.5 * size, halves, labels)
        gap = of["fold"] - of["own"]
        noise = of["gap_error"] / gap if gap > 0 else np.inf
        all_rates = Rates(unseen, noise)
        for column, name in enumerate(cell["metrics"]):
            if name not in METRICS:
                continue
            metric = METRICS[str(name)]
            now = metric_now(unseen, metric)
            in_proportion = (1 - now.mean) / of["fold"]
            worse = now.value - metric(halves, known(labels, classes))
            from_halves = worse / max(before.losses.mean() - of["fold"], 1e-9)
            rates = {
                "sharpness": all_rates.of(metric, now).value,
                "in proportion to the loss": in_proportion,
                "from halves to folds": float(np.clip(from_halves, 0.1 * in_proportion, 5 * in_proportion)),
            }
            metrics = 1 - cell["truth"][:, :, column]
            for at in range(1, len(cell["sizes"])):
                changes = metrics[:, at] - metrics[:, 0]
                fall = float((losses[:, 0] - losses[:, at]).mean())
                # from 0.9 of the samples to all, as 1/k has it
                first = float((losses[:, 0] - losses[:, 1]).mean()) * (1 / 0.9 - 1) / (1 - 1 / 2)
                found.append(
                    Found(
                        data_set=about["data_set"],
                        part=about["part"],
                        per_class=size / classes,
                        metric=metric.name,
                        times=int(cell["sizes"][at] / size),
                        now=now,
                        true_now=float(metrics[:, 0].mean()),
                        noise=float(noise),
                        fall=fall,
                        fall_from_folds=fall + first,
                        loss=float(losses[:, 0].mean()),
                        rise=float(changes.mean()),
                        rise_error=float(changes.std(ddof=1) / np.sqrt(len(changes))),
                        true=float(metrics[:, at].mean()),
                        rates=rates,
                    )
                )
    return found


def weights(found: Sequence[Found]) -> Float64[np.ndarray, " found"]:
    names, index, counts = np.unique([one.data_set for one in found], return_inverse=True, return_counts=True)
    return 1 / counts[index] / len(names)


def fit_error(found: Sequence[Found]) -> tuple[float, float]:
    """ALWAYS and FROM_NOISE, most likely for normal errors of the logarithm."""
    clear = [one for one in found if one.is_clear]
    w, squares = weights(clear), np.square([log_ratio(one, "sharpness") for one in clear])
    noise = np.array([min(one.noise, 1.0) for one in clear])

    def lack(always: float, from_noise: float) -> float:
        variance = always**2 + from_noise**2 * noise
        return float(w @ (squares / variance + np.log(variance)))

    return min(((a, b) for a in TRIED[0].tolist() for b in TRIED[1].tolist()), key=lambda both: lack(*both))


def log_ratio(one: Found, name: str) -> float:
    return float(np.log(one.rates[name] * one.fall / one.rise))


def bootstrapped(found: Sequence[Found], number: Callable[[Found], float]) -> list[float]:
    """The mean over data sets, and the ends of its 90% interval."""
    names, index = np.unique([one.data_set for one in found], return_inverse=True)
    values = np.array([number(one) for one in found])
    of_set = np.array([values[index == at].mean() for at in range(len(names))])
    drawn = of_set[np.random.default_rng(0).integers(len(names), size=(BOOTSTRAPS, len(names)))].mean(1)
    return [round(float(value), 3) for value in (of_set.mean(), *np.quantile(drawn, [0.05, 0.95]))]


def summary(found: Sequence[Found], error: tuple[float, float]) -> dict[str, Any]:
    """Errors of the rates, and of the metrics that follow from them."""
    clear = [one for one in found if one.is_clear]
    w = weights(clear)
    of_rates = {}
    for name in found[0].rates:
        ratios = np.array([log_ratio(one, name) for one in clear])
        of_rates[name] = {
            "log_bias": bootstrapped(clear, partial(log_ratio, name=name)),
            "log_rms": round(float(np.sqrt(w @ ratios**2)), 3),
            "points_off": round(
                100 * float(weights(found) @ [abs(one.rates[name] * one.fall - one.rise) for one in found]), 2
            ),
        }
    return {
        "data_sets": len({one.data_set for one in found}),
        "pilots": len(found),
        "rise_in_points": round(100 * float(weights(found) @ [one.rise for one in found]), 2),
        "rates": of_rates,
        "variance_over_that_of_samples": bootstrapped(found, luck),
        "coverage": bootstrapped(found, lambda one: float(is_within(one, error))),
    }


def luck(one: Found) -> float:
    """The square of the score of the true metric at the pilot's size under its posterior by the samples alone."""
    worth = one.now.worth * LUCK
    share = beta.cdf(one.true_now, worth * one.now.value + 0.5, worth * (1 - one.now.value) + 0.5)
    return float(norm.ppf(np.clip(share, 1e-3, 1 - 1e-3)) ** 2)


def is_within(one: Found, error: tuple[float, float]) -> bool:
    normals = np.random.default_rng(0).normal(size=(3, DRAWS))
    spread = np.sqrt(error[0] ** 2 + error[1] ** 2 * min(one.noise, 1.0))
    rates = one.rates["sharpness"] * np.exp(spread * normals[0])
    drawn = np.clip(one.now.draws(normals[1], normals[2]) + rates * one.fall_from_folds, 0, 1)[:, None]
    low, high = np.quantile(drawn, [0.05, 0.95])
    return bool(low <= one.true <= high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--held-out", action="store_true", help="show these alone, at the end, once")
    arguments = parser.parse_args()
    parts = ("held out",) if arguments.held_out else ("tuning", "development")
    files = sorted((arguments.cache / "cells").glob("*__*__*.npz"))
    found = [one for file in files if "unfinished" not in file.name for one in of_cell(file, parts)]
    error = (ALWAYS, FROM_NOISE) if arguments.held_out else fit_error([one for one in found if one.part == "tuning"])
    tables = {}
    for part in parts:
        for enough in (True, False):
            for metric in METRICS.values():
                for times in (2, 4, 8):
                    chosen = [
                        one
                        for one in found
                        if (one.part, one.metric, one.times) == (part, metric.name, times)
                        and (one.per_class >= ENOUGH) == enough
                    ]
                    kind = f"{ENOUGH} a class or more" if enough else "fewer"
                    tables[f"{part}, {kind}, {metric.name}, {times} times"] = summary(chosen, error)
    name = "forecast_metrics_held_out" if arguments.held_out else "forecast_metrics"
    save(
        name, {"error_of_log_rate": {"always": round(error[0], 2), "from_noise": round(error[1], 2)}, "tables": tables}
    )


if __name__ == "__main__":
    main()
