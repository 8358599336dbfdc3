r"""Which method is the better one from which size on, from forecasts of each that were made from the same samples.

Each forecast is a set of equally likely curves, and the methods are compared by curves in pairs. They are tested on the
same samples and mostly fail on the same ones, so the noise of their levels is correlated. That noise is the one of a
mean over unseen samples i, so with the losses (or errors) :math:`e_{ai}` of method a

.. math:: \mathrm{Cor}(\bar e_a, \bar e_b) = \mathrm{Cor}_i(e_{ai}, e_{bi})

The curves are paired so that their levels, as they were measured, have this correlation; each curve brings its own
slope and exponent along, so that these are otherwise independent between methods. To pair is to reorder: the forecast
of a method does not depend on the company it is in.

Source of the reordering: R. Iman and W. Conover, "A distribution-free approach to inducing rank correlation among input
variables", Communications in Statistics B 11, 1982.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from suffice.results import (
    CONFIDENCE,
    HORIZON,
    RISES,
    Chances,
    Comparison,
    Curve,
    Fewest,
    LearningCurve,
    Of,
    Stretch,
    Takeover,
    Target,
)
from suffice.training.predictions import Predictions

PAIRINGS = 4
"""Random pairings of all curves: probabilities are then known to about 0.005."""

MOST_ALIKE = 0.99
"""Largest correlation of two levels: at 1 each curve would meet only itself, with its slope."""

SURE = 0.8
"""Probability from which on a method is taken to be the better one."""

AHEAD = 0.52
"""Probability from which on a method takes the lead, where it crossed 0.5: equal ones do not change places forever."""

DRAWN = 161
"""Sizes at which methods are compared, evenly spaced in log n: 2.6% apart over 64 times."""

SEARCHED = 161
"""Sizes up to the horizon between which a needed size is interpolated."""

COSTS = ("head", "last_layers", "lora", "full")
"""Methods from cheap to expensive; of the same kind, the one with the smaller number is cheaper."""

Sizes = Float64[np.ndarray, " sizes"]


@dataclass(frozen=True)
class Paired:
    """Curves of several methods that are equally likely together.

    Attributes:
        curves: of each method, all of one metric.
        rows: of each method, the draw in each pair (or triple, ...).
    """

    curves: Mapping[str, Curve]
    rows: Int64[np.ndarray, "methods pairs"]

    def values(self, sizes: Sizes) -> Float64[np.ndarray, "methods pairs sizes"]:
        """Of each method at each size; lower is better."""
        drawn = [(-1 if RISES[curve.metric] else 1) * curve.at(sizes).samples for curve in self.curves.values()]
        return np.stack([values[rows] for values, rows in zip(drawn, self.rows, strict=True)])

    def better(self, sizes: Sizes) -> Float64[np.ndarray, "methods methods sizes"]:
        """Probability that the first method is better than the second; ties count half."""
        return _wins(self.values(sizes))

    def best(self, sizes: Sizes) -> Float64[np.ndarray, "methods sizes"]:
        """Probability that a method is better than all others; ties are shared."""
        values = self.values(sizes)
        is_best = values == values.min(0)
        return np.asarray((is_best / is_best.sum(0)).mean(1))

    def fewer(self, target: float) -> Float64[np.ndarray, "methods methods"]:
        """Probability that the first method needs fewer samples than the second for a target; ties count half."""
        needed = [_needed(curve, target) for curve in self.curves.values()]
        return _wins(np.stack([sizes[rows] for sizes, rows in zip(needed, self.rows, strict=True)])[:, :, None])[..., 0]


def compare(
    forecasts: Mapping[str, LearningCurve],
    unseen: Mapping[str, Predictions],
    sizes: Sequence[int],
    metric: Literal["accuracy", "loss"] = "accuracy",
    targets: Sequence[tuple[Target, float]] = (),
    assurance: float | None = None,
    of: Of = "mean",
    seed: int = 0,
) -> Comparison | None:
    """Which method is the better one at each size, where the lead changes, and which method to use.

    The method to use is at first the cheapest one than which no other is better with probability 0.8. With more samples
    a more expensive one takes its place where it is better with probability 0.8, a cheaper one where it is with 0.5.

    Args:
        forecasts: the predicted curves of each method; one that cannot tell is left out.
        unseen: of each method, the predictions that its level is from.
        sizes: to tell probabilities at; all sizes from half of the samples at hand to the largest of these are
            compared.
        metric: by what.
        targets: "target_accuracy" or "target_loss", and its value.
        assurance: probability with which a target is to be reached; None for 0.5.
        of: what is to reach it, as in `suffice.results.Curve.sufficient_size`.
        seed: random seed of the pairing.

    Returns:
        None if fewer than two methods have a forecast.
    """
    known = [name for name, curve in forecasts.items() if isinstance(curve.loss, Curve)]
    if len(known) < 2:
        return None

    def pair(by: Literal["accuracy", "loss"]) -> Paired:
        curves = {name: getattr(forecasts[name], by) for name in known}
        found = [unseen[name] for name in known]
        return paired(curves, [predictions.samples for predictions in found], shared_noise(found, by), seed)

    curves = pair(metric)
    correlation = shared_noise([unseen[name] for name in known], metric)
    asked = sorted(set(sizes))
    smallest = min([asked[0], *(math.ceil(curve.draws.smallest) for curve in curves.curves.values())])
    between = np.geomspace(smallest, max(asked[-1], smallest + 1), DRAWN).round()
    everywhere = np.union1d(between, asked)
    better, best = curves.better(everywhere), curves.best(everywhere)
    takeovers = list(_takeovers(known, better, everywhere))
    chances = _chances(known, everywhere, better, best, takeovers)
    of_targets = {by: pair(by) for by in {_metric_of(criterion) for criterion, _ in targets}}
    return Comparison(
        metric=metric,
        correlation=_table(known, correlation),
        told=_at(chances, asked),
        drawn=chances,
        takeovers=takeovers,
        advice=_stretches(everywhere, [(name,) for name in chances.use]),
        undecided=_stretches(everywhere, [_undecided(known, at) for at in np.moveaxis(better, 2, 0)]),
        fewest=[
            _fewest(of_targets[_metric_of(criterion)], criterion, value, assurance, of) for criterion, value in targets
        ],
    )


def shared_noise(
    unseen: Sequence[Predictions], metric: Literal["accuracy", "loss"]
) -> Float64[np.ndarray, "methods methods"]:
    """The correlation of the levels' noise: that of the losses, or errors, sample by sample.

    It is 0 where the predictions are for other samples, or all right or all wrong.

    Example:
        >>> labels = np.array([0, 1, 0, 1])
        >>> one = Predictions(100, np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 1.0], [1.0, 0.0]]), labels)
        >>> other = Predictions(100, np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [1.0, 0.0]]), labels)
        >>> shared_noise([one, other], "accuracy").round(2)
        array([[1.  , 0.58],
               [0.58, 1.  ]])
    """
    of_samples = [predictions.wrong if metric == "accuracy" else predictions.losses for predictions in unseen]
    found = np.eye(len(unseen))
    for row, column in combinations(range(len(unseen)), 2):
        first, second = of_samples[row], of_samples[column]
        is_shared = np.array_equal(unseen[row].labels, unseen[column].labels)
        if is_shared and first.std() > 0 and second.std() > 0:
            found[row, column] = found[column, row] = np.corrcoef(first, second)[0, 1]
    return found


def paired(
    curves: Mapping[str, Curve],
    measured: Sequence[float],
    correlation: Float64[np.ndarray, "methods methods"],
    seed: int = 0,
) -> Paired:
    """The curves of several methods, paired at random so that their levels are correlated.

    Args:
        curves: of each method, with the same number of draws.
        measured: of each method, the size at which its level was measured.
        correlation: of the levels.
        seed: random seed of the pairing.
    """
    draws = next(iter(curves.values())).draws
    count = len(draws.means(np.array([draws.largest])))
    alike = MOST_ALIKE * correlation + (1 - MOST_ALIKE) * np.eye(len(curves))
    random = np.random.default_rng(seed)
    scores = random.multivariate_normal(np.zeros(len(curves)), alike, (PAIRINGS, count), method="eigh")
    rows = np.empty((len(curves), PAIRINGS, count), dtype=np.int64)
    for method, (curve, size) in enumerate(zip(curves.values(), measured, strict=True)):
        by_level = curve.draws.means(np.array([size]))[:, 0].argsort(kind="stable")
        # the draw of the r-th smallest level stands where the r-th smallest score is
        ranks = scores[:, :, method].argsort(axis=1).argsort(axis=1)
        rows[method] = by_level[ranks]
    return Paired(curves, rows.reshape(len(curves), -1))


def cost_of(method: str) -> tuple[int, int]:
    """What orders methods from cheap to expensive.

    Example:
        >>> sorted(["full", "lora(4)", "last_layers(2)", "last_layers(1)", "head"], key=cost_of)
        ['head', 'last_layers(1)', 'last_layers(2)', 'lora(4)', 'full']
    """
    kind, _, number = method.rstrip(")").partition("(")
    return COSTS.index(kind), int(number or 0)


def _wins(values: Float64[np.ndarray, "methods pairs sizes"]) -> Float64[np.ndarray, "methods methods sizes"]:
    """Shares of pairs in which the first is smaller than the second; ties count half."""
    count = len(values)
    shares = np.full((count, count, values.shape[2]), 0.5)
    for first, second in combinations(range(count), 2):
        smaller = (values[first] < values[second]).mean(0) + (values[first] == values[second]).mean(0) / 2
        shares[first, second], shares[second, first] = smaller, 1 - smaller
    return shares


def _needed(curve: Curve, target: float) -> Float64[np.ndarray, " draws"]:
    """The smallest size at which each draw reaches a target, on a line in log n; infinite where none does."""
    draws = curve.draws
    sizes = np.geomspace(draws.smallest, HORIZON * draws.largest, SEARCHED)
    above = draws.means(sizes) - curve.as_upper_end(target)
    first = (above <= 0).argmax(1)
    each = np.arange(len(above))
    left, right = above[each, np.maximum(first - 1, 0)], above[each, first]
    part = np.divide(left, left - right, out=np.ones_like(left), where=first > 0)
    needed = sizes[np.maximum(first - 1, 0)] * (sizes[1] / sizes[0]) ** np.where(first > 0, part, 0.0)
    return np.where((above <= 0).any(1), needed, math.inf)


def _takeovers(
    names: Sequence[str], better: Float64[np.ndarray, "methods methods sizes"], sizes: Sizes
) -> Iterator[Takeover]:
    """Where the lead changes: the method whose least probable win is the most probable one leads."""
    leads = _weakest(better).argmax(0)
    before = int(leads[0])
    for index, after in enumerate(leads.tolist()):
        probability = better[after, before]
        if after == before or probability[index] < AHEAD:
            continue
        tail = (1 - CONFIDENCE) / 2
        middle, low = (_last_below(sizes, probability, share, index) for share in (0.5, tail))
        high = _first_above(sizes, probability, 1 - tail, index)
        yield Takeover(
            before=names[before],
            after=names[after],
            size=round(sizes[0] if middle is None else middle),
            low=None if low is None else math.floor(low),
            high=None if high is None else math.ceil(high),
        )
        before = after


def _last_below(sizes: Sizes, probability: Sizes, share: float, index: int) -> float | None:
    """The size up to an index at which a probability last rises above a share."""
    below = np.flatnonzero(probability[: index + 1] < share)
    return None if not len(below) else _between(sizes, probability, share, int(below[-1]), index)


def _first_above(sizes: Sizes, probability: Sizes, share: float, index: int) -> float | None:
    """The size from an index on at which a probability first reaches a share."""
    above = index + np.flatnonzero(probability[index:] >= share)
    return None if not len(above) else _between(sizes, probability, share, int(above[0]) - 1, int(above[0]))


def _between(sizes: Sizes, probability: Sizes, share: float, left: int, last: int) -> float:
    """Where a probability is a share, right of an index: on a line in log n; the index itself if it does not rise."""
    right = min(left + 1, last)
    if left < 0 or right == left or probability[right] <= probability[left]:
        return float(sizes[max(left, 0)])
    part = (share - probability[left]) / (probability[right] - probability[left])
    return float(sizes[left] * (sizes[right] / sizes[left]) ** float(np.clip(part, 0, 1)))


def _chances(
    names: Sequence[str],
    sizes: Sizes,
    better: Float64[np.ndarray, "methods methods sizes"],
    best: Float64[np.ndarray, "methods sizes"],
    takeovers: Sequence[Takeover],
) -> Chances:
    first = names[int(_weakest(better)[:, 0].argmax())]
    lead = []
    for size in sizes:
        past = [takeover.after for takeover in takeovers if takeover.size <= size]
        lead.append(past[-1] if past else first)
    return Chances(
        sizes=[round(size) for size in sizes],
        better={
            name: {other: better[row, column].round(4).tolist() for column, other in enumerate(names) if other != name}
            for row, name in enumerate(names)
        },
        best={name: best[row].round(4).tolist() for row, name in enumerate(names)},
        lead=lead,
        use=[names[method] for method in _used(names, better)],
    )


def _used(names: Sequence[str], better: Float64[np.ndarray, "methods methods sizes"]) -> list[int]:
    """The method to use at each size: an expensive one has to be surely better, a cheap one only more probably so."""
    costs = {method: cost_of(name) for method, name in enumerate(names)}
    used: list[int] = []
    for at in np.moveaxis(better, 2, 0):
        unbeaten = [method for method in costs if at[:, method].max() < SURE]
        if not used:
            before = min(unbeaten or costs, key=costs.__getitem__)  # many methods might be beaten in a circle
        # those that are better than the one used so far, by enough for what they cost
        rivals = [
            method for method in unbeaten if at[method, before] >= (SURE if costs[method] > costs[before] else AHEAD)
        ]
        used.append(min(rivals, default=before, key=costs.__getitem__))
        before = used[-1]
    return used


def _weakest(better: Float64[np.ndarray, "methods methods sizes"]) -> Float64[np.ndarray, "methods sizes"]:
    """The least of each method's probabilities to be better than another one."""
    itself = np.eye(len(better), dtype=bool)[:, :, None]
    return np.asarray(np.where(itself, 1.0, better).min(1))


