"""What several runs say beside each other: which one is better at which size, and where they cross."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError
from suffice.report.answers.answer import Answer
from suffice.report.answers.words import in_words, listed, rounded, share_in_words
from suffice.results import (
    RISES,
    Band,
    Curve,
    CurveResult,
    ForecastResult,
    LanguageStudyResult,
    MethodsResult,
    Metric,
    Result,
    StudyResult,
    Trust,
    Unit,
)

SURE = 0.8
"""Probability from which on one run is taken to be better than another."""

UNKNOWN = "given scores"
"""In place of the data of scores."""

POINTS = 81
"""Sizes at which the runs are compared, evenly spaced in log n."""

METRICS: tuple[Metric, ...] = ("accuracy", "loss", "error", "score")
"""What runs may be compared by, in this order."""

PREDICTED = 16
"""Times the samples at hand, to which a forecast is compared."""


@dataclass(frozen=True)
class Line:
    """The learning curve of one run, or of one of its methods.

    ``about`` is what tells it apart: what is trained, the model, the data, the folder.
    """

    about: tuple[str, str, str, str]
    sizes: Float64[np.ndarray, " sizes"]
    mean: Float64[np.ndarray, " sizes"]
    low: Float64[np.ndarray, " sizes"]
    high: Float64[np.ndarray, " sizes"]
    confidence: float
    is_measured: bool


@dataclass(frozen=True)
class Crossing:
    """Where one run overtakes another: the size, and the range in which neither is surely better."""

    before: str
    after: str
    size: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Compared:
    """Runs at the sizes that all of them cover."""

    metric: Metric
    lines: Mapping[str, Line]
    sizes: Float64[np.ndarray, " sizes"]
    means: Mapping[str, Float64[np.ndarray, " sizes"]]
    errors: Mapping[str, Float64[np.ndarray, " sizes"]]

    def better(self, one: str, other: str) -> Float64[np.ndarray, " sizes"]:
        """The probability that one run is better than another, at each size; their errors are taken as independent."""
        sign = 1 if RISES[self.metric] else -1
        error = np.maximum(np.hypot(self.errors[one], self.errors[other]), 1e-12)
        z = sign * (self.means[one] - self.means[other]) / error
        return np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in z])

    @property
    def leaders(self) -> list[str]:
        """The run with the best mean at each size."""
        names, sign = list(self.means), 1 if RISES[self.metric] else -1
        best = np.stack([sign * self.means[name] for name in names]).argmax(0)
        return [names[index] for index in best]

    def crossings(self) -> Iterator[Crossing]:
        """Where the lead changes, from the smallest size to the largest."""
        for index, (before, after) in enumerate(itertools.pairwise(self.leaders)):
            if before == after:
                continue
            gap = self.means[after] - self.means[before]
            share = gap[index] / (gap[index] - gap[index + 1])
            size = float(self.sizes[index] * (self.sizes[index + 1] / self.sizes[index]) ** share)
            chance = self.better(after, before)
            below, above = np.flatnonzero(chance[: index + 1] <= 1 - SURE), np.flatnonzero(chance[index + 1 :] >= SURE)
            yield Crossing(
                before,
                after,
                size,
                float(self.sizes[below[-1]]) if len(below) else None,
                float(self.sizes[index + 1 + above[0]]) if len(above) else None,
            )


def compare_runs(runs: Mapping[Path, Result]) -> Compared:
    """Runs that hold learning curves, at the sizes that all of them cover.

    Args:
        runs: the results, by the folders that they are from.

    Raises:
        InputError: a run without a learning curve, runs without a metric or a range of sizes in common, numbers beside
            classes, means over tokens beside means over samples, or one curve.
    """
    _check_tasks(runs)
    _check_units(runs)
    found: dict[Metric, list[Line]] = {metric: [] for metric in METRICS}
    missing: dict[Metric, list[str]] = {metric: [] for metric in METRICS}
    for folder, result in runs.items():
        of_run = {metric: list(_lines(result, metric, folder)) for metric in METRICS}
        if not any(of_run.values()):
            raise InputError(
                f"{folder}: a run of suffice {result.command} without a learning curve; give runs of forecast, curve "
                "or study"
            )
        for metric, lines in of_run.items():
            found[metric] += lines
            if not lines:
                missing[metric].append(str(folder))
    shared = [metric for metric in METRICS if not missing[metric]]
    if not shared:
        raise InputError(
            f"the runs have no metric in common: {missing['accuracy'][0]} has no accuracy; give runs of one metric"
        )
    metric = shared[0]
    lines = found[metric]
    if len(lines) < 2:
        raise InputError("one learning curve cannot be compared; give several runs, or a run of several methods")
    smallest, largest = max(line.sizes[0] for line in lines), min(line.sizes[-1] for line in lines)
    if not smallest < largest:
        raise InputError(
            f"the runs have no sizes in common: one begins at {smallest:,.0f} samples, and one ends at {largest:,.0f}"
        )
    names = dict(zip(_names(lines), lines, strict=True))
    sizes = np.geomspace(smallest, largest, POINTS)
    means = {name: _at(line, line.mean, sizes) for name, line in names.items()}
    errors = {name: _at(line, line.high - line.low, sizes) / (2 * _z(line.confidence)) for name, line in names.items()}
    return Compared(metric, names, sizes, means, errors)


def _check_tasks(runs: Mapping[Path, Result]) -> None:
    numbers = {isinstance(result, ForecastResult) and result.task == "regression": run for run, result in runs.items()}
    if len(numbers) > 1:
        raise InputError(
            f"{numbers[True]} is about numbers, and {numbers[False]} about classes: their losses differ in kind; give "
            "runs of one task"
        )


def _check_units(runs: Mapping[Path, Result]) -> None:
    """Refuses losses that are other means; of given scores nothing is known."""
    units = {_unit(result): run for run, result in runs.items()}
    if {"sample", "token"} <= units.keys():
        raise InputError(
            f"the loss of {units['token']} is the mean over tokens, and that of {units['sample']} the mean over "
            "samples: give runs of one --unit"
        )


def _unit(result: Result) -> Unit | None:
    if isinstance(result, LanguageStudyResult):
        return result.unit
    return result.one_run.unit if isinstance(result, CurveResult) and result.one_run is not None else None


def compare_answer(compared: Compared) -> Answer:
    """Which run is better at which size, and what the better one saves."""
    trust = _trust(compared)
    leaders, sizes = compared.leaders, compared.sizes
    smallest, largest = rounded(sizes[0]), rounded(sizes[-1])
    best, crossings = leaders[-1], list(compared.crossings())
    saves = None if trust.word == "cannot tell" else _saves(compared, best)
    if _are_of_different_data(compared):
        sentence = "These runs are of different data, so that none is better than another."
    elif trust.word == "cannot tell":
        sentence = f"None is surely better: with {largest:,} samples {best} leads with probability {_ahead(compared)}."
    elif not crossings:
        there = in_words(compared.metric, float(compared.means[best][-1]))
        sentence = (
            saves or f"{best} is best at every size from {smallest:,} to {largest:,} samples: {there} with {largest:,}."
        )
    else:
        ends = [f"{crossing.before} up to about {rounded(crossing.size):,}" for crossing in crossings]
        sentence = f"{', '.join(ends)} samples, {best} beyond."
        sentence = f"Best is {sentence}"
    more = [] if trust.word == "cannot tell" else [_crossing(crossing, compared) for crossing in crossings]
    if saves and saves != sentence:
        more.append(saves)
    scores = ", ".join(f"{name} {in_words(compared.metric, float(mean[-1]))}" for name, mean in compared.means.items())
    more.append(f"With {largest:,} samples, the largest size that all runs cover: {scores}.")
    if not crossings and saves:
        more.insert(0, f"{best} leads at every size from {smallest:,} to {largest:,} samples.")
    return Answer(sentence, trust.word, trust.reason, more, list(_next_steps(compared, crossings)))


def _saves(compared: Compared, best: str) -> str | None:
    """How many samples the best run needs for what the next one reaches at the largest size."""
    sign = 1 if RISES[compared.metric] else -1
    others = sorted(
        (name for name in compared.means if name != best), key=lambda name: -sign * compared.means[name][-1]
    )
    reached = float(compared.means[others[0]][-1])
    enough = np.flatnonzero(sign * compared.means[best] >= sign * reached)
    if not len(enough) or compared.sizes[enough[0]] > 0.9 * compared.sizes[-1]:
        return None
    needed, largest, score = (
        rounded(compared.sizes[enough[0]]),
        rounded(compared.sizes[-1]),
        in_words(compared.metric, reached),
    )
    if enough[0] == 0:
        return f"{best} needs {needed:,} samples or fewer for the {score} that {others[0]} reaches with {largest:,}."
    return f"{best} needs about {needed:,} samples for the {score} that {others[0]} reaches with {largest:,}."


def _crossing(crossing: Crossing, compared: Compared) -> str:
    low = f"below {rounded(compared.sizes[0]):,}" if crossing.low is None else f"{rounded(crossing.low):,}"
    high = f"beyond {rounded(compared.sizes[-1]):,}" if crossing.high is None else f"{rounded(crossing.high):,}"
    return (
        f"{crossing.after} overtakes {crossing.before} at about {rounded(crossing.size):,} samples; neither is better "
        "with "
        f"probability {SURE:.0%} from {low} to {high}."
    )


def _are_of_different_data(compared: Compared) -> bool:
    return len({line.about[2] for line in compared.lines.values()} - {UNKNOWN}) > 1


def _trust(compared: Compared) -> Trust:
    leaders = compared.leaders
    surest = np.array(
        [
            min(float(compared.better(leader, name)[index]) for name in compared.means if name != leader)
            for index, leader in enumerate(leaders)
        ]
    )
    share = float((surest >= SURE).mean())
    data = {line.about[2] for line in compared.lines.values()} - {UNKNOWN}
    if len(data) > 1:
        return Trust(word="cannot tell", reason=f"the runs are of different data ({listed(sorted(data))})")
    if share == 0:
        return Trust(word="cannot tell", reason=f"at no size is one run better with probability {SURE:.0%} or more")
    if any(line.about[2] == UNKNOWN for line in compared.lines.values()):
        return Trust(word="low", reason="of which data the given scores are is not known: they have to be the same")
    reason = f"at {share:.0%} of the compared sizes one run is better with probability {SURE:.0%} or more"
    return Trust(word="high" if share >= 0.9 else "medium" if share >= 0.5 else "low", reason=reason)


def _next_steps(compared: Compared, crossings: Sequence[Crossing]) -> Iterator[str]:
    best = compared.leaders[-1]
    if _are_of_different_data(compared):
        yield "Compare runs that were made on the same data, and tested on the same samples."
    elif _trust(compared).word == "cannot tell":
        yield "Choose by cost, or give all runs more samples or more seeds, and the same test samples."
    elif crossings:
        first = crossings[0]
        yield (
            f"With fewer than about {rounded(first.size):,} samples, take {first.before}; from there on {first.after}."
        )
        if first.low is None or first.high is None or first.high > 2 * first.low:
            yield "To know the crossing better, give both runs more samples or more seeds, and the same test samples."
    else:
        yield (
            f"Take {best}: with {rounded(compared.sizes[-1]):,} samples it is better than the others with probability "
            f"{_ahead(compared)}."
        )


def _ahead(compared: Compared) -> str:
    """The probability that the leader at the largest size is better than each other run there, the least of them."""
    best = compared.leaders[-1]
    return share_in_words(min(float(compared.better(best, name)[-1]) for name in compared.means if name != best))


def _lines(result: Result, metric: Metric, folder: Path) -> Iterator[Line]:
    """The curves of a run by a metric; none where it has none."""
    name = str(folder)
    if isinstance(result, ForecastResult) and result.forecast.status != "cannot_tell":
        band = {"accuracy": result.forecast.accuracy, "loss": result.forecast.loss}.get(metric)
        if band is not None and not (metric == "accuracy" and result.task == "regression"):
            yield _line(
                (result.method, result.model, result.data, name), result.forecast.sizes, band, result.confidence, False
            )
    elif isinstance(result, MethodsResult):
        for of in result.methods:
            band = {"accuracy": of.forecast.accuracy, "loss": of.forecast.loss}.get(metric)
            if band is not None and of.forecast.status != "cannot_tell":
                about = (of.method, result.model, result.data, name)
                yield _line(about, of.forecast.sizes, band, result.confidence, False)
    elif isinstance(result, StudyResult):
        for method, curve in result.study.curves.items():
            band = {"accuracy": curve.accuracy, "loss": curve.loss}.get(metric)
            if band is not None and len(curve.sizes) > 1:
                yield _line((method, result.model, result.data, name), curve.sizes, band, result.confidence, True)
    elif isinstance(result, LanguageStudyResult) and metric == "loss":
        for measured in result.methods:
            if len(measured.sizes) > 1:
                about = (measured.method, result.model, result.data, name)
                yield _line(about, measured.sizes, measured.loss, result.confidence, True)
    elif isinstance(result, CurveResult) and result.metric == metric:
        stems = ", ".join(Path(source).stem for source in result.sources)
        about = (f"scores of {stems}", ", ".join(result.sources), UNKNOWN, name)
        yield _line(about, result.drawn.sizes, result.drawn.score, result.confidence, False)


def _line(
    about: tuple[str, str, str, str], sizes: Sequence[int], band: Curve | Band, confidence: float, is_measured: bool
) -> Line:
    at = np.asarray(sizes, dtype=np.float64)
    if isinstance(band, Curve):
        at = np.unique(np.geomspace(at[0], max(at[-1], PREDICTED * at[0]), POINTS).round())
        band = Band(**{end: getattr(band.at(at), end) for end in ("mean", "low", "high")})
    return Line(about, at, band.mean, band.low, band.high, confidence, is_measured)


def _names(lines: Sequence[Line]) -> list[str]:
    """The fewest parts by which lines differ: what is trained, the model, the run's folder, the data."""
    trained, models, data, folders = zip(*(line.about for line in lines), strict=True)
    columns = [trained, _short(models), _short(folders), _short(data), folders, data]
    for count in range(1, len(columns) + 1):
        for chosen in itertools.combinations(columns, count):
            names = [" · ".join(parts) for parts in zip(*chosen, strict=True)]
            if len(set(names)) == len(names):
                return names
    return [f"{' · '.join(line.about)} ({number})" for number, line in enumerate(lines, 1)]


def _short(paths: Sequence[str]) -> list[str]:
    """The last parts of paths.

    Example:
        >>> _short(["../shared/models/minilm", "builtin:tiny-vit"])
        ['minilm', 'builtin:tiny-vit']
    """
    return [Path(path).name or path for path in paths]


def _at(
    line: Line, values: Float64[np.ndarray, " given"], sizes: Float64[np.ndarray, " sizes"]
) -> Float64[np.ndarray, " sizes"]:
    return np.asarray(np.interp(np.log(sizes), np.log(line.sizes), values))


def _z(confidence: float) -> float:
    """How many standard errors an interval reaches to each side."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
