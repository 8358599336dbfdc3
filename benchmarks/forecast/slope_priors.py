"""Makes what suffice ships of the slopes of heads, from the cells that `outside_heads` has collected.

Run as ``PYTHONPATH=benchmarks/forecast python benchmarks/forecast/slope_priors.py SHARED --cache FOLDER``. It writes
``src/suffice/forecasting/slopes/heads.json``. The coefficient is fitted to the tuning part. The errors, the exponent
and the variance between trainings are measured on the tuning and development parts, each data set counting the same;
the held-out part is not read.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from outside_cells import Cell, Row, cells, equal_by_data_set, of_exponent, rows
from outside_heads import TESTED
from outside_tasks import DEVELOPMENT, TUNING, outside_task
from scipy.optimize import minimize, minimize_scalar

import suffice
from suffice.forecasting.head import fit_head
from suffice.forecasting.losses import CrossEntropy
from suffice.forecasting.slopes.best import ENOUGH
from suffice.forecasting.slopes.between_trainings import between_trainings
from suffice.forecasting.slopes.calibrated import MEASURED, MeasuredOfHeads

COEFFICIENTS = (0.0, 1.0)

EXPONENTS = (-1.0, 3.0)
"""Of single curves, for the median of which this matters not."""

FROM, TOLD = 0.3, 0.15
"""Exponents below the first are taken as it; curves count whose ratio of gains is known to the second, relatively."""


def coefficient(tuning: Sequence[Row]) -> float:
    """The growth of the weight with log T that has the least mean squared error of log s."""
    weights, true = equal_by_data_set(tuning), np.array([row.log_slope for row in tuning])

    def squared(per_temperature: float) -> float:
        found = np.array([row.pilot.log_slope(per_temperature) for row in tuning])
        return float(weights @ np.square(found - true))

    return float(minimize_scalar(squared, bounds=COEFFICIENTS, method="bounded").x)


def errors_of(chosen: Sequence[Row], per_temperature: float) -> Float64[np.ndarray, " rows"]:
    return np.array([row.pilot.log_slope(per_temperature) - row.log_slope for row in chosen])


def spread(chosen: Sequence[Row], per_temperature: float, exponent: float, deviation: float) -> tuple[float, float]:
    """The likeliest standard deviation between data sets, and factor of the noise of the gap, the exponent's apart."""
    weights, squares = equal_by_data_set(chosen), np.square(errors_of(chosen, per_temperature))
    noise = np.square([row.pilot.noise_of_slope for row in chosen])
    of_shape = np.square([of_exponent(row.ratio, exponent, deviation)[1] for row in chosen])

    def unlikely(logs: Float64[np.ndarray, "2"]) -> float:
        between, per_noise = np.exp(2 * logs)
        variance = between + per_noise * noise + of_shape
        return float(weights @ (np.log(variance) + squares / variance))

    between, per_noise = np.exp(minimize(unlikely, np.log([0.3, 0.6]), method="Nelder-Mead").x)
    return float(between), float(per_noise)


def correlation(chosen: Sequence[Row], per_temperature: float, between: float, per_noise: float) -> float:
    """Between the errors of log s and of the level, each over its standard error."""
    weights, slopes = equal_by_data_set(chosen), errors_of(chosen, per_temperature)
    slopes = slopes / np.hypot(between, per_noise * np.array([row.pilot.noise_of_slope for row in chosen]))
    levels = np.array(
        [
            (row.pilot.level - row.pilot.cell.kept["truth"][:, 0, 0].mean()) / row.pilot.numbers["fold_error"]
            for row in chosen
        ]
    )
    levels = np.clip(levels, -3, 3)
    slopes, levels = slopes - weights @ slopes, levels - weights @ levels
    return float(weights @ (slopes * levels) / np.sqrt((weights @ slopes**2) * (weights @ levels**2)))


def exponents(found: Sequence[Cell]) -> dict[str, list[float]]:
    """Of the true curves with at least two gains, by data set: c of the ratio of the last gain to the first."""
    by_set: dict[str, list[float]] = {}
    grid = np.linspace(*EXPONENTS, 401)
    grid = grid[np.abs(grid) > 1e-9]
    for cell in found:
        gains, ratios = cell.gains(), cell.ratios
        if len(ratios) < 2:
            continue
        ratio = gains[:, -1].mean() / gains[:, 0].mean()
        without = [np.delete(gains, split, 0).mean(0) for split in range(len(gains))]
        error = np.std([of[-1] / of[0] for of in without]) * np.sqrt(len(gains) - 1)
        if gains.mean(0).min() <= 0 or error > TOLD * ratio:
            continue
        ratio_of = (1 - ratios[-1] ** -grid) / (1 - ratios[0] ** -grid)
        exponent = float(np.interp(-ratio, -ratio_of, grid))
        by_set.setdefault(cell.about["data_set"], []).append(max(exponent, FROM))
    return by_set