def _undecided(names: Sequence[str], better: Float64[np.ndarray, "methods methods"]) -> tuple[str, ...]:
    """The method that leads and those than which it is not surely better; none where it is surely the best."""
    leader = int(_weakest(better[:, :, None]).argmax())
    close = [name for column, name in enumerate(names) if better[leader, column] < SURE]
    return tuple(close) if len(close) > 1 else ()


def _stretches(sizes: Sizes, methods: Sequence[tuple[str, ...]]) -> list[Stretch]:
    """Runs of sizes with the same methods, each up to where the next one begins; none where there are none."""
    found, start = [], 0
    for names, run in groupby(methods):
        end = start + len(list(run))
        last = sizes[end] - 1 if end < len(sizes) else sizes[-1]
        if names:
            found.append(Stretch(methods=list(names), first=round(sizes[start]), last=round(last)))
        start = end
    return found


def _at(chances: Chances, sizes: Sequence[int]) -> Chances:
    """At some of the sizes."""
    rows = [chances.sizes.index(size) for size in sizes]

    def of(values: list[float]) -> list[float]:
        return [values[row] for row in rows]

    return Chances(
        sizes=list(sizes),
        better={name: {other: of(values) for other, values in rest.items()} for name, rest in chances.better.items()},
        best={name: of(values) for name, values in chances.best.items()},
        lead=[chances.lead[row] for row in rows],
        use=[chances.use[row] for row in rows],
    )


def _table(names: Sequence[str], matrix: Float64[np.ndarray, "methods methods"]) -> dict[str, dict[str, float]]:
    return {
        name: {other: round(float(matrix[row, column]), 4) for column, other in enumerate(names) if other != name}
        for row, name in enumerate(names)
    }


def _metric_of(criterion: Target) -> Literal["accuracy", "loss"]:
    return "accuracy" if criterion == "target_accuracy" else "loss"


def _fewest(curves: Paired, criterion: Target, value: float, assurance: float | None, of: Of) -> Fewest:
    fewer, names = curves.fewer(value), list(curves.curves)
    needed = {name: curve.sufficient_size(value, assurance, of).size for name, curve in curves.curves.items()}
    reached = {name: size for name, size in needed.items() if size is not None}
    first = min(reached, key=lambda name: (reached[name], cost_of(name)), default=None)
    rows = {} if first is None else {other: fewer[names.index(first), names.index(other)] for other in names}
    return Fewest(
        criterion=criterion,
        tolerance=value,
        method=first,
        fewer={other: round(float(share), 4) for other, share in rows.items() if other != first},
    )
