"""How well learning curves are continued from four scores: errors of other people's learners, losses, and images.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/forecast/scores.py SHARED [--held-out]``, SHARED
being the folder of models and data. Without ``--held-out`` it looks at the development data sets, by which choices were
made; with it at those that no choice has seen. A curve has a pilot at each size from which on 8 times as many samples
were measured; curves count the same. All intervals are 90%, from 1,000 resamples of whole data sets.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from environment import save
from jaxtyping import Float64
from outside_curves import AHEAD, LEARNERS, Part, Pilot, language_models, lcdb
from plain_fits import plain_fits

from suffice.errors import InputError
from suffice.forecasting import forecast_scores
from suffice.results import Curve, Metric

RATIOS = np.array([1 / 8, 1 / 4, 1 / 2, 1])
RESAMPLES = 1000
LEVEL = 0.9
SHARE_OF_NOW = 0.8
"""Targets of the reliability: this share of the last error."""

Values = Float64[np.ndarray, "pilots ahead"]


class Sample:
    """Pilots that have a curve, what is told of them, and how statistics of them vary with the data sets."""

    def __init__(self, pilots: Sequence[Pilot], metric: Metric) -> None:
        self.pilots: list[Pilot] = []
        self.curves: list[Curve] = []
        self.refused = 0
        for pilot in pilots:
            try:
                curve = forecast_scores(pilot.sizes, pilot.scores, pilot.sizes[-1] * np.array(AHEAD), metric=metric)
            except InputError:
                self.refused += 1
                continue
            self.pilots.append(pilot)
            self.curves.append(curve)
        self.later = np.array([pilot.later for pilot in self.pilots])
        self.now = np.array([pilot.scores[-1] for pilot in self.pilots])
        self.mean, self.low, self.high = (
            np.array([getattr(curve, name) for curve in self.curves]) for name in ("mean", "low", "high")
        )
        self.inside = ((self.low <= self.later) & (self.later <= self.high)).astype(float)
        names, self._origin = np.unique([pilot.origin for pilot in self.pilots], return_inverse=True)
        random = np.random.default_rng(0)
        drawn = random.integers(len(names), size=(RESAMPLES, len(names)))
        counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
        _, curve, pilots_of = np.unique(
            [f"{pilot.origin} {pilot.name}" for pilot in self.pilots], return_inverse=True, return_counts=True
        )
        self.weights = 1 / pilots_of[curve] / len(pilots_of)
        self._resampled = counts[:, self._origin] * self.weights

    def with_interval(
        self, statistic: Callable[[Float64[np.ndarray, "resamples pilots"]], Float64[np.ndarray, "resamples ahead"]]
    ) -> dict[str, Any]:
        """A statistic of weights of the pilots, which sum to 1, and its bootstrap interval."""
        weights = self._resampled / self._resampled.sum(1, keepdims=True)
        value = statistic(self.weights[None])[0]
        low, high = np.quantile(statistic(weights), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return {"value": rounded(value), "low": rounded(low), "high": rounded(high)}

    def average(self, values: Values) -> dict[str, Any]:
        return self.with_interval(lambda weights: weights @ values)


def rounded(values: Any) -> Any:
    return np.round(values, 4).tolist()


def interval_score(later: Values, low: Values, high: Values) -> Values:
    """Width, and 2 / 0.1 times what is missed (Gneiting and Raftery 2007)."""
    missed = np.maximum(low - later, 0) + np.maximum(later - high, 0)
    return high - low + 2 / (1 - LEVEL) * missed


def errors_of_learners(shared: Path, part: Part) -> dict[str, Any]:
    sample = Sample(lcdb(shared, part, seed=1, one_each=False), "error")
    scores = np.array([pilot.scores for pilot in sample.pilots])
    fits = plain_fits(RATIOS, scores, np.array(AHEAD, dtype=float))
    plain = {name: np.abs(told - sample.later) for name, told in fits.items()}
    ours = np.abs(sample.mean - sample.later)
    names = list(plain)
    best = [min(names, key=lambda name: sample.weights @ plain[name][:, column]) for column in range(len(AHEAD))]
    of_best = np.stack([plain[name][:, column] for column, name in enumerate(best)], axis=1)
    inside_next = np.array([next_inside(*pair) for pair in zip(sample.curves, sample.pilots, strict=True)])
    return {
        "pilots": len(sample.pilots),
        "data_sets": len({pilot.origin for pilot in sample.pilots}),
        "refused_as_worse": sample.refused,
        "mean_absolute_error": {
            "suffice": sample.average(ours),
            **{name: sample.average(values) for name, values in plain.items()},
        },
        "best_plain_fit": best,
        "over_best_plain_fit": sample.with_interval(lambda weights: (weights @ ours) / (weights @ of_best)),
        "bias": {
            "suffice": sample.average(sample.mean - sample.later),
            **{name: sample.average(told - sample.later) for name, told in fits.items()},
        },
        "coverage": sample.average(sample.inside),
        "coverage_of_next": sample.average(inside_next.astype(float)),
        "interval_score": {
            "suffice": sample.average(interval_score(sample.later, sample.low, sample.high)),
            **conformal(shared, sample, fits),
        },
        "reliability": reliability(sample),
        "by_kind": by_kind(sample, plain),
    }


def next_inside(curve: Curve, pilot: Pilot) -> list[bool]:
    """Whether single trainings are within the middle 90% of what is told of the next model."""
    scores = np.clip(pilot.next_scores, 1e-6, 1 - 1e-6).tolist()
    told = [curve.probability(score, of="next")[column] for column, score in enumerate(scores)]
    return [(1 - LEVEL) / 2 <= chance <= (1 + LEVEL) / 2 for chance in told]


def conformal(shared: Path, sample: Sample, fits: dict[str, Values]) -> dict[str, Any]:
    """Plain fits, more and less the 90% quantile of their errors on the data sets to learn from."""
    learned = lcdb(shared, "learn", seed=1, one_each=True)
    scores, later = (np.array([getattr(pilot, name) for pilot in learned]) for name in ("scores", "later"))
    found = {}
    for name, told in plain_fits(RATIOS, scores, np.array(AHEAD, dtype=float)).items():
        width = np.quantile(np.abs(told - later), LEVEL, axis=0)
        low, high = np.clip(fits[name] - width, 0, 1), np.clip(fits[name] + width, 0, 1)
        found[name] = sample.average(interval_score(sample.later, low, high))
    return found


def reliability(sample: Sample) -> list[dict[str, Any]]:
    """How often targets are reached, by how likely that was."""
    targets = SHARE_OF_NOW * sample.now
    rows = [
        (curve.probability(float(target)), later <= target)
        for curve, target, later in zip(sample.curves, targets, sample.later, strict=True)
        if target > 0
    ]
    told, reached = (np.concatenate(values) for values in zip(*rows, strict=True))
    edges = np.array([0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1])
    which = np.clip(np.searchsorted(edges, told, side="right") - 1, 0, len(edges) - 2)
    return [
        {
            "from": edges[number],
            "to": edges[number + 1],
            "pilots": int((which == number).sum()),
            "told": rounded(told[which == number].mean()),
            "reached": rounded(reached[which == number].mean()),
        }
        for number in range(len(edges) - 1)
        if (which == number).any()
    ]


def by_kind(sample: Sample, plain: dict[str, Values]) -> dict[str, Any]:
    """By kind of learner, with the prior of all kinds."""
    found = {}
    for kind in LEARNERS:
        chosen = np.array([pilot.kind == kind for pilot in sample.pilots])
        weights = np.where(chosen, sample.weights, 0) / sample.weights[chosen].sum()
        found[kind] = {
            "pilots": int(chosen.sum()),
            "mean_absolute_error": rounded(weights @ np.abs(sample.mean - sample.later)),
            "mean_absolute_error_1/sqrt(k)": rounded(weights @ plain["1/sqrt(k)"]),
            "coverage": rounded(weights @ sample.inside),
        }
    return found


def losses_of_language_models(shared: Path, part: Part) -> dict[str, Any]:
    """Relative error of the gain from the last loss on."""
    sample = Sample(language_models(shared, part), "loss")
    truth = sample.now[:, None] - sample.later
    scores = np.array([pilot.scores for pilot in sample.pilots])
    doublings = np.log2(AHEAD)
    told = {
        "suffice": sample.now[:, None] - sample.mean,
        "log-linear": (scores[:, -2] - scores[:, -1])[:, None] * doublings,
        "1/k": (scores[:, -2] - scores[:, -1])[:, None] * (1 - 1 / np.array(AHEAD)),
    }
    families = sorted({pilot.origin for pilot in sample.pilots})
    of_family = {name: np.array([pilot.origin == name for pilot in sample.pilots]) for name in families}
    squares = {name: np.square(gains / truth - 1) for name, gains in told.items()}
    return {
        "pilots": len(sample.pilots),
        "refused_as_worse": sample.refused,
        "relative_rms_of_gain": {
            name: sample.with_interval(lambda weights, values=values: np.sqrt(weights @ values))
            for name, values in squares.items()
        },
        "bias_of_gain": {name: sample.average(gains / truth - 1) for name, gains in told.items()},
        "coverage": sample.average(sample.inside),
        "by_family": {
            family: {
                "pilots": int(chosen.sum()),
                "relative_rms_of_gain": {
                    name: rounded(np.sqrt(values[chosen].mean(0))) for name, values in squares.items()
                },
                "coverage": rounded(sample.inside[chosen].mean(0)),
            }
            for family, chosen in of_family.items()
        },
    }


def images(shared: Path) -> dict[str, Any]:
    """CIFAR-100 at 25 to 200 samples a class, and 400 to compare with (Hoiem et al. 2021)."""
    found = {}
    for name in ("pretr_ft", "pretr_linear"):
        rows = json.loads((shared / "data" / "learning-curves" / f"cifar100-{name}.json").read_text())
        pairs = [(100 * row["num_train_samples"], error / 100) for row in rows for error in row["test_errors"]]
        sizes, errors = np.array(pairs).T
        known = sizes < sizes.max()
        curve = forecast_scores(sizes[known], errors[known], at=[sizes.max()])
        found[name] = {
            "truth": rounded(errors[~known]),
            **{end: rounded(getattr(curve, end)) for end in ("mean", "low", "high")},
        }
    return found


def seconds() -> float:
    """Of one forecast of four scores, the least of five after one that reads the prior."""
    taken = []
    for _ in range(6):
        start = time.perf_counter()
        forecast_scores([100, 200, 400, 800], [0.3, 0.24, 0.2, 0.17], at=[3200, 6400])
        taken.append(time.perf_counter() - start)
    return round(min(taken[1:]), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--held-out", action="store_true")
    given = parser.parse_args()
    part: Part = "held_out" if given.held_out else "development"
    untrained = Sample(lcdb(given.shared, part, seed=1, one_each=True, untrained=True), "error")
    results = {
        "part": part,
        "ahead": AHEAD,
        "errors": errors_of_learners(given.shared, part),
        "with_tabnet_below_one_batch": {
            "mean_absolute_error": untrained.average(np.abs(untrained.mean - untrained.later)),
            "bias": untrained.average(untrained.mean - untrained.later),
        },
        "language_models": losses_of_language_models(given.shared, part),
        "cifar100": images(given.shared),
        "seconds": seconds(),
    }
    save(f"forecast_scores_{part}", results)


if __name__ == "__main__":
    main()
