"""When to stop labelling: how often the rule of `suffice.forecasting.monitor_scores` is wrong, and what it saves.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/stopping.py --cache FOLDER [--held-out]`` after
`stopping_tasks`. Without ``--held-out`` it looks at the development tasks, by which the assurance, the fewest looks and
the assumed correlations were chosen; with it at those that no choice has seen. Both are kept in one file.

A stop is wrong if the true mean gain from t to 2t exceeds the wanted one at the first stop. The oracle stops at the
first look at which it does not. Who never stops labels the whole pool, and so does the oracle where no look is right.
With a target, the true mean accuracy at half of the pool, a stop is wrong before that look.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from environment import RESULTS, environment
from jaxtyping import Bool, Float64
from scipy.stats import beta
from stopping_rules import OTHERS, last_doubling
from stopping_tasks import DEVELOPMENT, HELD_OUT

from suffice.errors import InputError
from suffice.forecasting.labelling import labelling_curve, share_errors
from suffice.forecasting.looks import measured
from suffice.forecasting.stopping import ASSURANCE, FEWEST_LOOKS, probability_of_less

GAINS = (0.01, 0.02, 0.03, 0.05)
"""Of accuracy; the second is the one of the goals."""

MAIN = 0.02

SAMPLES = 500
"""Of the hold-out, at most."""

KNOWN = {"samples": 60, "size": 20}
"""What is known of the hold-out, the score of each sample or how many there are; and how many sequences have it."""

FEWER = {"samples": 25}
"""The same for the development tasks."""

TARGET_AT = 9
"""The look whose true mean accuracy is the target where one is asked for: half of the pool."""

RESAMPLES = 2000


def looked(
    right: Bool[np.ndarray, "looks holdout"], sizes: Any, known: str, target: float
) -> Float64[np.ndarray, "looks columns"]:
    """At each look the probability that doubling brings less, for each of the gains; 0 before there is a curve.

    In the last column whether the decision is that the target is reached.
    """
    found = np.zeros((len(sizes), len(GAINS) + 1))
    values = right.astype(np.float64)
    scores = values.mean(1)
    samples = values if known == "samples" else None
    errors = share_errors(scores, right.shape[1]) if known == "size" else None
    looks = measured(sizes.astype(np.float64), scores, "accuracy", errors, samples)
    for look in range(FEWEST_LOOKS - 1, len(sizes)):
        seen, now = slice(look + 1), float(sizes[look])
        try:
            curve = labelling_curve(
                sizes[seen].astype(np.float64),
                scores[seen],
                "accuracy",
                None if errors is None else errors[seen],
                None if samples is None else samples[seen],
            )
        except InputError:
            continue
        low = looks[look].low
        by_look = low is not None and low >= target
        found[look, -1] = by_look or curve.at([now]).probability(target)[0] >= ASSURANCE
        found[look, :-1] = [probability_of_less(curve, now, gain) for gain in GAINS]
    return found


def of_task(cache: Path, known: Mapping[str, int], name: str) -> dict[str, Any]:
    """Where each rule stops in each sequence of a task, as the number of the look; the number of looks for never."""
    with np.load(cache / "sequences" / f"{name}.npz") as kept:
        held = {key: kept[key] for key in kept.files}
    sizes, right = held["sizes"], held["right"][:, :, :SAMPLES]
    at = {int(size): column for column, size in enumerate(held["later"])}
    drawn = held["accuracy"][:, [at[2 * size] for size in sizes]] - held["accuracy"][:, [at[size] for size in sizes]]
    sequences = [
        {
            "sizes": sizes,
            "classes": int(held["classes"]),
            "scores": right[row].mean(1),
            "named": held["named"][row],
            "entropy": held["entropy"][row],
        }
        for row in range(len(right))
    ]
    stops: dict[str, Any] = {}
    for other, rule in OTHERS.items():
        at_looks = [first(rule(one)) for one in sequences]
        stops[other] = dict.fromkeys(GAINS, at_looks)
    stops["last doubling"] = {gain: [first(last_doubling(one, gain)) for one in sequences] for gain in GAINS}
    reached = {}
    for what, count in known.items():
        target = float(held["accuracy"].mean(0)[at[int(sizes[TARGET_AT])]])
        chances = [looked(right[row], sizes, what, target) for row in range(count)]
        stops[f"suffice, {what} known"] = {
            gain: [first(of[:, column] >= ASSURANCE) for of in chances] for column, gain in enumerate(GAINS)
        }
        reached[what] = [first(of[:, -1] > 0) for of in chances]
    stops["never"] = {gain: [len(sizes)] * len(right) for gain in GAINS}
    print(name, flush=True)
    return {
        "name": name,
        "sizes": sizes,
        "holdout": right.shape[2],
        "gains": drawn.mean(0),
        "errors": drawn.std(0, ddof=1) / np.sqrt(len(drawn)),
        "stops": stops,
        "reached": reached,
    }


def first(stops: Bool[np.ndarray, " looks"]) -> int:
    return int(stops.argmax()) if stops.any() else len(stops)


def share(wrong: int, count: int) -> dict[str, Any]:
    """With its 95% limits by Clopper and Pearson, and the one-sided upper limit."""
    low = beta.ppf(0.025, wrong, count - wrong + 1) if wrong else 0.0
    high = beta.ppf(0.975, wrong + 1, count - wrong)
    upper = beta.ppf(0.95, wrong + 1, count - wrong)
    return {
        "wrong": wrong,
        "sequences": count,
        "rate": round(wrong / count, 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "upper_95": round(float(upper), 4),
    }


def summary(tasks: Sequence[dict[str, Any]], rule: str, gain: float) -> dict[str, Any]:
    """How often a rule is wrong, and its labels over those of the oracle."""
    wrong, stopped, ratios, labels, best = [], [], [], [], []
    for task in tasks:
        sizes, gains, looks = task["sizes"], task["gains"], len(task["sizes"])
        right = np.flatnonzero(gains <= gain)
        oracle = int(right[0]) if len(right) else looks - 1
        stops = np.array(task["stops"][rule][gain])
        at = np.minimum(stops, looks - 1)
        wrong.append((stops < looks) & (gains[at] > gain))
        stopped.append(stops < looks)
        ratios.append(sizes[at] / sizes[oracle])
        labels.append(sizes[at] / sizes[-1])
        best.append(np.full(len(stops), sizes[oracle] / sizes[-1]))
    flat = np.concatenate(wrong)
    random = np.random.default_rng(0)
    of_tasks = np.array([of.mean() for of in wrong])
    drawn = random.choice(of_tasks, (RESAMPLES, len(tasks))).mean(1)
    over = np.concatenate(ratios)
    return {
        **share(int(flat.sum()), len(flat)),
        "bootstrap_of_tasks_97.5": round(float(np.quantile(drawn, 0.975)), 4),
        "stopped": round(float(np.concatenate(stopped).mean()), 4),
        "wrong_of_stopped": round(float(flat.sum() / max(1, np.concatenate(stopped).sum())), 4),
        "median_labels_over_oracle": round(float(np.median(over)), 3),
        "mean_labels_over_oracle": round(float(over.mean()), 3),
        "median_share_of_pool": round(float(np.median(np.concatenate(labels))), 3),
        "mean_share_of_pool": round(float(np.concatenate(labels).mean()), 3),
        "oracle_median_share_of_pool": round(float(np.median(np.concatenate(best))), 3),
        "oracle_mean_share_of_pool": round(float(np.concatenate(best).mean()), 3),
        "wrong_by_task": {task["name"]: int(of.sum()) for task, of in zip(tasks, wrong, strict=True)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--held-out", action="store_true")
    given = parser.parse_args()
    names = HELD_OUT if given.held_out else DEVELOPMENT
    collect: Callable[[str], dict[str, Any]] = partial(of_task, given.cache, KNOWN if given.held_out else FEWER)
    tasks = [collect(name) for name in names]
    results = {
        "tasks": [
            {
                "name": task["name"],
                "pool": int(task["sizes"][-1]),
                "batch": int(task["sizes"][0]),
                "holdout": task["holdout"],
                "true_gains": np.round(task["gains"], 4).tolist(),
                "errors_of_true_gains": np.round(task["errors"], 4).tolist(),
            }
            for task in tasks
        ],
        "targets": {
            what: share(
                sum(stop < TARGET_AT for task in tasks for stop in task["reached"][what]),
                sum(len(task["reached"][what]) for task in tasks),
            )
            for what in tasks[0]["reached"]
        },
        "rules": {rule: {str(gain): summary(tasks, rule, gain) for gain in GAINS} for rule in tasks[0]["stops"]},
    }
    file = RESULTS / "stopping.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    settings = {"assurance": ASSURANCE, "fewest_looks": FEWEST_LOOKS, "holdout": SAMPLES, "main_gain": MAIN}
    part = "held_out" if given.held_out else "development"
    together = {**before, "environment": environment(), "settings": settings, part: results}
    file.write_text(json.dumps(together, indent=1) + "\n")
    for rule, of in results["rules"].items():
        one = of[str(MAIN)]
        print(
            f"{rule}: wrong {one['rate']:.3f} (to {one['upper_95']:.3f}), stopped {one['stopped']:.2f}, "
            f"labels {one['median_labels_over_oracle']} of the oracle's, {one['mean_share_of_pool']} of the pool"
        )


if __name__ == "__main__":
    main()
