"""Whole forecasts of heads on other people's data: what is told from a pilot, beside what more samples brought.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/forecast/outside_forecasts.py SHARED --cache
FOLDER``. Pilots, penalties and truth are those of the cells that `outside_heads` has collected; the first `PILOTS`
pilots of each are measured anew, from their rows alone. It writes ``benchmarks/results/forecast_outside.json``; with
``--held-out`` for the held-out part as well.

Each data set counts the same, and intervals are 90% ones of a bootstrap over data sets. The targets that probabilities
are asked for are shares of the pilot's own loss, and so known before the truth is.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from environment import save
from jaxtyping import Bool, Float64
from outside_cells import MANY, TRUE_ENOUGH, Cell, cells, with_interval
from outside_heads import drawn
from outside_tasks import DEVELOPMENT, HELD_OUT, TUNING, OutsideTask, outside_task
from scipy.optimize import brentq
from scipy.special import ndtr

from suffice.forecasting import curve_of, measure_head
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.slopes.calibrated import TOO_NOISY
from suffice.results import CONFIDENCE, Curve, LearningCurve

PILOTS = 3
"""Of each cell."""

TARGETS = tuple(np.arange(0.3, 1.15, 0.1).round(1).tolist())
"""Over the loss of the pilot's folds."""

BINS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""Of probabilities, for reliability."""

ASSURANCE = 0.8

CAPPED = 3.0
"""Largest relative error that counts, +300%."""

Band = tuple[float, float, float]
"""Estimate, and lower and upper end of the interval."""

OF: tuple[Literal["mean", "next"], ...] = ("mean", "next")

BASELINES = ("no improvement", "two points")


@dataclass(frozen=True)
class Truth:
    """Of a cell at each size: means over trainings, and the variance of the loss between them, nan where unknown."""

    loss: Float64[np.ndarray, " sizes"]
    accuracy: Float64[np.ndarray, " sizes"]
    deviation: Float64[np.ndarray, " sizes"]
    is_clear: Bool[np.ndarray, " sizes"]


@dataclass(frozen=True)
class At:
    """What is told of one size; the first is that of the pilot."""

    ratio: float
    loss: Band
    accuracy: Band
    gain: Band
    baselines: dict[str, float]
    true_loss: float
    true_accuracy: float
    true_gain: float
    is_clear: bool


@dataclass(frozen=True)
class Chance:
    """A probability that was told, and what it should be: 0 or 1 for the mean, that of trainings for the next one."""

    data_set: str
    of: Literal["mean", "next"]
    told: float
    true: float


@dataclass(frozen=True)
class Forecast:
    """From one pilot.

    Attributes:
        fewest: samples of the smallest class.
        level: the loss of the folds.
        noise: relative standard error of the gap, as the cell has it.
        assured: for sizes that are told with `ASSURANCE`, the chance that they are enough.
    """

    data_set: str
    part: str
    per_class: float
    fewest: int
    times: float
    noise: float
    status: str
    codes: tuple[str, ...]
    level: float
    level_error: float
    at: list[At] = field(default_factory=list)
    chances: list[Chance] = field(default_factory=list)
    assured: list[Chance] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A forecast at a size."""

    forecast: Forecast
    at: At

    @property
    def data_set(self) -> str:
        return self.forecast.data_set


def truth_of(cell: Cell) -> Truth:
    kept = cell.kept
    truth = kept["truth"].mean(0)
    gains = cell.gains()
    errors = gains.std(0, ddof=1) / np.sqrt(len(gains))
    return Truth(
        loss=truth[:, 0],
        accuracy=1 - truth[:, 1],
        deviation=np.sqrt(kept["variance"][:, :, 0].mean(0)),
        is_clear=np.append(True, (gains.mean(0) > 0) & (errors < TRUE_ENOUGH * gains.mean(0))),
    )


def measured(task: OutsideTask, cell: Cell, seed: int) -> Evidence:
    rows = drawn(task, int(cell.about["size"]), seed)
    return measure_head(task.features[rows], task.labels[rows], cell.about["penalty"], seed)


