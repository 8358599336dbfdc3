"""How far off the slopes of last layers, LoRA and whole models are, from a hold-out and from folds.

Run in the project's folder as

    PYTHONPATH=benchmarks python benchmarks/forecast/fine_tuned_errors.py [--evidence runs/layers] [--held-out]

It makes ``src/suffice/forecasting/slopes/fine_tuned.json`` from the results of `layers.py` on the tuning and the
development tasks, which all have a hold-out. With what `layers_evidence.py` has kept it makes
``results/forecast_folds_of_layers.json``, the same with five folds in place of the hold-out, as ``suffice forecast``
has them without ``--test``: nothing was fitted to these. It prints tables of both; those of held-out data on request.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from environment import RESULTS, save
from intervals import WIDTH
from tables import GROUPS, cells, is_clear, of_layers, rms, table, true_gain, truth_error

from suffice.errors import InputError
from suffice.forecasting.slopes import standard_error
from suffice.forecasting.slopes.fine_tuned import ERRORS, Part, fine_tuned_slope, part_errors
from suffice.training.predictions import Predictions

SHIPPED = Path("src/suffice/forecasting/slopes") / ERRORS

DEFAULT = "forecast_folds_of_layers"
"""Results of the default path."""

TIMES = (2, 4, 8)

HELD_OUT = "vit-fashion-classes"
"""The study that nothing is fitted to or chosen by."""

ABOUT = (
    "Made by benchmarks/forecast/fine_tuned_errors.py from forecasts of vit-digits (the embedded ViT, ten digits "
    "and two halves of them), vit-fashion (DINOv2-S) and text-movie (MiniLM). part: last layers and LoRA on three "
    "data sets; full: whole models on one, the digits. between: log of the true over the estimated gain to 2, 4 and "
    "8 times the samples with a hold-out, root mean square without the noise of the losses but with that of the "
    "true gain, each data set counted the same. falls: the same for slopes through losses of halves and folds, over "
    "the pilots of both parts; none where they made nothing better. training: standard deviation between trainings "
    "over the gain that is left. information: root mean square of that log for the effective dimension, on the "
    "digits."
)


@dataclass(frozen=True)
class Case:
    """One pilot and one larger size.

    Attributes:
        study, group, part: of the pilot.
        times: the larger size over the pilot's, about.
        ratio: the true gain, which is clear, over the estimated one.
        noise: error of the log of the estimated gain by the noise of the losses.
        between: its other error, as stated.
        truth: standard error of the true gain, over it.
    """

    study: str
    group: str
    part: Part
    times: int
    ratio: float
    noise: float
    between: float
    truth: float


def cases(pilots: Iterable[dict[str, Any]], path: str) -> list[Case]:
    """Of a path: "hold-out" or "folds"."""
    return [
        Case(
            one["study"],
            group_of(one),
            part_of(one),
            times,
            true_gain(one, place) / (one[path]["slope"] * (1 / one["size"] - 1 / size)),
            one[path]["noise"],
            one[path].get("between", 0.0),
            truth_error(one, place),
        )
        for one in pilots
        for place, size in enumerate(one["ahead"])
        for times in TIMES
        if times / 1.2 < size / one["size"] < times * 1.2 and is_clear(one, place)
    ]


def group_of(pilot: dict[str, Any]) -> str:
    if pilot["study"] == HELD_OUT:
        return "held out"
    return "tuning" if GROUPS.get(f"{pilot['study']}, {pilot['task']}") == "tuned on" else "development"


def part_of(pilot: dict[str, Any]) -> Part:
    return "full" if pilot["method"] == "full" else "part"


def with_holdout() -> list[dict[str, Any]]:
    """The pilots of `layers.py`, with the slope and its noise."""
    found = []
    for pilot in (one for study in of_layers().values() for one in study):
        gains, furthest = pilot["gains"], 1 / pilot["size"] - 1 / pilot["ahead"][-1]
        optimism, gcv = gains["symmetric"][-1] / furthest, gains["gcv"][-1] / furthest
        if min(optimism, gcv) <= 0 or pilot["status"] != "extrapolated":
            continue
        gap = 2 * optimism / pilot["size"]
        test, level = pilot["own_loss"] + gap, pilot["loss"]
        # to first order: the optimism goes with the gap, gcv with between the gap and its square
        tau = 1 - np.sqrt(pilot["own_loss"] / test)
        noise = (level["high"][0] - level["low"][0]) / 2 / WIDTH / gap * (3 - tau) / 2
        found.append(pilot | {"hold-out": {"slope": float(np.sqrt(optimism * gcv)), "noise": float(noise)}})
    return found


def between(of: list[Case]) -> float:
    """Root mean square of the log ratio besides the noise, with each study counted the same."""
    squares: dict[str, list[float]] = {}
    for case in of:
        squares.setdefault(case.study, []).append(np.log(case.ratio) ** 2 - case.noise**2)
    return float(np.sqrt(max(0.0, np.mean([np.mean(of_study) for of_study in squares.values()]))))


def between_trainings(pilots: list[dict[str, Any]]) -> float:
    """Standard deviation of the test loss between the seeds of a study over the estimated gain that is left."""
    variances, gains = [], []
    for pilot in pilots:
        losses = [
            cell["test_loss"]
            for cell in cells(pilot["study"])
            if all(cell[key] == pilot[key] for key in ("task", "method", "size")) and cell["status"] == "finished"
        ]
        variances.append(np.var(losses, ddof=1))
        gains.append(pilot["hold-out"]["slope"] / pilot["size"])
    return float(np.sqrt(np.sum(variances) / np.sum(np.square(gains))))


def of_information(pilots: list[dict[str, Any]]) -> float:
    """Root mean square of the log ratio of the effective dimension."""
    return rms(
        [
            np.log(pilot["gains"]["information"][place] / true_gain(pilot, place))
            for pilot in pilots
            for place in range(len(pilot["ahead"]))
            if "information" in pilot["gains"] and is_clear(pilot, place)
        ]
    )


def fit(pilots: list[dict[str, Any]], default: list[dict[str, Any]]) -> dict[str, Any]:
    parts, falls = {}, round(between(cases(default, "halves")), 2)
    for part in ("part", "full"):
        alike = [one for one in pilots if part_of(one) == part]
        parts[part] = {
            "between": round(between(cases(alike, "hold-out")), 2),
            "falls": falls if part == "full" else None,
            "training": round(between_trainings(alike), 2),
            "information": round(of_information(alike), 2),
        }
    return {"about": ABOUT, "parts": parts}


def measured(file: Path) -> dict[str, Any]:
    """What one file of `layers_evidence.py` gives, with the truth of its study."""
    with np.load(file) as stored:
        found: dict[str, Any] = {name: stored[name].item() for name in ("task", "method", "seed", "size")}
        found["study"] = stored["experiment"].item()
        of = {
            name: Predictions(size * found["size"], stored[f"{name} outputs"], stored[f"{labels} labels"])
            for name, labels, size in (
                ("own", "own", 1.0),
                ("test", "test", 1.0),
                ("fold", "own", 0.8),
                ("half", "own", 0.5),
            )
        }
        for name in ("penalty", "descent", "moving"):
            found[name] = stored[name].item()
    trained = [
        cell
        for cell in cells(found["study"])
        if all(cell[key] == found[key] for key in ("task", "method")) and cell["status"] == "finished"
    ]
    sizes = sorted({cell["size"] for cell in trained if found["size"] <= cell["size"] <= TIMES[-1] * found["size"]})
    found["ahead"] = sizes[1:]
    found["true_loss"] = [
        float(np.mean([cell["test_loss"] for cell in trained if cell["size"] == size])) for size in sizes
    ]
    for name, predictions in of.items():
        found[f"{name}_loss"] = float(predictions.losses.mean())
        found[f"{name}_accuracy"] = float(predictions.right.mean())
        found[f"{name}_error"] = standard_error(predictions.losses)
    directions = found["moving"] / (of["own"].outputs.shape[1] - 1)
    for path, name, halves in (
        ("hold-out", "test", None),
        ("folds", "fold", None),
        ("folds and halves", "fold", of["half"].losses),
    ):
        try:
            slope = fine_tuned_slope(
                of["own"].losses,
                of[name].losses,
                found["size"],
                of[name].samples,
                directions,
                part_of(found),
                halves,
                of["half"].samples,
            )
        except InputError:
            continue
        found[path] = {
            "slope": slope.value,
            "noise": slope.noise,
            "between": slope.between,
            "level": slope.level,
            "level_error": slope.level_error,
        }
    fell, ahead = of["half"].losses - of["fold"].losses, 1 / of["half"].samples - 1 / of["fold"].samples
    fall = max(float(fell.mean()), standard_error(fell))
    found["halves"] = {"slope": fall / ahead, "noise": standard_error(fell) / fall}
    return found


def stored(evidence: Path | None) -> list[dict[str, Any]]:
    """The pilots of the default path: from a folder of evidence, else as they were measured from one."""
    if evidence is not None:
        return [measured(file) for file in sorted(evidence.glob("*/*.npz"))]
    found: list[dict[str, Any]] = json.loads((RESULTS / f"{DEFAULT}.json").read_text())["pilots"]
    return found


def loss_cases(pilots: Iterable[dict[str, Any]], path: str) -> list[tuple[str, Part, int, bool]]:
    """Group, part, times, and whether the interval of the loss holds the true one.

    The true loss is that of a test part, so of folds the interval has its noise too; a hold-out is the same test part.
    """
    random = np.random.default_rng(0)
    first, second, third, fourth = random.normal(size=(4, 4000))
    found = []
    for one in (one for one in pilots if path in one):
        of, errors = one[path], part_errors(part_of(one))
        slopes = of["slope"] * np.exp(of["noise"] * first + of["between"] * second)
        levels = of["level"] + of["level_error"] * first + errors.training * slopes / one["size"] * third
        if path != "hold-out":
            levels = levels + one["test_error"] * fourth
        for place, size in enumerate([one["size"], *one["ahead"]]):
            low, high = np.quantile(levels - slopes * (1 / one["size"] - 1 / size), [0.05, 0.95])
            found += [
                (group_of(one), part_of(one), times, bool(low <= one["true_loss"][place] <= high))
                for times in (1, *TIMES)
                if times / 1.2 < size / one["size"] < times * 1.2
            ]
    return found


def summary(name: str, found: list[Case]) -> list[list[str]]:
    rows = []
    for part in ("part", "full"):
        for group in ("tuning", "development", "held out"):
            for times in TIMES:
                of = [case for case in found if (case.part, case.group, case.times) == (part, group, times)]
                if not of:
                    continue
                ratios, logs = np.array([1 / case.ratio for case in of]), -np.log([case.ratio for case in of])
                stated = [case.between or part_errors(case.part).between for case in of]
                errors = np.hypot(stated, [case.noise for case in of])
                rows.append(
                    [
                        name,
                        part,
                        group,
                        str(times),
                        f"{len(of)} ({len({case.study for case in of})})",
                        f"{rms(list(ratios - 1)):.0%}",
                        f"{rms(list(logs)):.2f}",
                        f"{logs.mean():+.2f}",
                        f"{np.mean(np.abs(logs) < WIDTH * errors):.0%}",
                        f"{rms([case.truth for case in of]):.0%}",
                    ]
                )
    return rows


HEAD = (
    "path, part, group, times, pilots (studies), RMS of gain / true - 1, RMS of log, mean log, coverage of gain, "
    "noise of the true gain"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", type=Path, help="the folder of layers_evidence.py")
    parser.add_argument("--held-out", action="store_true", help=f"{HELD_OUT} too")
    arguments = parser.parse_args()
    pilots, default = with_holdout(), stored(arguments.evidence)
    seen, seen_default = ([one for one in of if one["study"] != HELD_OUT] for of in (pilots, default))
    SHIPPED.write_text(json.dumps(fit(seen, seen_default), indent=1) + "\n")
    part_errors.cache_clear()
    if arguments.evidence is not None:  # again, with the weights that were fitted
        default = stored(arguments.evidence)
        shown = default if arguments.held_out else [one for one in default if one["study"] != HELD_OUT]
        save(DEFAULT, {"pilots": shown})
    if not arguments.held_out:
        pilots, default = ([one for one in of if one["study"] != HELD_OUT] for of in (pilots, default))
    rows = summary("hold-out, all pilots", cases(pilots, "hold-out"))
    for path in ("hold-out", "folds", "folds and halves", "halves"):
        rows += summary(path, cases([one for one in default if path in one], path))
    for path in ("hold-out", "folds", "folds and halves"):
        covered = loss_cases(default, path)
        for key in sorted({case[:3] for case in covered}):
            of = [case[3] for case in covered if case[:3] == key]
            print(path, *key, f"{len(of)} losses, {np.mean(of):.0%} in their intervals")
    print(table(HEAD.split(", "), rows))
    print(SHIPPED.read_text())


if __name__ == "__main__":
    main()
