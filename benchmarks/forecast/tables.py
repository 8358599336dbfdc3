"""Writes the tables of docs/forecast_measured.md from the results: ``python benchmarks/forecast/tables.py``."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from collecting import ASSURANCE, EVEN, MARGIN, by_slope
from intervals import WIDTH
from tasks import IN_VIEW, NOT_IN_VIEW, TUNED_ON

from suffice.forecasting import FAMILIES, fit_curve

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "forecast_measured.md"

START = 0.05
"""q0 of ``collect.py``, over the pool."""

PARTS = ("tuning", "development", "held out")
"""Of other people's data sets."""

ASSURED = "enough_at_assurance_0.8"

CURVES = ("power law", "power law with limit", "logarithm", "arctan", "algebraic root")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}%"


def heads() -> str:
    summary = read("forecast_heads")["summary"]
    names = list(next(iter(summary.values()))["error_of_gain"])
    rows = [[f"gain, {name}", *(percent(part["error_of_gain"][name]) for part in summary.values())] for name in names]
    others = [name for name in next(iter(summary.values())) if name.startswith(("error_of", "noise", "coverage"))]
    rows += [
        [name.replace("_", " "), *(percent(part[name]) for part in summary.values())]
        for name in others
        if name != "error_of_gain"
    ]
    return table(["", *summary], rows)


def outside() -> str:
    """Heads on other people's data: errors of the predicted gain by estimator, each data set counted the same."""
    found = read("forecast_outside_heads")
    parts = {f"{part}, {group}": found[part][group] for part in PARTS for group in ("24 a class or more", "fewer")}
    names = list(next(iter(parts.values()))["gain"])
    rows = [
        [name, *("{rms_log_ratio[0]:.2f} / {bias[0]:+.2f}".format(**part["gain"][name]) for part in parts.values())]
        for name in names
    ]
    rows.append(["calibrated, penalty chosen by folds", *map(_of_chosen, parts.values())])
    rows.append(["coverage of the gain, calibrated", *(within(part["coverage"]) for part in parts.values())])
    rows.append(["data sets", *(str(part["data_sets"]) for part in parts.values())])
    rows.append(["pilots that cannot tell", *(percent(part["cannot_tell"]) for part in parts.values())])
    return table(["", *parts], rows)


def forecasts() -> str:
    """Whole forecasts of heads on other people's data: how often intervals hold, and sizes are enough."""
    found = read("forecast_outside")
    parts = {f"{part}, {group}": found[part][group] for part in PARTS for group in ("24 a class or more", "fewer")}
    rows = []
    for name, key in (("gain", "gain"), ("gain, penalty chosen by folds", "gain_penalty_chosen")):
        numbers = ("{rms_log_ratio[0]:.2f} / {bias[0]:+.2f}".format(**of[key]) for of in parts.values())
        rows.append([f"{name}: RMS log ratio / bias", *numbers])
    rows += [
        [f"{name}: 90% interval holds", *(within(of[name]["covered"]) for of in parts.values())]
        for name in ("gain", "loss", "accuracy")
    ]
    rows += [
        [f'size is enough at assurance 0.8, "{of_what}"', *(within(of[ASSURED][of_what]) for of in parts.values())]
        for of_what in ("mean", "next")
    ]
    for score in ("ours", "no improvement", "two points", "ours, conformal"):
        rows.append(
            [f"interval score, {score}", *("{:.2f}".format(of["interval_score"][score][0]) for of in parts.values())]
        )
    for group in ("24 of the smallest class or more", "fewer of the smallest class"):
        told = (of["status"].get(group) for of in parts.values())
        rows.append([f"cannot tell, {group}", *("" if of is None else within(of["cannot_tell"]) for of in told)])
    rows.append(["data sets", *(str(of["data_sets"]) for of in parts.values())])
    return table(["", *parts], rows)


def by_noise() -> str:
    """The same by the relative standard error of the loss gap."""
    found = read("forecast_outside")
    rows = [
        [f"{part}, {noise}", *(within(of[name]["covered"]) for name in ("gain", "loss", "accuracy"))]
        for part in PARTS
        for noise, of in found[part]["by_noise"].items()
    ]
    return table(["part, noise of the gap", "gain", "loss", "accuracy"], rows)


