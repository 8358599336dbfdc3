"""Judges forecasts of recipes of the penalty by what `recipe_cells` has collected.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/forecast/recipes.py SHARED --cache FOLDER``. With
``--fit`` the constants that suffice ships, ``src/suffice/forecasting/recipes.json``, are made from the tuning part
first. What the pilots measured is kept in ``FOLDER/recipes/NAME__SIZE.pickle``.

The truth of a recipe is read from the mean losses of a cell, between its penalties a smooth curve in log lambda: for
the fixed penalty at the one that the folds of the pilot choose, for per-sample at k_0 / k times that, and for tuned at
those that folds choose at size k, whose mean it is. All gains are from the same loss, at the pilot's penalty with k_0
samples.
"""

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float64
from outside_tasks import outside_task
from scipy.interpolate import PchipInterpolator

from suffice.forecasting import Evidence, curve_of, measure_head
from suffice.forecasting.recipes import relative_falls
from suffice.results import Curve, Recipe

RECIPES: tuple[Recipe, ...] = ("fixed", "tuned", "per-sample")

CONSTANTS = Path(__file__).parents[2] / "src" / "suffice" / "forecasting" / "recipes.json"


@dataclass(frozen=True)
class Truth:
    """The mean losses, or errors, of one cell."""

    sizes: Float64[np.ndarray, " sizes"]
    penalties: Float64[np.ndarray, " penalties"]
    means: Float64[np.ndarray, "sizes penalties"]
    errors: Float64[np.ndarray, "sizes penalties"]
    tuned: Float64[np.ndarray, "trainings sizes"]

    def at(self, size: int, penalties: Any, of: str = "means") -> float:
        """At some penalties, their mean; the nearest measured ones beyond these."""
        values = getattr(self, of)[size]
        curve = PchipInterpolator(np.log(self.penalties[::-1]), values[::-1])
        inside = np.clip(penalties, self.penalties[-1], self.penalties[0])
        return float(np.nanmean(curve(np.log(inside))))

    def gains(self, recipe: Recipe, penalty: float) -> Float64[np.ndarray, " later"]:
        later = []
        for size, count in enumerate(self.sizes):
            used: Any = {
                "fixed": penalty,
                "tuned": self.tuned[:, size],
                "per-sample": penalty * self.sizes[0] / count,
            }[recipe]
            later.append(self.at(size, used))
        return self.at(0, penalty) - np.array(later[1:])


@dataclass(frozen=True)
class Row:
    """One pilot's forecast of one recipe at one size."""

    data_set: str
    part: str
    size: int
    recipe: Recipe
    ratio: float
    gain: float
    rise: float
    told: float
    low: float
    high: float
    by_fixed: float
    told_rise: float
    true_fixed: float
    farther: float


def cells(cache: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], Path]]:
    for file in sorted((cache / "recipes").glob("*.npz")):
        if "unfinished" not in file.name:
            with np.load(file) as kept:
                arrays = {name: kept[name] for name in kept.files}
            yield json.loads(str(arrays["about"])), arrays, file


def evidence_of(shared: Path, cache: Path, about: dict[str, Any], cell: dict[str, Any], file: Path) -> list[Evidence]:
    """Of each pilot, with its path of penalties."""
    kept = file.with_suffix(".pickle")
    if not kept.exists():
        task = outside_task(shared, cache, about["data_set"])
        made = [
            measure_head(task.features[rows], task.labels[rows], float(penalty), seed, recipe="tuned")
            for seed, (rows, penalty) in enumerate(zip(cell["rows"], cell["chosen"], strict=True))
        ]
        kept.write_bytes(pickle.dumps(made))
        print(file.stem, flush=True)
    return cast(list[Evidence], pickle.loads(kept.read_bytes()))  # noqa: S301 - written above


def truth_of(cell: dict[str, Any]) -> Truth:
    return Truth(
        cell["sizes"].astype(float),
        cell["penalties"],
        cell["loss"].mean(0),
        cell["error"].mean(0),
        cell["tuned_penalty"],
    )


def rows(shared: Path, cache: Path) -> list[Row]:
    found = []
    for about, cell, file in cells(cache):
        truth = truth_of(cell)
        sizes = [int(size) for size in cell["sizes"]]
        for seed, evidence in enumerate(evidence_of(shared, cache, about, cell, file)):
            penalty = float(cell["chosen"][seed])
            true_fixed, by_fixed = truth.gains("fixed", penalty), np.full(len(sizes) - 1, np.nan)
            for recipe in RECIPES:
                curve = curve_of(replace(evidence, recipe=recipe), sizes, seed=seed)
                if not isinstance(curve.loss, Curve) or not isinstance(curve.accuracy, Curve):
                    continue
                draws = curve.loss.samples[:, :1] - curve.loss.samples[:, 1:]
                low, told, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
                rises = np.median(curve.accuracy.samples[:, 1:] - curve.accuracy.samples[:, :1], axis=0)
                by_fixed = told if recipe == "fixed" else by_fixed
                gains = truth.gains(recipe, penalty)
                errors = replace(truth, means=truth.errors).gains(recipe, penalty)
                ratios = np.array(sizes[1:]) / sizes[0]
                farther = (
                    np.ones(len(ratios)) if recipe == "fixed" else relative_falls(evidence.penalties, recipe, ratios)
                )
                found += [
                    Row(
                        about["data_set"], about["part"], about["size"], recipe, float(ratios[at]), gains[at], errors[at],
                        told[at], low[at], high[at], by_fixed[at], rises[at], true_fixed[at], farther[at],
                    )
                    for at in range(len(ratios))
                ]  # fmt: skip
    return found