def median_and_deviation(by_set: dict[str, list[float]]) -> tuple[float, float]:
    """Of logarithms, each data set counting the same; half of the middle 68%, which outliers do not move."""
    logs = np.log(np.concatenate(list(by_set.values())))
    weights = np.concatenate([np.full(len(of), 1 / len(of)) for of in by_set.values()])
    order = np.argsort(logs)
    shares = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    low, middle, high = np.interp([0.16, 0.5, 0.84], shares, logs[order])
    return float(np.exp(middle)), float((high - low) / 2)


def of_trainings(found: Sequence[Cell], per_temperature: float, shared: Path, cache: Path) -> float:
    """The median over data sets of the deviation between trainings, over that of `between_trainings` at the slope.

    A test part of n samples has a gradient of its own; it adds the trace of the sandwich, 2 s / (n k), to the variance.
    """
    by_set: dict[str, list[float]] = {}
    for cell in found:
        name, size = cell.about["data_set"], cell.about["size"]
        task = outside_task(shared, cache, name)
        gain, variance = cell.gains().mean(0)[-1], cell.kept["variance"][:, 0, 0].mean()
        tested = min(TESTED, len(task.labels) - int(cell.kept["sizes"][-1]))
        of_test_part = 2 * gain / (1 - 1 / cell.ratios[-1]) / tested
        if gain <= 0 or of_test_part > variance / 2:
            continue
        with np.load(cell.file) as arrays:
            rows_of_pilot, unseen = arrays["rows"][0], arrays["folds"][0]
        loss = CrossEntropy(task.labels[rows_of_pilot], task.classes)
        head = fit_head(task.features[rows_of_pilot], loss, task.classes, cell.about["penalty"])
        share = 1 - min(1.0, size / task.classes / ENOUGH) / 2
        slope = float(np.exp(next(cell.pilots()).log_slope(per_temperature)))
        expected = between_trainings(head, (1 - share) * head.outputs + share * unseen).at_slope(slope)
        deviation = float(expected.deviation(np.array([float(size)]))[0])
        by_set.setdefault(name, []).append(float(np.sqrt(variance - of_test_part)) / deviation)
    return float(np.median([np.median(of) for of in by_set.values()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/forecast-benchmark/outside"))
    arguments = parser.parse_args()
    tuning, both = (cells(arguments.cache, parts) for parts in ([TUNING], [TUNING, DEVELOPMENT]))
    per_temperature = coefficient(rows(tuning))
    known = rows(both)
    exponent, deviation = median_and_deviation(exponents(both))
    between, per_noise = spread(known, per_temperature, exponent, deviation)
    measured = MeasuredOfHeads(
        per_temperature=per_temperature,
        between=between,
        per_noise=per_noise,
        correlation=correlation(known, per_temperature, between, per_noise),
        exponent=exponent,
        exponent_deviation=deviation,
        trainings=of_trainings(both, per_temperature, arguments.shared, arguments.cache),
    )
    names = {
        part: sorted({cell.about["data_set"] for cell in cells(arguments.cache, [part])})
        for part in (TUNING, DEVELOPMENT)
    }
    about: dict[str, Any] = {
        "what": "Slopes of linear heads on other people's data: see suffice.forecasting.slopes.calibrated",
        "made by": "benchmarks/forecast/slope_priors.py, from the cells of benchmarks/forecast/outside_heads.py",
        "per_temperature": "fitted to the tuning part",
        "between, per_noise, correlation, exponent, exponent_deviation, trainings": "measured on both parts",
        "data sets": names,
    }
    path = Path(suffice.__file__).parent / "forecasting" / "slopes" / MEASURED
    rounded = {name: round(value, 3) for name, value in vars(measured).items()}
    path.write_text(json.dumps({"about": about, "heads": rounded}, indent=1) + "\n")
    print(rounded)


if __name__ == "__main__":
    main()
