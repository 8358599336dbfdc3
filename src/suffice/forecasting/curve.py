"""A learning curve that is known by its posterior: estimates, intervals, probabilities and sizes for a target."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr

from suffice.errors import InputError
from suffice.forecasting.shapes import fall
from suffice.results import SufficientSize, Target, interval_in_words

Metric = Literal["error", "accuracy", "loss", "score"]
Of = Literal["mean", "next"]

BOUNDS: dict[Metric, tuple[float, float]] = {
    "error": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "loss": (0.0, math.inf),
    "score": (-math.inf, math.inf),
}
RISES: dict[Metric, bool] = {"error": False, "accuracy": True, "loss": False, "score": True}
"""Whether more samples should raise the metric."""

CONFIDENCE = 0.9
HORIZON = 1024
"""Over the largest measured size: beyond it no size is told."""

SEARCHED = 160
"""Sizes from the smallest measured one to the horizon, evenly spaced in log n, between which one is interpolated."""

MOST_SURE = 0.995
"""Greatest assurance, and least 1 - it, that so many draws can tell."""

BINS = 20
"""Of simulated scores, within which what is asked has the spread that is left after such a score."""

SEEDS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Draws:
    """Equally likely curves, lower is better: y(n) = offset + unit (y0 - g s(n / n0) + wander).

    Attributes:
        offset: what y is counted from.
        unit: what y is counted in.
        smallest: the smallest measured size.
        largest: n0, the largest measured size.
        level: y0.
        slope: g.
        exponent: c of s.
        delay: q of s.
        knots: log2(n / n0), rising; between them the wander is a straight line.
        wander: of each curve at the knots.
        noise: standard deviation between trainings on n0 samples, in y.
        noise_exponent: e, where that on n samples is (n / n0)^-e times as large.
    """

    offset: float
    unit: float
    smallest: float
    largest: float
    level: Float64[np.ndarray, " draws"]
    slope: Float64[np.ndarray, " draws"]
    exponent: Float64[np.ndarray, " draws"]
    delay: Float64[np.ndarray, " draws"]
    knots: Float64[np.ndarray, " knots"]
    wander: Float64[np.ndarray, "draws knots"]
    noise: Float64[np.ndarray, " draws"]
    noise_exponent: float

    def means(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, "draws sizes"]:
        """y at each size, averaged over trainings."""
        ratios = sizes / self.largest
        falls = fall(ratios, self.exponent[:, None], self.delay[:, None])
        at = np.clip(np.log2(ratios), self.knots[0], self.knots[-1])
        right = np.clip(np.searchsorted(self.knots, at), 1, len(self.knots) - 1)
        share = (at - self.knots[right - 1]) / (self.knots[right] - self.knots[right - 1])
        wander = (1 - share) * self.wander[:, right - 1] + share * self.wander[:, right]
        return np.asarray(self.offset + self.unit * (self.level[:, None] - self.slope[:, None] * falls + wander))

    def deviations(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, "draws sizes"]:
        """Standard deviation of y between trainings at each size."""
        return np.asarray(self.noise[:, None] * (sizes / self.largest) ** -self.noise_exponent)


@dataclass(frozen=True)
class NextRun:
    """What to train next, and how much narrower it makes the answer.

    Attributes:
        size: number of training samples.
        seeds: how many trainings on so many samples, each on other ones.
        interval_left: expected width of the interval of the answer after these trainings, over its width now.
        explanation: one plain sentence.
    """

    size: int
    seeds: int
    interval_left: float
    explanation: str


@dataclass(frozen=True)
class Curve:
    """A learning curve and its error, which can be asked at any size.

    Attributes:
        metric: "error" and "loss" fall with more samples, "accuracy" and "score" rise.
        sizes: where `mean`, `low`, `high` and `probability` are told.
        draws: equally likely curves.
        confidence: of the intervals.

    Example:
        >>> from suffice.forecasting import forecast_scores
        >>> curve = forecast_scores([100, 200, 400, 800], [0.70, 0.76, 0.80, 0.83], at=[1600, 6400], metric="accuracy")
        >>> bool((curve.low < curve.mean).all() and (curve.mean < curve.high).all())
        True
        >>> curve.at([3200]).mean.shape
        (1,)
        >>> curve.sufficient_size(0.84, assurance=0.6).status
        'extrapolated'
    """

    metric: Metric
    sizes: Float64[np.ndarray, " sizes"]
    draws: Draws
    confidence: float = CONFIDENCE

    def at(self, sizes: Any) -> "Curve":
        """The same curve at other sizes.

        Args:
            sizes: numbers of training samples, whole and above 0.

        Raises:
            InputError: sizes that are none.
        """
        return replace(self, sizes=sample_counts(sizes, "at"))

    @cached_property
    def mean(self) -> Float64[np.ndarray, " sizes"]:
        """The score averaged over training sets and seeds: the median of its posterior, at each size."""
        return self._quantile(0.5)

    @cached_property
    def low(self) -> Float64[np.ndarray, " sizes"]:
        """Lower ends of the intervals of `mean`."""
        return self._quantile((1 - self.confidence) / 2)

    @cached_property
    def high(self) -> Float64[np.ndarray, " sizes"]:
        """Upper ends of the intervals of `mean`."""
        return self._quantile((1 + self.confidence) / 2)

    def probability(self, target: float, of: Of = "mean") -> Float64[np.ndarray, " sizes"]:
        """How likely it is, at each size, that the target is reached.

        Args:
            target: in the metric; reached by scores at most this ("error", "loss") or at least this.
            of: "mean": by the score averaged over training sets and seeds; "next": by the next model, which adds the
                variance between trainings.

        Raises:
            InputError: a target out of range.
        """
        return self._probability(self._checked(target), self.sizes, of)

    def sufficient_size(self, target: float, assurance: float | None = None, of: Of = "mean") -> SufficientSize:
        """The smallest number of samples with which the target is reached, with an assurance.

        It is not below the smallest measured size. The ends of the interval are the sizes at which the probability is
        (1 - confidence) / 2 and (1 + confidence) / 2; an assurance beyond these raises the confidence.

        Args:
            target: in the metric.
            assurance: probability with which the size is to be enough; None for 0.5.
            of: as in `probability`.

        Raises:
            InputError: a target or an assurance that is out of range.
        """
        asked = 0.5 if assurance is None else assurance
        if not 1 - MOST_SURE <= asked <= MOST_SURE:
            raise InputError(f"assurance = {asked:g}: must be from {1 - MOST_SURE:.3g} to {MOST_SURE:g}")
        limit = self._checked(target)
        confidence = max(self.confidence, abs(2 * asked - 1))
        sizes = np.geomspace(self.draws.smallest, HORIZON * self.draws.largest, SEARCHED)
        probability = self._probability(limit, sizes, of)
        found = [_crossing(sizes, probability, share) for share in ((1 - confidence) / 2, asked, (1 + confidence) / 2)]
        low, size, high = found
        name, what = _TARGETS[self.metric], f"{_WORDS[self.metric]} of {target:.4g}"
        answer = {"criterion": name, "tolerance": target, "relative": False, "confidence": confidence}
        if size is None or low is None:
            most = float(probability.max())
            explanation = (
                f"{what} is out of reach: its largest probability is {most:.2g}, "
                f"with {sizes[probability.argmax()]:,.0f} samples, and {asked:.2g} was asked for."
            )
            return SufficientSize(
                **answer,
                size=None,
                low=None,
                high=None,
                assurance=assurance,
                status="unreachable",
                explanation=explanation,
            )
        sure = "" if assurance is None else f" with probability {assurance:g}"
        explanation = f"{what}{sure} with {size:,} samples ({interval_in_words(low, high)})."
        return SufficientSize(
            **answer,
            size=size,
            low=low,
            high=high,
            assurance=assurance,
            status="reached" if size <= self.draws.largest else "extrapolated",
            explanation=explanation,
        )

    def next_run(self, target: float, samples: int | None = None, seed: int = 0) -> NextRun:
        """Which trainings would narrow the size for a target most.

        Each choice is simulated with the curves of the posterior; what is left of the interval of log n is the spread
        of n among curves with about the same simulated score. Sizes are the samples at hand and halves of them, not
        below the smallest measured size; seeds are as many as make up no more trained samples than one training on all
        samples at hand.

        Args:
            target: in the metric.
            samples: how many are at hand; None for as many as the largest measured size.
            seed: of the simulation.

        Raises:
            InputError: a target out of range.

        Source: M. Strong and J. E. Oakley, "An efficient method for computing single-parameter partial expected value
        of perfect information", Medical Decision Making 2013 (conditional spread from one set of draws).
        """
        limit = self._checked(target)
        most, smallest = int(samples or self.draws.largest), self.draws.smallest
        grid = np.geomspace(self.draws.smallest, HORIZON * self.draws.largest, SEARCHED // 2)
        reached = self.draws.means(grid) <= limit
        needed = np.where(reached.any(1), np.log(grid)[reached.argmax(1)], np.log(grid[-1]))
        noise = np.random.default_rng(seed).normal(size=len(needed))
        choices = []
        for size in sorted({most, *(most >> halvings for halvings in range(1, 4) if most >> halvings >= smallest)}):
            at = np.array([float(size)])
            of_one = self.draws.deviations(at)[:, 0]
            for seeds in (count for count in SEEDS if count * size <= most):
                simulated = self.draws.means(at)[:, 0] + of_one / math.sqrt(seeds) * noise
                choices.append((_left(needed, simulated), size, seeds))
        left, size, seeds = min(choices)
        trainings = f"{seeds} training{'s' * (seeds > 1)} on {size:,} samples"
        explanation = f"{trainings} should narrow the interval of the size to {left:.0%} of its width."
        return NextRun(size, seeds, left, explanation)

    def _quantile(self, share: float) -> Float64[np.ndarray, " sizes"]:
        values = self.draws.means(self.sizes)
        if RISES[self.metric]:
            values = 1 - values if self.metric == "accuracy" else -values
        return np.asarray(np.quantile(np.clip(values, *BOUNDS[self.metric]), share, axis=0))

    def _probability(self, limit: float, sizes: Float64[np.ndarray, " sizes"], of: Of) -> Float64[np.ndarray, " sizes"]:
        if of not in ("mean", "next"):
            raise InputError(f'of = "{of}": must be mean or next')
        means = self.draws.means(sizes)
        if of == "mean":
            return np.asarray((means <= limit).mean(0))
        low = 0.0 if self.metric != "score" else -math.inf
        return np.asarray(ndtr((limit - np.maximum(means, low)) / self.draws.deviations(sizes)).mean(0))

    def _checked(self, target: float) -> float:
        """The target as an upper end of y."""
        low, high = BOUNDS[self.metric]
        if not (low < target < high):
            percent = f"; is it {target / 100:g}, in percent?" if high == 1 and 1 < target <= 100 else ""
            span = "finite" if low == -math.inf else "above 0" + " and below 1" * (high == 1)
            raise InputError(f"target = {target:g}: must be {span} for metric {self.metric}{percent}")
        if not RISES[self.metric]:
            return target
        return 1 - target if self.metric == "accuracy" else -target


_TARGETS: dict[Metric, Target] = {
    "error": "target_error",
    "accuracy": "target_accuracy",
    "loss": "target_loss",
    "score": "target_score",
}
_WORDS: dict[Metric, str] = {
    "error": "An error rate",
    "accuracy": "An accuracy",
    "loss": "A loss",
    "score": "A score",
}


def sample_counts(sizes: Any, name: str) -> Float64[np.ndarray, " sizes"]:
    """Sizes as numbers, checked.

    Raises:
        InputError: not a list of whole numbers above 0.

    Example:
        >>> sample_counts([100, 200], "sizes")
        array([100., 200.])
    """
    try:
        counts = np.asarray(sizes, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: must be numbers of training samples") from None
    if counts.ndim != 1 or not len(counts):
        raise InputError(f"{name}: must be a list of numbers of training samples, such as [100, 200, 400]")
    if not np.isfinite(counts).all():
        raise InputError(f"{name}: some are not finite; give numbers of training samples")
    wrong = counts[(counts < 1) | (counts != np.round(counts))]
    if len(wrong):
        raise InputError(f"{name}: {wrong[0]:g} is not a number of samples; give counts, not shares, steps or epochs")
    return counts


def _crossing(
    sizes: Float64[np.ndarray, " sizes"], probability: Float64[np.ndarray, " sizes"], share: float
) -> int | None:
    """The smallest size with a probability, on a straight line in log n between two; None where no size has it."""
    enough = probability >= share
    if not enough.any():
        return None
    first = int(enough.argmax())
    if first == 0:
        return math.ceil(float(sizes[0]))
    below, above = probability[first - 1], probability[first]
    part = (share - below) / (above - below)
    size = float(sizes[first - 1] * (sizes[first] / sizes[first - 1]) ** part)
    return math.ceil(size * (1 - 1e-9))


def _left(asked: Float64[np.ndarray, " draws"], told: Float64[np.ndarray, " draws"]) -> float:
    """The spread of what is asked that is left when something is told, over the whole."""
    parts = np.array_split(asked[np.argsort(told, kind="stable")], BINS)
    whole = float(asked.var())
    within = float(np.average([part.var() for part in parts], weights=[len(part) for part in parts]))
    return math.sqrt(within / whole) if whole > 0 else 1.0
