"""Reads what `outside_heads` has collected, and compares slopes of heads with what more samples brought."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.levels.folds import FOLDS
from suffice.forecasting.slopes.calibrated import TOO_NOISY, gcv_of_head, share_of_slope, weight_of_gcv
from suffice.forecasting.slopes.degrees_of_freedom import DegreesOfFreedom

TRUE_ENOUGH = 0.2
"""Largest relative standard error of a true gain that an estimate is compared with."""

MANY = 24
"""Samples a class: the groups that are told apart."""

NORMAL = [NormalDist().inv_cdf((number + 0.5) / 200) for number in range(200)]
"""Quantiles."""

DRAWS = 1000
"""Of data sets, for intervals of what was measured on them."""


@dataclass(frozen=True)
class Cell:
    """A data set with a pilot size and a penalty; arrays as `outside_heads` describes them."""

    file: Path

    @cached_property
    def kept(self) -> dict[str, Any]:
        with np.load(self.file) as arrays:
            return {name: arrays[name] for name in arrays.files if name not in ("own", "folds", "halves", "rows")}

    @cached_property
    def about(self) -> dict[str, Any]:
        about: dict[str, Any] = json.loads(str(self.kept["about"]))
        return about

    @property
    def ratios(self) -> Float64[np.ndarray, " later"]:
        """Sizes over the pilot's, above 1."""
        return np.asarray(self.kept["sizes"][1:] / self.kept["sizes"][0])

    def gains(self, metric: int = 0) -> Float64[np.ndarray, "splits later"]:
        truth = self.kept["truth"][:, :, metric]
        return np.asarray(truth[:, :1] - truth[:, 1:])

    def pilots(self) -> Iterator["Pilot"]:
        for numbers in self.kept["measured"]:
            yield Pilot(self, dict(zip(self.kept["names"].tolist(), numbers.tolist(), strict=True)))


@dataclass(frozen=True)
class Pilot:
    """What one pilot of a cell has measured."""

    cell: Cell
    numbers: dict[str, float]

    @property
    def size(self) -> int:
        return int(self.cell.about["size"])

    @property
    def gap(self) -> float:
        return self.numbers["fold"] - self.numbers["own"]

    @property
    def noise(self) -> float:
        """The relative standard error of the gap."""
        return self.numbers["gap_error"] / self.gap if self.gap > 0 else np.inf

    @property
    def optimism(self) -> float:
        return self.gap / (1 / self.size + 1 / ((1 - 1 / FOLDS) * self.size))

    @property
    def level(self) -> float:
        """The loss of ten folds, brought to all samples by the optimism slope."""
        return self.numbers["fold"] - self.optimism * (1 / ((1 - 1 / FOLDS) * self.size) - 1 / self.size)

    @cached_property
    def tau_and_gcv(self) -> tuple[float, float]:
        degrees = DegreesOfFreedom(self.numbers["first"], self.numbers["second"], error=0.0)
        return gcv_of_head(self.size, self.numbers["own"], self.level, degrees, self.cell.about["classes"] - 1)

    @property
    def gcv(self) -> float:
        return self.tau_and_gcv[1]

    @property
    def noise_of_slope(self) -> float:
        """What the noise of log s is in proportion to."""
        return float(self.noise * np.sqrt(self.tau_and_gcv[0]))

    @property
    def information(self) -> float:
        return self.numbers["information"]

    def log_slope(self, per_temperature: float) -> float:
        weight = weight_of_gcv(per_temperature, self.numbers["temperature"])
        return float(weight * np.log(self.gcv) + (1 - weight) * np.log(self.information))


@dataclass(frozen=True)
class Row:
    """A pilot and a true gain: the slope that the gain implies, in logarithms."""

    pilot: Pilot
    ratio: float
    gain: float
    log_slope: float

    @property
    def data_set(self) -> str:
        return str(self.pilot.cell.about["data_set"])

    @property
    def per_class(self) -> float:
        return float(self.pilot.size / self.pilot.cell.about["classes"])


def cells(cache: Path, parts: Sequence[str]) -> list[Cell]:
    found = [Cell(file) for file in sorted((cache / "cells").glob("*.npz")) if "unfinished" not in file.name]
    return [cell for cell in found if cell.about["part"] in parts]


def rows(found: Sequence[Cell]) -> list[Row]:
    """All pilots that can tell, with the gains that are known well enough."""
    every = []
    for cell in found:
        gains = cell.gains()
        means, errors = gains.mean(0), gains.std(0, ddof=1) / np.sqrt(len(gains))
        for pilot in cell.pilots():
            for ratio, gain, error in zip(cell.ratios, means, errors, strict=True):
                if gain > 0 and error < TRUE_ENOUGH * gain and pilot.noise <= TOO_NOISY:
                    every.append(
                        Row(pilot, float(ratio), float(gain), float(np.log(gain * pilot.size / (1 - 1 / ratio))))
                    )
    return every


def of_exponent(ratio: float, exponent: float, deviation: float) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm of the gain to a ratio, over that with exponent 1."""
    exponents = exponent * np.exp(deviation * np.array(NORMAL))
    logs = np.log(share_of_slope(ratio, exponents) / share_of_slope(ratio, 1.0))
    return float(logs.mean()), float(logs.std())


class OfDataSet(Protocol):
    """Anything that is counted by data set."""

    @property
    def data_set(self) -> str: ...


def equal_by_data_set(chosen: Sequence[OfDataSet]) -> Float64[np.ndarray, " rows"]:
    counts = Counter(row.data_set for row in chosen)
    return np.array([1 / (len(counts) * counts[row.data_set]) for row in chosen])


def with_interval(
    chosen: Sequence[OfDataSet], statistic: Callable[[Float64[np.ndarray, " rows"]], float]
) -> tuple[float, float, float]:
    """A statistic of weights, and its 90% interval when data sets are drawn with replacement."""
    weights = equal_by_data_set(chosen)
    names = np.array([row.data_set for row in chosen])
    sets, random = np.unique(names), np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        counts = dict(zip(*np.unique(random.choice(sets, len(sets)), return_counts=True), strict=True))
        drawn.append(statistic(weights * np.array([counts.get(name, 0) for name in names])))
    low, high = np.quantile(drawn, [0.05, 0.95])
    return round(statistic(weights), 3), round(float(low), 3), round(float(high), 3)