def forecast_of(cell: Cell, evidence: Evidence, seed: int) -> Forecast:
    sizes, truth = cell.kept["sizes"], truth_of(cell)
    curve = curve_of(evidence, sizes.tolist(), seed=seed)
    pilot = list(cell.pilots())[seed]
    about = Forecast(
        data_set=cell.about["data_set"],
        part=cell.about["part"],
        per_class=cell.about["size"] / cell.about["classes"],
        fewest=int(np.bincount(evidence.classified.labels).min()),
        times=cell.about["times"],
        noise=pilot.noise,
        status=curve.status,
        codes=tuple(finding.code for finding in curve.findings),
        level=evidence.unseen_loss,
        level_error=evidence.level_noise,
    )
    if curve.status == "cannot_tell":
        return about
    assert isinstance(curve.loss, Curve)
    about.at.extend(_at_sizes(cell, evidence, curve, truth))
    about.chances.extend(_chances(about, curve.loss, truth))
    about.assured.extend(_assured(about, curve.loss, truth))
    return about


def _at_sizes(cell: Cell, evidence: Evidence, curve: LearningCurve, truth: Truth) -> Iterator[At]:
    loss, accuracy = curve.loss, curve.accuracy
    assert isinstance(loss, Curve)
    assert evidence.halves is not None
    ends = (0.5, (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    gains = np.quantile(loss.samples[:, :1] - loss.samples, ends, axis=0)
    sizes = loss.sizes
    fewer, more = evidence.halves, evidence.unseen
    line = (float(fewer.losses.mean()) - evidence.unseen_loss) / (1 / fewer.samples - 1 / more.samples)
    for place, size in enumerate(sizes):
        yield At(
            ratio=float(size / sizes[0]),
            loss=(float(loss.mean[place]), float(loss.low[place]), float(loss.high[place])),
            accuracy=(float(accuracy.mean[place]), float(accuracy.low[place]), float(accuracy.high[place])),
            gain=(float(gains[0, place]), float(gains[1, place]), float(gains[2, place])),
            baselines={
                "no improvement": evidence.unseen_loss,
                "two points": max(0.0, evidence.unseen_loss - line * float(1 / more.samples - 1 / size)),
            },
            true_loss=float(truth.loss[place]),
            true_accuracy=float(truth.accuracy[place]),
            true_gain=float(truth.loss[0] - truth.loss[place]),
            is_clear=bool(truth.is_clear[place]),
        )


def _chances(about: Forecast, loss: Curve, truth: Truth) -> Iterator[Chance]:
    for share in TARGETS:
        target = share * about.level
        told = loss.probability(target), loss.probability(target, of="next")
        for place, true in enumerate(truth.loss):
            yield Chance(about.data_set, "mean", float(told[0][place]), float(true <= target))
            if truth.deviation[place] > 0:
                reached = float(ndtr((target - true) / truth.deviation[place]))
                yield Chance(about.data_set, "next", float(told[1][place]), reached)


def _assured(about: Forecast, loss: Curve, truth: Truth) -> Iterator[Chance]:
    """Sizes for targets that are reached with about 2, 4 and 8 times the samples, at that assurance."""
    sizes = loss.sizes
    for place in range(1, len(sizes)):
        there = loss.at(sizes[place : place + 1])
        high = float(there.samples.max()) + 6 * float(loss.draws.deviations(sizes[place : place + 1]).max())
        for of in OF:

            def over(target: float, of: Literal["mean", "next"] = of, there: Curve = there) -> float:
                return float(there.probability(target, of=of)[0]) - ASSURANCE

            if over(1e-9) >= 0:  # a loss of nothing has that probability
                continue
            target = float(brentq(over, 1e-9, high))
            size = loss.sufficient_size(target, assurance=ASSURANCE, of=of).size
            if size is None:
                continue
            at = -1 / np.clip(size, sizes[0], sizes[-1])
            true = float(np.interp(at, -1 / sizes, truth.loss))
            if of == "mean":
                yield Chance(about.data_set, of, ASSURANCE, float(true <= target))
            elif np.isfinite(truth.deviation[place]):
                known = np.isfinite(truth.deviation)
                deviation = float(np.interp(at, -1 / sizes[known], truth.deviation[known]))
                yield Chance(about.data_set, of, ASSURANCE, float(ndtr((target - true) / deviation)))


Interval = tuple[float, float, float]


def covered(rows: Sequence[Row], of: Callable[[At], tuple[Band, float]]) -> dict[str, Any]:
    """How often intervals hold the truth, and how often it is below and above them."""
    ends = np.array([[band[1], band[2], true] for band, true in (of(row.at) for row in rows)])
    low, high, true = ends.T
    held = (low <= true) & (true <= high)
    return {
        "covered": with_interval(rows, lambda w: float(w @ held / w.sum())),
        "truth_below": round(_mean(rows, true < low), 3),
        "truth_above": round(_mean(rows, true > high), 3),
    }


def _mean(rows: Sequence[Row], values: Any) -> float:
    counts = Counter(row.data_set for row in rows)
    weights = np.array([1 / (len(counts) * counts[row.data_set]) for row in rows])
    return float(weights @ np.asarray(values, dtype=np.float64))


def of_gain(rows: Sequence[Row]) -> dict[str, Any]:
    """Of medians of the gain, over true ones."""
    off = np.log([row.at.gain[0] / row.at.true_gain for row in rows])
    relative = np.minimum(np.expm1(off), CAPPED)
    return {
        "rows": len(rows),
        "rms_log_ratio": with_interval(rows, lambda w: float(np.sqrt(w @ off**2 / w.sum()))),
        "rms_relative": with_interval(rows, lambda w: float(np.sqrt(w @ relative**2 / w.sum()))),
        "bias": with_interval(rows, lambda w: float(w @ off / w.sum())),
    } | covered(rows, lambda at: (at.gain, at.true_gain))


def interval_score(low: Any, high: Any, true: Any) -> Any:
    """Width, and 2 / (1 - confidence) times how far the truth is outside: lower is better."""
    return high - low + 2 / (1 - CONFIDENCE) * (np.maximum(low - true, 0) + np.maximum(true - high, 0))


def scores(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean interval scores of the loss, in units of the true loss at the pilot's size, data sets alike.

    Baselines have conformal intervals: quantiles of their errors on the other data sets, over the loss of the folds,
    for each ratio of sizes. So has, for comparison, the median of ours.
    """
    levels = np.array([row.forecast.level for row in rows])
    true = np.array([row.at.true_loss for row in rows])
    unit = np.array([row.at.true_loss + row.at.true_gain for row in rows])
    sets, ratios = np.array([row.data_set for row in rows]), np.array([row.at.ratio for row in rows])
    ours = np.array([row.at.loss for row in rows]).T
    points = {name: np.array([row.at.baselines[name] for row in rows]) for name in BASELINES}
    points["ours, conformal"] = ours[0]
    found = {"ours": interval_score(ours[1], ours[2], true) / unit}
    for name, values in points.items():
        errors = (true - values) / levels
        ends = np.zeros((2, len(rows)))
        for data_set in np.unique(sets):
            for ratio in np.unique(ratios):
                here, others = (sets == data_set) & (ratios == ratio), (sets != data_set) & (ratios == ratio)
                if here.any():
                    ends[:, here] = _weighted_quantiles(errors[others], sets[others])[:, None]
        low, high = np.maximum(values + levels * ends, 0)
        found[name] = interval_score(low, high, true) / unit
    return {name: with_interval(rows, lambda w, of=of: float(w @ of / w.sum())) for name, of in found.items()}


def _weighted_quantiles(values: Float64[np.ndarray, " n"], sets: Any) -> Float64[np.ndarray, "2"]:
    """The ends of the interval, each data set counting the same."""
    counts = Counter(sets.tolist())
    order = np.argsort(values)
    shares = np.cumsum([1 / counts[sets[place]] for place in order]) / len(counts)
    return np.interp([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], shares, values[order])


def reliability(chances: Sequence[Chance]) -> list[dict[str, Any]]:
    """In bins of what was told: its mean, and the share that came true."""
    told = np.array([chance.told for chance in chances])
    found = []
    for low, high in pairwise(BINS):
        here = (told >= low) & ((told < high) if high < 1 else True)
        chosen = [chance for chance, one in zip(chances, here, strict=True) if one]
        if len({chance.data_set for chance in chosen}) < 3:
            continue
        of_told, true = np.array([[chance.told, chance.true] for chance in chosen]).T
        found.append(
            {
                "from": low,
                "to": high,
                "rows": len(chosen),
                "told": with_interval(chosen, lambda w, of=of_told: float(w @ of / w.sum()))[0],
                "true": with_interval(chosen, lambda w, of=true: float(w @ of / w.sum())),
            }
        )
    return found


def enough(assured: Sequence[Chance]) -> Interval:
    """How often a size that is told with an assurance is enough."""
    true = np.array([one.true for one in assured])
    return with_interval(assured, lambda w: float(w @ true / w.sum()))


def status(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """Shares of pilots that cannot tell, by the samples of the smallest class, and findings over all pilots."""
    found: dict[str, Any] = {}
    for name, belongs in (
        (f"{MANY} of the smallest class or more", lambda one: one.fewest >= MANY),
        ("fewer of the smallest class", lambda one: one.fewest < MANY),
    ):
        chosen = [one for one in forecasts if belongs(one)]
        if chosen:
            silent = np.array([one.status == "cannot_tell" for one in chosen])
            found[name] = {
                "pilots": len(chosen),
                "cannot_tell": with_interval(chosen, lambda w, of=silent: float(w @ of / w.sum())),
                "cannot_tell_by_first_finding": dict(
                    Counter(one.codes[0] if one.codes else "none" for one in chosen if one.status == "cannot_tell")
                ),
                "findings": dict(sorted(Counter(code for one in chosen for code in one.codes).items())),
            }
    return found


def summary(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    rows = [Row(one, at) for one in forecasts for at in one.at]
    ahead = [row for row in rows if row.at.ratio > 1]
    clear = [row for row in ahead if row.at.is_clear]
    ratios = sorted({row.at.ratio for row in ahead})

    def by_ratio(chosen: Sequence[Row], of: Callable[[Sequence[Row]], Any]) -> dict[str, Any]:
        return {f"{ratio:g}": of([row for row in chosen if row.at.ratio == ratio]) for ratio in ratios}

    def loss(chosen: Sequence[Row]) -> dict[str, Any]:
        return covered(chosen, lambda at: (at.loss, at.true_loss))

    def accuracy(chosen: Sequence[Row]) -> dict[str, Any]:
        return covered(chosen, lambda at: (at.accuracy, at.true_accuracy))

    chances = [chance for one in forecasts for chance in one.chances]
    assured = [chance for one in forecasts for chance in one.assured]
    return {
        "data_sets": len({one.data_set for one in forecasts}),
        "pilots": len(forecasts),
        "status": status(forecasts),
        "gain": of_gain(clear),
        "gain_penalty_chosen": of_gain([row for row in clear if row.forecast.times == 1]),
        "gain_by_ratio": by_ratio(clear, of_gain),
        "loss": loss(ahead),
        "loss_now": loss([row for row in rows if row.at.ratio == 1]),
        "loss_by_ratio": by_ratio(ahead, loss),
        "accuracy": accuracy(ahead),
        "accuracy_now": accuracy([row for row in rows if row.at.ratio == 1]),
        "accuracy_by_ratio": by_ratio(ahead, accuracy),
        "interval_score": scores(ahead),
        "reliability": {of: reliability([one for one in chances if one.of == of]) for of in OF},
        f"enough_at_assurance_{ASSURANCE:g}": {of: enough([one for one in assured if one.of == of]) for of in OF},
    }


def by_noise(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """Coverage by the relative noise of the loss gap."""
    rows = [Row(one, at) for one in forecasts for at in one.at if at.ratio > 1]
    found = {}
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, TOO_NOISY)):
        chosen = [row for row in rows if low <= row.forecast.noise <= high]
        found[f"{low:g} to {high:g}"] = {
            "gain": covered([row for row in chosen if row.at.is_clear], lambda at: (at.gain, at.true_gain)),
            "loss": covered(chosen, lambda at: (at.loss, at.true_loss)),
            "accuracy": covered(chosen, lambda at: (at.accuracy, at.true_accuracy)),
        }
    return found


def judged(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """By part and samples a class."""
    found: dict[str, Any] = {}
    for part in sorted({one.part for one in forecasts}, reverse=True):
        of_part = [one for one in forecasts if one.part == part]
        found[part] = {
            f"{MANY} a class or more": summary([one for one in of_part if one.per_class >= MANY]),
            "fewer": summary([one for one in of_part if one.per_class < MANY]),
            "by_noise": by_noise(of_part),
        }
    return found


def printed(found: dict[str, Any]) -> None:
    def told(interval: Interval) -> str:
        return "{:.2f} ({:.2f} to {:.2f})".format(*interval)

    for part, of_part in found.items():
        for group, of in of_part.items():
            if group == "by_noise":
                continue
            print(f"\n{part}, {group}: {of['data_sets']} data sets, {of['pilots']} pilots")
            for name, counts in of["status"].items():
                print(f"  cannot tell, {name}: {told(counts['cannot_tell'])}", counts["cannot_tell_by_first_finding"])
            for kind in ("gain", "gain_penalty_chosen"):
                numbers = ", ".join(f"{key} {told(of[kind][key])}" for key in ("rms_log_ratio", "rms_relative", "bias"))
                print(f"  {kind}: {numbers}, covered {told(of[kind]['covered'])}")
            for kind in ("gain", "loss", "accuracy"):
                ratios = {ratio: told(one["covered"]) for ratio, one in of[f"{kind}_by_ratio"].items()}
                both = f"below {of[kind]['truth_below']:.2f}, above {of[kind]['truth_above']:.2f}"
                now = f"; now {told(of[f'{kind}_now']['covered'])}" if kind != "gain" else ""
                print(f"  {kind} covered {told(of[kind]['covered'])}; truth {both}; {ratios}{now}")
            print("  interval score:", ", ".join(f"{name} {told(one)}" for name, one in of["interval_score"].items()))
            for kind, bins in of["reliability"].items():
                print(f"  reliability, {kind}:", "; ".join(f"{one['told']:.2f}: {told(one['true'])}" for one in bins))
            enough = of[f"enough_at_assurance_{ASSURANCE:g}"]
            print(f"  enough at {ASSURANCE:g}:", {name: told(one) for name, one in enough.items()})
        for noise, of in of_part["by_noise"].items():
            print(f"  noise {noise}:", {kind: told(one["covered"]) for kind, one in of.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/forecast-benchmark/outside"))
    parser.add_argument("--held-out", action="store_true", help="judge on the held-out data sets too, at the end, once")
    arguments = parser.parse_args()
    parts = (TUNING, DEVELOPMENT, HELD_OUT) if arguments.held_out else (TUNING, DEVELOPMENT)
    forecasts, task = list[Forecast](), None
    for cell in cells(arguments.cache, parts):
        if task is None or task.name != cell.about["data_set"]:
            task = outside_task(arguments.shared, arguments.cache, cell.about["data_set"])
        forecasts += [forecast_of(cell, measured(task, cell, seed), seed) for seed in range(PILOTS)]
    found = judged(forecasts)
    save("forecast_outside", found)
    printed(found)


if __name__ == "__main__":
    main()