def recipes() -> str:
    """Recipes of the penalty: errors of the predicted gain by part and size, each data set counting the same."""
    found = read("forecast_recipes")
    rows = []
    for part in ("tuning", "development"):
        for recipe, of in found[part].items():
            for ahead, by in of.items():
                for name, one in by.items():
                    rms, bias = one["rms_log_ratio"], one["bias"]
                    numbers = (
                        f"{rms[0]:.2f} ({rms[1]:.2f} to {rms[2]:.2f})",
                        f"{bias[0]:+.2f} ({bias[1]:+.2f} to {bias[2]:+.2f})",
                        within(one["coverage"]),
                    )
                    rows.append([f"{part}, {recipe}, {ahead}", str(one["data_sets"]), name, *numbers])
    return table(["", "data sets", "predicted", "RMS log ratio", "bias", "90% interval holds"], rows)


def _of_chosen(part: dict[str, Any]) -> str:
    return "{rms_log_ratio[0]:.2f} / {bias[0]:+.2f}".format(**part["gain_penalty_chosen"]["calibrated"])


def within(value: list[float]) -> str:
    """A share with its cluster-bootstrap interval."""
    share, low, high = value
    return f"{percent(share)} ({percent(low)} to {percent(high)})"


def metrics() -> str:
    """How fast metrics rise with the loss: errors where the fall of the loss is known, by rate."""
    rows = [
        [
            name,
            str(of["data_sets"]),
            f"{of['rise_in_points']:.1f}",
            *(f"{rate['log_rms']:.2f} / {rate['points_off']:.1f}" for rate in of["rates"].values()),
            within(of["coverage"]),
        ]
        for name, of in read("forecast_metrics")["tables"].items()
        if name.startswith("development")
    ]
    rates = list(next(iter(read("forecast_metrics")["tables"].values()))["rates"])
    return table(["data, metric, to", "data sets", "rise, points", *rates, "coverage of the metric"], rows)


def times() -> str:
    """Errors of the gain by how far ahead it is."""
    rows = [
        [part, f"{times} times", str(found["pilots"]), *(percent(found[name]) for name in AHEAD)]
        for part, of in read("forecast_heads")["summary"].items()
        for times, found in of["at"].items()
    ]
    return table(["tasks", "to", "pilots", *AHEAD], rows)


