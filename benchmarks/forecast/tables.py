"""Writes the tables of docs/forecast.md from the results: ``python benchmarks/forecast/tables.py``."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "forecast.md"

CURVES = ("power law", "power law with limit", "logarithm", "arctan", "algebraic root")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def heads() -> str:
    summary = read("forecast_heads")["summary"]
    names = list(next(iter(summary.values()))["error_of_gain"])
    rows = [[f"gain, {name}", *(percent(part["error_of_gain"][name]) for part in summary.values())] for name in names]
    others = ("error_of_loss", "error_of_level", "noise_floor", "error_of_accuracy_gain")
    covered = ("coverage_of_loss", "coverage_of_accuracy")
    rows += [[name.replace("_", " "), *(percent(part[name]) for part in summary.values())] for name in others + covered]
    return table(["", *summary], rows)


def tasks() -> str:
    rows = []
    for task in read("forecast_heads")["tasks"]:
        found = task["summary"]
        gain, seconds = found["error_of_gain"], task["seconds"]
        best = min(CURVES, key=gain.get)
        rows.append(
            [
                task["task"] + " (tuned on)" * task["tuned"],
                f"{task['per_class']:.0f}",
                percent(gain["combined"]),
                f"{percent(gain[best])} ({best})",
                percent(gain["two points"]),
                f"{100 * found['error_of_loss']:.1f}%",
                f"{100 * found['noise_floor']:.1f}%",
                percent(found["coverage_of_loss"]),
                f"{seconds['slopes'] / seconds['15 retrainings, ours']:.2f}",
            ]
        )
    head = "task, samples a class, gain, best curve fit, a + b/n, loss, noise floor, coverage, slopes over retrainings"
    return table(head.split(", "), rows)


def layers() -> str:
    names = ("combined", "information", "symmetric", "power_law", "power_law_with_limit", "arctan", "a + b/n")
    rows = []
    for file in sorted(RESULTS.glob("forecast_layers_*.json")):
        for pilot in json.loads(file.read_text())["pilots"]:
            ratios = [
                f"{pilot['gains'][name][-1] / pilot['true_gain'][-1]:.2f}" if name in pilot["gains"] else ""
                for name in names
            ]
            study = file.stem.removeprefix("forecast_layers_")
            seconds = "{forecast:.0f} / {training:.0f}".format(**pilot["seconds"])
            told = "" if pilot["status"] == "extrapolated" else " (cannot tell)"
            rows.append([study, pilot["method"], f"{pilot['size']}{told}", str(pilot["ahead"][-1]), *ratios, seconds])
    head = ["study", "method", "pilot", "to", *(name.replace("_", " ") for name in names), "seconds, training's"]
    return table(head, rows)


def collect() -> str:
    rows = [
        [
            row["method"].replace("_", " "),
            str(row["rounds"]),
            "tuned on" if row["tuned"] else "others",
            str(row["runs"]),
            percent(row["failure_rate"]),
            f"{row['median_cost_ratio']:.2f}",
        ]
        for row in sorted(read("forecast_collect")["table"], key=lambda row: (row["rounds"], row["tuned"]))
    ]
    return table(["method", "rounds T", "tasks", "runs", "failure rate", "median cost ratio"], rows)


def main() -> None:
    text = PAGE.read_text()
    for make in (heads, tasks, layers, collect):
        name = make.__name__
        block = f"<!-- {name} -->\n{make()}\n<!-- end -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S)
        assert count == 1, f"no place for {name} in {PAGE.name}"
    PAGE.write_text(text)
    found = read("forecast_heads")["tasks"]
    shares = [task["seconds"]["slopes"] / task["seconds"]["15 retrainings, ours"] for task in found]
    covered = np.mean([task["summary"]["coverage_of_loss"] for task in found])
    print(f"slopes over retrainings {min(shares):.2f} to {max(shares):.2f}; coverage of all {covered:.3f}")


if __name__ == "__main__":
    main()
