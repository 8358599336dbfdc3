"""How well slopes of heads hold on other people's data.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/forecast/outside_summary.py --cache FOLDER``.

It judges what suffice ships on the cells that `outside_heads` has collected, and writes
``benchmarks/results/forecast_outside_heads.json``; with ``--held-out`` on the held-out part as well.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from environment import save
from intervals import WIDTH
from outside_cells import MANY, Cell, Row, cells, of_exponent, rows, with_interval
from outside_tasks import DEVELOPMENT, HELD_OUT, TUNING

from suffice.forecasting.slopes.calibrated import TOO_NOISY, MeasuredOfHeads, measured_of_heads

CAPPED = 3.0
"""Largest relative error that counts, +300%."""

NOISES = ((0.0, 0.2), (0.2, 0.4), (0.4, TOO_NOISY))


def methods(measured: MeasuredOfHeads) -> dict[str, Callable[[Row], float]]:
    """The logarithm of the slope by each."""

    def halved(row: Row) -> float:
        return float((np.log(row.pilot.gcv) + np.log(row.pilot.information)) / 2)

    return {
        "calibrated": lambda row: row.pilot.log_slope(measured.per_temperature),
        "gcv and information, equal weights": halved,
        "gcv": lambda row: float(np.log(row.pilot.gcv)),
        "information": lambda row: float(np.log(row.pilot.information)),
        "noise": lambda row: float(np.log(max(row.pilot.numbers["noise"], 1e-9))),
        "combined": lambda row: float(np.log(max(row.pilot.numbers["noise"], 1e-9) * row.pilot.information) / 2),
        "optimism": lambda row: float(np.log(row.pilot.optimism)),
    }


def judged(chosen: Sequence[Row], log_slope: Callable[[Row], float]) -> dict[str, Any]:
    """Root mean squares and mean of the log ratio, each data set counting the same, with 90% intervals."""
    off = np.array([log_slope(row) - row.log_slope for row in chosen])
    relative = np.minimum(np.expm1(off), CAPPED)
    return {
        "rms_log_ratio": with_interval(chosen, lambda w: float(np.sqrt(w @ off**2 / w.sum()))),
        "bias": with_interval(chosen, lambda w: float(w @ off / w.sum())),
        "rms_relative": with_interval(chosen, lambda w: float(np.sqrt(w @ relative**2 / w.sum()))),
    }


def coverage(chosen: Sequence[Row], measured: MeasuredOfHeads) -> tuple[float, float, float]:
    """Of 90% intervals of the gain."""

    def covered(row: Row) -> bool:
        shift, of_shape = of_exponent(row.ratio, measured.exponent, measured.exponent_deviation)
        spread = np.sqrt(measured.between**2 + (measured.per_noise * row.pilot.noise_of_slope) ** 2 + of_shape**2)
        return bool(abs(row.pilot.log_slope(measured.per_temperature) + shift - row.log_slope) < WIDTH * spread)

    held = np.array([covered(row) for row in chosen])
    return with_interval(chosen, lambda w: float(w @ held / w.sum()))


def summary(found: Sequence[Cell], measured: MeasuredOfHeads) -> dict[str, Any]:
    every = rows(found)
    parts: dict[str, Any] = {}
    groups: dict[str, Callable[[float], bool]] = {
        f"{MANY} a class or more": lambda each: each >= MANY,
        "fewer": lambda each: each < MANY,
    }
    for name, belongs in groups.items():
        of_group = [row for row in every if belongs(row.per_class)]
        pilots = [
            pilot for cell in found if belongs(cell.about["size"] / cell.about["classes"]) for pilot in cell.pilots()
        ]
        chosen = [row for row in of_group if row.pilot.cell.about["times"] == 1]
        farthest = [row for row in of_group if row.ratio == max(row.pilot.cell.ratios)]
        parts[name] = {
            "data_sets": len({row.data_set for row in of_group}),
            "pilots": len(pilots),
            "cannot_tell": float(np.mean([pilot.noise > TOO_NOISY for pilot in pilots])),
            "gain": {method: judged(of_group, log) for method, log in methods(measured).items()},
            "gain_penalty_chosen": {method: judged(chosen, log) for method, log in methods(measured).items()},
            "gain_farthest": judged(farthest, methods(measured)["calibrated"]),
            "coverage": coverage(of_group, measured),
            "coverage_by_ratio": {
                f"{ratio:g}": coverage([row for row in of_group if row.ratio == ratio], measured)
                for ratio in sorted({row.ratio for row in of_group})
            },
        }
    parts["coverage_by_noise"] = {
        f"{low:g} to {high:g}": coverage([row for row in every if low <= row.pilot.noise <= high], measured)
        for low, high in NOISES
    }
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("runs/forecast-benchmark/outside"))
    parser.add_argument("--held-out", action="store_true", help="judge on the held-out data sets too, at the end, once")
    arguments = parser.parse_args()
    parts = (TUNING, DEVELOPMENT, HELD_OUT) if arguments.held_out else (TUNING, DEVELOPMENT)
    measured = measured_of_heads()
    found = {part: summary(cells(arguments.cache, [part]), measured) for part in parts}
    save("forecast_outside_heads", found)
    for part, of_part in found.items():
        for group in [name for name in of_part if name != "coverage_by_noise"]:
            of = of_part[group]
            print(f"{part}, {group}: {of['data_sets']} data sets, cannot tell {of['cannot_tell']:.0%}")
            for kind in ("gain", "gain_penalty_chosen"):
                for method, numbers in of[kind].items():
                    told = ", ".join(f"{key} {v[0]:.2f} ({v[1]:.2f} to {v[2]:.2f})" for key, v in numbers.items())
                    print(f"  {kind}, {method}: {told}")
            print("  coverage", of["coverage"], {key: round(v[0], 2) for key, v in of["coverage_by_ratio"].items()})
        print("  coverage by noise", {key: [round(x, 2) for x in v] for key, v in of_part["coverage_by_noise"].items()})


if __name__ == "__main__":
    main()