def tasks() -> str:
    rows = []
    for task in read("forecast_heads")["tasks"]:
        found = task["summary"]
        gain, seconds = found["error_of_gain"], task["seconds"]
        best = min(CURVES, key=gain.get)
        rows.append(
            [
                task["task"]
                if task["group"] == IN_VIEW
                else f"{task['task']} ({task['group'].removeprefix('others, ')})",
                f"{task['per_class']:.0f}",
                percent(gain["calibrated"]),
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


AHEAD = ("calibrated", "combined", "power law with limit", "arctan", "two points", "no improvement")
"""Methods of the table of distances."""

LAYERS = ("combined", "symmetric", "gcv", "information", "power law", "power law with limit", "arctan", "two points")
"""Methods of the tables of last layers, LoRA and whole models."""

GROUPS = {"vit-digits, all": TUNED_ON, "text-movie, all": TUNED_ON, "vit-fashion, all": IN_VIEW}
"""Studies and their classes that were looked at when the default was chosen; the rest was measured once, after it."""

CLEAR = 0.1
"""Of the loss of the pilot; a true gain that is less is not told relative to itself."""


def of_layers() -> dict[str, list[dict[str, Any]]]:
    """The pilots by study and classes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(RESULTS.glob("forecast_layers_*.json")):
        study = file.stem.removeprefix("forecast_layers_")
        for pilot in json.loads(file.read_text())["pilots"]:
            found.setdefault(f"{study}, {pilot['task']}", []).append(pilot | {"study": study})
    return found


def true_gain(pilot: dict[str, Any], place: int = -1) -> float:
    return float(pilot["true_loss"][0] - pilot["true_loss"][1:][place])


def is_clear(pilot: dict[str, Any], place: int) -> bool:
    return true_gain(pilot, place) > CLEAR * pilot["true_loss"][0]


def asked(pilot: dict[str, Any]) -> dict[str, list[int]]:
    """How many samples each method says to collect in one round for each larger size, ours with the margin of now."""
    falls = [true_gain(pilot, place) for place in range(len(pilot["ahead"]))]
    slope, error = pilot["slope"] or 0.0, pilot["slope_error"] or 0.0
    ours = [by_slope(pilot["size"], fall, slope, error, MARGIN) for fall in falls]
    return {"suffice": ours} | {name: sizes for name, sizes in pilot["asked"].items() if name != "suffice"}


def layers() -> str:
    """By method and size: predicted over true gain, the mean over seeds."""
    rows = []
    for study, pilots in of_layers().items():
        for method, size in sorted({(pilot["method"], pilot["size"]) for pilot in pilots}):
            alike = [pilot for pilot in pilots if (pilot["method"], pilot["size"]) == (method, size)]
            first = alike[0]
            ratios = [
                f"{np.mean([one['gains'][name][-1] / true_gain(one) for one in alike]):.2f}"
                if name in first["gains"]
                else ""
                for name in LAYERS
            ]
            told = np.mean([one["accuracy"]["mean"][-1] for one in alike])
            seconds = [
                f"{np.mean([one['seconds'][kind] for one in alike]):.0f}" if "seconds" in first else ""
                for kind in ("forecast", "training")
            ]
            rows.append(
                [
                    study,
                    method,
                    str(size),
                    str(first["ahead"][-1]),
                    f"{true_gain(first):.3f} of {first['true_loss'][0]:.2f}",
                    *ratios,
                    f"{told:.3f} / {first['true_accuracy'][-1]:.3f}",
                    " / ".join(filter(None, seconds)),
                ]
            )
    head = ["study", "method", "pilot", "to", "true gain", *LAYERS, "accuracy told / true", "seconds, training's"]
    return table(head, rows)


def layers_best() -> str:
    """The forecast beside the best family of curves, fitted to the trainings of all seeds, and of the pilot's own."""
    rows = []
    for group, pilots in groups().items():
        for times in (2, 4, 8):
            clear = [(one, place) for one, place in ahead(pilots, times) if is_clear(one, place)]
            if not clear:
                continue
            alike: dict[str, list[float]] = {}
            own: dict[str, list[float]] = {}
            for one, place in clear:
                for found, gains in ((alike, one["gains"]), (own, own_gains(one))):
                    for name, gain in gains.items():
                        found.setdefault(name, []).append(gain[place] / true_gain(one, place) - 1)
            rows.append(
                [
                    group,
                    f"{times} times",
                    str(len(clear)),
                    percent(rms(alike["combined"])),
                    *(best(found, len(clear)) for found in (alike, own)),
                    percent(rms([truth_error(one, place) for one, place in clear])),
                ]
            )
    head = "studies, to, pilots, combined, best curve fit, best from the pilot's own samples, noise of the true gain"
    return table(head.split(", "), rows)


def best(errors: dict[str, list[float]], pilots: int) -> str:
    """Of the curves that could be fitted to the pilots of at least two of the three sizes."""
    found = {name: rms(errors[name]) for name in CURVES if len(errors.get(name, [])) > pilots / 2}
    name = min(found, key=lambda name: found[name])
    return f"{percent(found[name])} ({name})"


def own_gains(pilot: dict[str, Any]) -> dict[str, list[float]]:
    """By curves that are fitted to the trainings on the pilot's own samples and on the first of these."""
    trainings = [
        (float(cell["size"]), cell["test_loss"])
        for cell in cells(pilot["study"])
        if all(cell[key] == pilot[key] for key in ("task", "method", "seed")) and cell["size"] <= pilot["size"]
    ]
    sizes, losses = np.array(trainings).T
    fits = [
        fit_curve(name, sizes, losses, np.full(len(sizes), EVEN), pilot["size"])
        for name, family in FAMILIES.items()
        if len(sizes) >= family.free
    ]
    return {fit.name: fit.gain(np.array(pilot["ahead"], dtype=np.float64)).tolist() for fit in fits}


def layers_summary() -> str:
    """Root mean squares over pilots with a clear gain, and coverage over all."""
    rows = []
    for group, pilots in groups().items():
        for times in (2, 4, 8):
            at = ahead(pilots, times)
            clear = [(one, place) for one, place in at if is_clear(one, place)]
            errors = {
                name: [
                    one["gains"][name][place] / true_gain(one, place) - 1
                    for one, place in clear
                    if name in one["gains"]
                ]
                for name in LAYERS
            }
            of_truth = [truth_error(one, place) for one, place in clear]
            told = [(one, place) for one, place in at if one["status"] == "extrapolated"]
            covered = [
                np.mean(
                    [
                        one[what]["low"][place + 1] <= one[f"true_{what}"][place + 1] <= one[what]["high"][place + 1]
                        for one, place in told
                    ]
                )
                for what in ("loss", "accuracy")
            ]
            rows.append(
                [
                    group,
                    f"{times} times",
                    f"{len(clear)} of {len(at)}",
                    *(percent(rms(of)) if len(of) == len(clear) else "" for of in errors.values()),
                    percent(rms(of_truth)),
                    *map(percent, loss_errors(told)),
                    *map(percent, covered),
                ]
            )
    others = ["noise of the true gain", "error of loss", "of level", "noise floor", "coverage of loss", "of accuracy"]
    return table(["studies", "to", "pilots", *LAYERS, *others], rows)


def loss_errors(told: list[tuple[dict[str, Any], int]]) -> tuple[float, float, float]:
    """Of the loss ahead and of the level, and the noise of the level's test samples, over the true losses."""
    ahead_of = [one["loss"]["mean"][place + 1] / one["true_loss"][place + 1] - 1 for one, place in told]
    level = [one["loss"]["mean"][0] / one["true_loss"][0] - 1 for one, _ in told]
    floor = [(one["loss"]["high"][0] - one["loss"]["low"][0]) / 2 / WIDTH / one["true_loss"][0] for one, _ in told]
    return rms(ahead_of), rms(level), rms(floor)


def rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def collect() -> str:
    """All methods, ours with the assurance that is told elsewhere."""
    ours = f"suffice, {ASSURANCE:g}"
    rows = [
        ["suffice" if row["method"] == ours else row["method"].replace("_", " "), row["level"], *of_collecting(row)]
        for row in sorted(
            read("forecast_collect")["table"], key=lambda row: (row["level"], row["rounds"], row["tasks"])
        )
        if row["method"] == ours or not row["method"].startswith("suffice")
    ]
    return table(["method", "level", *COLLECTED], rows)


def collect_assurances() -> str:
    """Ours by its assurance, at the mean level."""
    rows = [
        [row["method"].removeprefix("suffice, "), *of_collecting(row)]
        for row in sorted(read("forecast_collect")["table"], key=lambda row: (row["rounds"], row["tasks"]))
        if row["method"].startswith("suffice") and row["level"] == "mean"
    ]
    return table(["assurance", *COLLECTED], rows)


def computation() -> str:
    """Of one round, what q0 and the size that was asked for take to train, over one training on the whole pool.

    In epochs a training takes as long as it has samples, and the median follows from that of the cost ratio; with a
    budget of steps each training takes the same.
    """
    rows = []
    for row in read("forecast_collect")["table"]:
        if row["level"] != "mean" or row["rounds"] != 1 or row["method"] not in ("suffice, 0.5", "suffice, 0.9"):
            continue
        asked = [1 + (int(times) - 1) * (1 + cost) for times, cost in row["median_cost_ratio_of"].items()]
        enough = [START * (1 + int(times)) for times in row["median_cost_ratio_of"]]
        saved = [
            f"{1 - START * (1 + size):.0%} (of {1 - least:.0%})" for size, least in zip(asked, enough, strict=True)
        ]
        rows.append([row["method"].removeprefix("suffice, "), row["tasks"], percent(row["failure_rate"]), *saved])
    head = ["assurance", "tasks", "failure rate", *(f"saved, epochs, to {times} times" for times in (2, 4, 8))]
    return table(head, sorted(rows))


COLLECTED = ("rounds T", "tasks", "runs", "failure rate", "missed", "median cost ratio", "to 2, 4, 8 times")


def of_collecting(row: dict[str, Any]) -> list[str]:
    return [
        str(row["rounds"]),
        row["tasks"],
        str(row["runs"]),
        percent(row["failure_rate"]),
        percent(row["miss_rate"]),
        f"{row['median_cost_ratio']:.2f}",
        ", ".join(f"{cost:.2f}" for cost in row["median_cost_ratio_of"].values()),
    ]


def collect_layers() -> str:
    """One round from each pilot to the losses of 2, 4 and 8 times as many, at the mean level."""
    rows = []
    for group, pilots in groups().items():
        at = [place for times in (2, 4, 8) for place in ahead(pilots, times)]
        clear = [(one | {"asked": asked(one)}, place) for one, place in at if is_clear(one, place)]
        for name in dict.fromkeys(name for one, _ in clear for name in one["asked"]):
            runs = [
                (one["asked"][name][place], one["ahead"][place], one["size"])
                for one, place in clear
                if name in one["asked"]
            ]
            failed = np.mean([asked < enough for asked, enough, _ in runs])
            cost = np.median([(asked - size) / (enough - size) - 1 for asked, enough, size in runs])
            rows.append([name.replace("_", " "), group, str(len(runs)), percent(float(failed)), f"{cost:.2f}"])
    return table(["method", "studies", "runs", "failure rate", "median cost ratio"], rows)


def classes() -> str:
    """Shares of the slope by gaps against those by gradients, of heads, and against retrainings."""
    found = read("forecast_classes")
    rows = [
        [of["task"], str(of["size"]), f"{of['rank_correlation']:.2f}", f"{of['apart']:.2f}", f"{of['spread']:.2f}"]
        for of in found["heads"]
    ]
    head = ["task", "pilot", "rank correlation", "root mean square of the difference", "of gradients' from 1"]
    return table(head, rows)


def groups() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for study, pilots in of_layers().items():
        for pilot in pilots:
            group = GROUPS.get(study, NOT_IN_VIEW) + ", whole model" * (pilot["method"] == "full")
            found.setdefault(group, []).append(pilot)
    return dict(sorted(found.items(), reverse=True))


def truth_error(pilot: dict[str, Any], place: int) -> float:
    """Standard error of the true gain, over it: from the seeds of the study, which begin with the same samples."""
    losses = {
        (cell["size"], cell["seed"]): cell["test_loss"]
        for cell in cells(pilot["study"])
        if (cell["task"], cell["method"]) == (pilot["task"], pilot["method"])
    }
    seeds = sorted({seed for _, seed in losses})
    gains = [losses[pilot["size"], seed] - losses[pilot["ahead"][place], seed] for seed in seeds]
    return float(np.std(gains, ddof=1) / np.sqrt(len(seeds)) / true_gain(pilot, place))


@functools.cache
def cells(study: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "experiments" / study / "result.json").read_text())["study"][
        "cells"
    ]
    return found


def ahead(pilots: list[dict[str, Any]], times: float) -> list[tuple[dict[str, Any], int]]:
    """The pilots, with the place of the size that is about so many times theirs."""
    return [
        (pilot, place)
        for pilot in pilots
        for place, size in enumerate(pilot["ahead"])
        if times / 1.2 < size / pilot["size"] < times * 1.2
    ]


def main() -> None:
    text = PAGE.read_text()
    for make in (
        outside,
        forecasts,
        by_noise,
        recipes,
        metrics,
        heads,
        times,
        tasks,
        layers_best,
        layers_summary,
        layers,
        collect,
        collect_assurances,
        computation,
        collect_layers,
        classes,
    ):
        name = make.__name__
        block = f"<!-- {name} -->\n{make()}\n<!-- end -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S)
        assert count == 1, f"no place for {name} in {PAGE.name}"
    PAGE.write_text(text)
    found = read("forecast_heads")["tasks"]
    shares = [task["seconds"]["slopes"] / task["seconds"]["15 retrainings, ours"] for task in found]
    covered = np.mean([task["summary"]["coverage_of_loss"] for task in found])
    retrained = read("forecast_classes")["retrained"]
    names = ("correlation", "correlation_at_most", "correlation_of_wrong", "sum_told_over_fell")
    print("classes:", ", ".join(f"{name} {retrained[name]:.2f}" for name in names))
    print(f"slopes over retrainings {min(shares):.2f} to {max(shares):.2f}; coverage of all {covered:.3f}")


if __name__ == "__main__":
    main()
