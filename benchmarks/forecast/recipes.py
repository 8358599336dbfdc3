"""Judges forecasts of recipes of the penalty by what `outside_heads` and `recipe_cells` have collected.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/forecast/recipes.py --cache FOLDER``, which writes
``benchmarks/results/forecast_recipes.json``. With ``--fit`` the constants that suffice ships,
``src/suffice/forecasting/recipes.json``, are made first: the exponent was chosen with both in view, the deviations are
measured on both.

A pilot forecasts the fall of the loss from k_0 samples and the penalty lambda at hand. The truth is read from the mean
losses of a cell, between its penalties a smooth curve in log lambda: at lambda for the fixed recipe, at lambda k_0 / k
for per-sample, and for tuned at the penalties that folds choose at size k, of which the mean is taken. The last may so
bring more than a better shape of the curve: what lambda was off at hand.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from environment import save
from intervals import WIDTH
from jaxtyping import Float64
from outside_cells import DRAWS, Cell, Pilot, of_exponent
from outside_tasks import DEVELOPMENT, TUNING
from scipy.interpolate import PchipInterpolator

from suffice.forecasting.recipes import MEASURED, SHARPER, TENFOLD, AtPenalty, Bend, bend_of, measured_of_recipes
from suffice.forecasting.slopes.calibrated import FAR, TOO_NOISY, measured_of_heads, share_of_slope
from suffice.results import Recipe

CONSTANTS = Path(__file__).parents[2] / "src" / "suffice" / "forecasting" / MEASURED

CHANGING: tuple[Recipe, ...] = ("tuned", "per-sample")

EXPONENT = 0.7
"""With which the loss falls at least. On the tuning part the root mean square of the log ratio differs by less than 5%
between 0.5 and 1 where the penalty is tuned, and the bias is smaller the smaller the exponent."""

POINTS = 0.003
"""Least rise in accuracy."""

CLEAR = 0.01
"""Part of the loss at hand that a true gain has at least to be compared with."""


@dataclass(frozen=True)
class Truth:
    """What `recipe_cells` has collected of one data set and size."""

    file: Path

    @cached_property
    def kept(self) -> dict[str, Any]:
        with np.load(self.file) as arrays:
            return {name: arrays[name] for name in arrays.files}

    @property
    def sizes(self) -> list[int]:
        return [int(size) for size in self.kept["sizes"]]

    def mean(self, place: int, penalties: Any, of: str = "loss") -> float:
        """The mean loss or error at some penalties, of those that were measured the nearest beyond them."""
        known, losses = self.kept["penalties"][::-1], self.kept[of].mean(0)[place, ::-1]
        inside = np.clip(penalties, known[0], known[-1])
        return float(np.nanmean(PchipInterpolator(np.log(known), losses)(np.log(inside))))

    def gain(self, place: int, recipe: Recipe, penalty: float, of: str = "loss") -> float:
        """From the first size at a penalty to another one."""
        used = {
            "fixed": penalty,
            "tuned": self.kept["tuned_penalty"][:, place],
            "per-sample": penalty * self.sizes[0] / self.sizes[place],
        }
        return self.mean(0, penalty, of) - self.mean(place, used[recipe], of)


@dataclass(frozen=True)
class Judged:
    """A pilot, and the true gain in loss and the rise in accuracy of one recipe to one size."""

    pilots: tuple[Pilot, ...]
    recipe: Recipe
    ratio: float
    gain: float
    rise: float

    @property
    def pilot(self) -> Pilot:
        return self.pilots[TENFOLD.index(1.0)]

    @property
    def data_set(self) -> str:
        return str(self.pilot.cell.about["data_set"])

    @property
    def fall(self) -> float:
        """To 8 times the samples at the fixed penalty, by the calibrated slope."""
        slope = np.exp(self.pilot.log_slope(measured_of_heads().per_temperature))
        return float(slope / self.pilot.size * share_of_slope(FAR, 1.0))

    @cached_property
    def penalties(self) -> list[AtPenalty]:
        free = self.pilot.size * (self.pilot.cell.about["classes"] - 1)
        return [
            AtPenalty(
                of.cell.about["penalty"],
                of.level,
                of.numbers["own"],
                of.numbers["first"] / free,
                of.numbers["second"] / free,
            )
            for of in self.pilots
        ]

    def bend(self) -> Bend | None:
        return bend_of(self.penalties, self.recipe, self.fall)

    def log_error(self, bend: Bend | None) -> tuple[float, float]:
        """Log of predicted over true gain, and the standard deviation that the forecast gives it."""
        assert bend is not None  # such pilots are left out
        measured = measured_of_heads()
        exponent = measured.exponent * bend.exponent
        shift, of_shape = of_exponent(self.ratio, exponent, measured.exponent_deviation)
        told = np.log(self.fall * bend.times * (1 - 1 / self.ratio) / (1 - 1 / FAR)) + shift
        noise = measured.per_noise * self.pilot.noise_of_slope
        return float(told - np.log(self.gain)), float(np.hypot(np.hypot(measured.between, noise), of_shape))


def collected(cache: Path) -> dict[str, list[Judged]]:
    """By part: all pilots that can tell, with gains that are clear."""
    found: dict[str, list[Judged]] = {TUNING: [], DEVELOPMENT: []}
    for file in sorted((cache / "recipes").glob("*.npz")):
        if "unfinished" in file.name:
            continue
        truth = Truth(file)
        at = [Cell(cache / "cells" / f"{file.stem}__{times:g}.npz") for times in TENFOLD]
        for pilots in zip(*(cell.pilots() for cell in at), strict=True):
            pilot, penalty = pilots[1], pilots[1].cell.about["penalty"]
            if pilot.noise > TOO_NOISY:
                continue
            for place, size in enumerate(truth.sizes[1:], 1):
                for recipe in ("fixed", *CHANGING):
                    gain = truth.gain(place, recipe, penalty)
                    rise = truth.gain(place, recipe, penalty, "error")
                    judged = Judged(pilots, recipe, size / truth.sizes[0], gain, rise)
                    if gain > CLEAR * truth.mean(0, penalty) and judged.bend() is not None:
                        found[str(pilot.cell.about["part"])].append(judged)
    return found


Told = Callable[[Judged], Bend | None]


def by_exponent(exponent: float) -> Told:
    """A curve with the slope of the fixed penalty at hand, and one exponent for all."""
    times = (1 - FAR**-exponent) / exponent / (1 - 1 / FAR)
    return lambda judged: Bend(float(times), exponent, 0.0)


def mean_of(
    of: Sequence[Judged], values: Float64[np.ndarray, " judged"], power: float = 1.0
) -> tuple[float, float, float]:
    """The mean to a power, each data set counting the same, and its 90% interval when these are drawn again."""
    names = np.array([one.data_set for one in of])
    means = np.array([values[names == name].mean() for name in np.unique(names)])
    counts = np.random.default_rng(0).multinomial(len(means), np.full(len(means), 1 / len(means)), DRAWS)
    ends = np.quantile(counts @ means / len(means), [0.05, 0.95])
    mean, low, high = (float(np.sign(value) * abs(value) ** power) for value in (means.mean(), *ends))
    return round(mean, 3), round(low, 3), round(high, 3)


def fitted(of: Sequence[Judged], recipe: Recipe) -> dict[str, float]:
    """The exponent, and what is left of the error beyond that of the slope and the shape."""
    set_constants({recipe: {"exponent": EXPONENT, "deviation": 0.0}})
    both = np.array([one.log_error(one.bend()) for one in of])
    beyond = mean_of(of, both[:, 0] ** 2 - both[:, 1] ** 2)[0]
    return {"exponent": EXPONENT, "deviation": round(float(np.sqrt(max(beyond, 0.0))), 2)}


def set_constants(of: dict[Recipe, dict[str, float]], about: dict[str, Any] | None = None) -> None:
    stored = json.loads(CONSTANTS.read_text())
    stored["recipes"] |= of
    CONSTANTS.write_text(json.dumps(stored | ({} if about is None else {"about": about}), indent=1) + "\n")
    measured_of_recipes.cache_clear()


def judged(of: Sequence[Judged], told: Told) -> dict[str, Any]:
    bends = [told(one) for one in of]
    found = np.array([one.log_error(bend) for one, bend in zip(of, bends, strict=True)])
    spread = np.hypot(found[:, 1], [0.0 if bend is None else bend.deviation for bend in bends])
    held = np.abs(found[:, 0]) < WIDTH * spread
    return {
        "rms_log_ratio": mean_of(of, found[:, 0] ** 2, 0.5),
        "bias": mean_of(of, found[:, 0]),
        "coverage": mean_of(of, held.astype(float)),
        "data_sets": len({one.data_set for one in of}),
    }


def summary(of: Sequence[Judged], recipe: Recipe) -> dict[str, Any]:
    fixed: Told = lambda one: Bend(1.0, 1.0, 0.0)  # noqa: E731
    by = {"as at a fixed penalty": fixed}
    if recipe != "fixed":
        by |= {"exponent alone": by_exponent(measured_of_recipes()[recipe].exponent), "suffice": Judged.bend}
    return {name: judged(of, told) for name, told in by.items()}


def gains_of(found: dict[str, list[Judged]]) -> list[dict[str, Any]]:
    """The true gains of each cell, for the reader."""
    table: dict[tuple[str, int], dict[str, Any]] = {}
    for part, of in found.items():
        for one in of:
            about = one.pilot.cell.about
            row = table.setdefault(
                (one.data_set, one.pilot.size), {"data_set": one.data_set, "part": part, "size": one.pilot.size}
            )
            row["penalty"] = about["penalty"]
            row.setdefault(one.recipe, {})[f"{one.ratio:g}"] = round(one.gain, 4)
    return list(table.values())


def rises(of: Sequence[Judged]) -> dict[str, Any]:
    """How much farther the error falls than at the fixed penalty, against how much farther the loss does, in logs.

    Where both rises in accuracy to the largest size are at least `POINTS`; the slope is through the origin.
    """
    by: dict[tuple[str, int], dict[tuple[Recipe, float], Judged]] = {}
    for one in of:
        by.setdefault((one.data_set, one.pilot.size), {})[one.recipe, one.ratio] = one
    farther = []
    for cell in by.values():
        ratio = max(ratio for _, ratio in cell)
        fixed = cell.get(("fixed", ratio))
        for recipe in CHANGING:
            other = cell.get((recipe, ratio))
            if fixed is not None and other is not None and min(fixed.rise, other.rise) > POINTS:
                farther.append((np.log(other.gain / fixed.gain), np.log(other.rise / fixed.rise)))
    of_loss, of_error = np.array(farther).T
    return {
        "cells": len(farther),
        "slope": round(float(of_loss @ of_error / (of_loss @ of_loss)), 3),
        "rms_log_ratio": {
            f"{share:g} of that of the loss": round(float(np.sqrt(np.mean((share * of_loss - of_error) ** 2))), 3)
            for share in (0.0, SHARPER, 1.0)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("runs/forecast-benchmark/outside"))
    parser.add_argument("--fit", action="store_true", help="make the constants that suffice ships")
    arguments = parser.parse_args()
    found = collected(arguments.cache)

    def of(part: str, recipe: Recipe, *ratios: float) -> list[Judged]:
        return [one for one in found[part] if one.recipe == recipe and (not ratios or one.ratio in ratios)]

    if arguments.fit:
        about = {
            "what": "Falls of the loss with penalties that change with the size: see suffice.forecasting.recipes",
            "made by": "benchmarks/forecast/recipes.py --fit, ",
            "exponent": "chosen with both parts in view",
            "deviation": "measured on both parts",
            "data sets": {part: sorted({one.data_set for one in of_part}) for part, of_part in found.items()},
        }
        both = {recipe: of(TUNING, recipe) + of(DEVELOPMENT, recipe) for recipe in CHANGING}
        set_constants({recipe: fitted(both[recipe], recipe) for recipe in CHANGING}, about)
    results = {
        part: {
            recipe: {
                "all": summary(of(part, recipe), recipe),
                **{f"{ratio} times": summary(of(part, recipe, ratio), recipe) for ratio in (2, 4, 8)},
            }
            for recipe in ("fixed", *CHANGING)
        }
        for part in found
    }
    metrics = {part: rises(found[part]) for part in found}
    constants = json.loads(CONSTANTS.read_text())["recipes"]
    save("forecast_recipes", {"constants": constants, **results, "metrics": metrics, "gains": gains_of(found)})


if __name__ == "__main__":
    main()
