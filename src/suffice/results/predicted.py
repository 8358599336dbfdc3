"""A predicted curve, known by its posterior: estimates, intervals, probabilities, and sizes for a target."""

import math
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from suffice.errors import InputError
from suffice.results.draws import Draws
from suffice.results.interval import Limit, Numbers
from suffice.results.sufficient_size import SufficientSize, Target, interval_in_words
from suffice.results.value import Value
from suffice.shown import Shown

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
"""Over the largest size at hand: beyond it no size is told."""

SEARCHED = 160
"""Sizes from the smallest one to the horizon, evenly spaced in log n, between which one is interpolated."""

WEIGHED = 2000
"""The same for costs, where the best of these sizes is taken: they are 0.4% apart."""

LEAST_SURE, MOST_SURE = 0.005, 0.995
"""Assurances that so many draws can tell."""

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


class Curve(Value, Shown):
    """A learning curve and its error, which can be asked at any size.

    Raises:
        pydantic.ValidationError: draws that are not finite.

    Example:
        >>> level = np.linspace(0.4, 0.6, 99)
        >>> draws = Draws(smallest=50, largest=100, level=level, slope=[0.2], exponent=[1.0], noise=[0.01])
        >>> curve = Curve(metric="loss", sizes=[100, 400], draws=draws)
        >>> curve.mean.round(3), curve.low.round(3), curve.high.round(3)
        (array([0.5 , 0.35]), array([0.41, 0.26]), array([0.59, 0.44]))
        >>> curve.at([200]).mean.round(3), round(curve.limit.mean, 3)
        (array([0.4]), 0.3)
        >>> curve.probability(0.35).round(2)
        array([0.  , 0.51])
        >>> curve.sufficient_size(0.35, assurance=0.7).size > curve.sufficient_size(0.35).size
        True
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    metric: Metric = Field(description='"error" and "loss" fall with more samples, "accuracy" and "score" rise')
    name: str | None = Field(default=None, description="what it is called, where that is not the metric's name")
    sizes: Numbers = Field(description="numbers of training samples at which it is told")
    draws: Draws = Field(description="equally likely curves")
    confidence: float = Field(default=CONFIDENCE, gt=0, lt=1, description="confidence of the intervals")

    def at(self, sizes: Any) -> "Curve":
        """The same curve at other sizes.

        Args:
            sizes: numbers of training samples, whole and above 0.

        Raises:
            InputError: sizes that are none.
        """
        counts = sample_counts(sizes, "at")
        return Curve(metric=self.metric, name=self.name, sizes=counts, draws=self.draws, confidence=self.confidence)

    def __call__(self, sizes: Any) -> Float64[np.ndarray, " sizes"]:
        """The estimate at some sizes: `mean` of the curve `at` them."""
        return self.at(sizes).mean

    @cached_property
    def mean(self) -> Float64[np.ndarray, " sizes"]:
        """The score averaged over training sets and seeds: the median of its posterior, at each size."""
        return self._quantile(self.sizes, 0.5)

    @cached_property
    def low(self) -> Float64[np.ndarray, " sizes"]:
        """Lower ends of the intervals of `mean`."""
        return self._quantile(self.sizes, (1 - self.confidence) / 2)

    @cached_property
    def high(self) -> Float64[np.ndarray, " sizes"]:
        """Upper ends of the intervals of `mean`."""
        return self._quantile(self.sizes, (1 + self.confidence) / 2)

    @cached_property
    def limit(self) -> Limit:
        """The curve with unlimited samples."""
        far = np.array([math.inf])
        shares = {"mean": 0.5, "low": (1 - self.confidence) / 2, "high": (1 + self.confidence) / 2}
        return Limit(**{name: float(self._quantile(far, share)[0]) for name, share in shares.items()})

    @property
    def samples(self) -> Float64[np.ndarray, "draws sizes"]:
        """Equally likely values at each size, of one curve in each row."""
        return self._of_draws(self.sizes)

    def probability(self, target: float, of: Of = "mean") -> Float64[np.ndarray, " sizes"]:
        """How likely it is, at each size, that the target is reached.

        Args:
            target: in the metric; reached by scores at most this ("error", "loss") or at least this.
            of: "mean": by the score averaged over training sets and seeds; "next": by the next model, which adds the
                variance between trainings.

        Raises:
            InputError: a target out of range.
        """
        return self._probability(self.as_upper_end(target), self.sizes, of)

    def sufficient_size(self, target: float, assurance: float | None = None, of: Of = "mean") -> SufficientSize:
        """The smallest number of samples with which the target is reached, with an assurance.

        It is not below the smallest size of the draws. The ends of the interval are the sizes at which the probability
        is (1 - confidence) / 2 and (1 + confidence) / 2; an assurance beyond these raises the confidence.

        Args:
            target: in the metric.
            assurance: probability with which the size is to be enough; None for 0.5.
            of: as in `probability`.

        Raises:
            InputError: a target or an assurance that is out of range.
        """
        limit = self.as_upper_end(target)
        sizes = np.geomspace(self.draws.smallest, HORIZON * self.draws.largest, SEARCHED)
        asked, confidence = self._shares(assurance)
        probability = self._probability(limit, sizes, of)
        what = f"{_WORDS[self.metric] if self.name is None else f'The {self.name}'} of {target:.4g}"
        whose = " by the next model" if of == "next" else ""
        largest = float(probability.max())
        most = (
            f"{what} is out of reach{whose}: its largest probability is {math.floor(100 * largest) / 100:g}, and "
            f"{asked:g} was asked for."
        )
        found = [_crossing(sizes, probability, share) for share in ((1 - confidence) / 2, asked, (1 + confidence) / 2)]
        return self._told(_TARGETS[self.metric], target, found, assurance, f"{what}{whose}", most, of)

    def near_limit(self, excess: float, assurance: float | None = None) -> SufficientSize:
        r"""The smallest number of samples with which the curve is within an excess of its limit.

        Args:
            excess: above 0, in units of the metric.
            assurance: probability with which the size is to be enough; None for 0.5.

        Raises:
            InputError: an excess or an assurance that is out of range.
        """
        if not 0 < excess < math.inf:
            raise InputError(f"excess = {excess:g}: must be above 0")
        sizes = np.geomspace(self.draws.smallest, HORIZON * self.draws.largest, SEARCHED)
        above = self.draws.means(sizes) - self.draws.means(np.array([math.inf]))
        probability = np.asarray((above <= excess).mean(0))
        asked, confidence = self._shares(assurance)
        what = f"A {self.metric} within {excess:.3g} of its limit"
        most = f"{what} takes more than {sizes[-1]:,.0f} samples."
        found = [_crossing(sizes, probability, share) for share in ((1 - confidence) / 2, asked, (1 + confidence) / 2)]
        return self._told("excess", excess, found, assurance, what, most)

    def worth(self, cost_per_sample: float, assurance: float | None = None) -> SufficientSize:
        """The number of samples n at which the score less cost times n is largest.

        Beyond it one more sample costs more than it brings. With an assurance it is the size that is that probably
        large enough: a larger one costs more.

        Args:
            cost_per_sample: what one more sample has to bring at least, in units of the metric.
            assurance: probability with which the best size is at most this; None for 0.5.

        Raises:
            InputError: a cost or an assurance that is out of range.
        """
        if not 0 < cost_per_sample < math.inf:
            raise InputError(f"cost_per_sample = {cost_per_sample:g}: must be above 0")
        sizes = np.geomspace(self.draws.smallest, HORIZON * self.draws.largest, WEIGHED)
        best = sizes[(self.draws.means(sizes) + cost_per_sample * sizes).argmin(1)]
        asked, confidence = self._shares(assurance)
        shares = [(1 - confidence) / 2, asked, (1 + confidence) / 2]
        found = [math.floor(size) for size in np.quantile(best, shares, method="inverted_cdf")]
        low, size, high = found
        ends = interval_in_words(low, high)
        if size <= self.draws.largest:
            words = f"One more sample than the {self.draws.largest:,.0f} at hand costs more than it brings ({ends})."
        else:
            words = f"Beyond {size:,} samples ({ends}) one more costs more than it brings."
        return self._answer("cost_per_sample", cost_per_sample, (low, size, high), assurance, words)

    def as_upper_end(self, target: float) -> float:
        """A target as the largest y that reaches it.

        Raises:
            InputError: a target out of range.
        """
        refuse_target(target, self.metric)
        if not RISES[self.metric]:
            return target
        return 1 - target if self.metric == "accuracy" else -target

    def _shares(self, assurance: float | None) -> tuple[float, float]:
        """The probability that is asked for, and the confidence of the interval around it."""
        asked = 0.5 if assurance is None else assurance
        if not LEAST_SURE <= asked <= MOST_SURE:
            raise InputError(f"assurance = {asked:g}: must be from {LEAST_SURE:g} to {MOST_SURE:g}")
        return asked, max(self.confidence, abs(2 * asked - 1))

    def _told(
        self,
        criterion: Target,
        tolerance: float,
        found: list[int | None],
        assurance: float | None,
        what: str,
        unreachable: str,
        of: Of = "mean",
    ) -> SufficientSize:
        low, size, high = found
        if size is None or low is None:
            return self._answer(criterion, tolerance, None, assurance, unreachable, of)
        sure = "" if assurance is None else f" with probability {assurance:g}"
        words = f"{what}{sure} with {size:,} samples ({interval_in_words(low, high)})."
        return self._answer(criterion, tolerance, (low, size, high), assurance, words, of)

    def _answer(
        self,
        criterion: Target,
        tolerance: float,
        ends: tuple[int, int, int | None] | None,
        assurance: float | None,
        explanation: str,
        of: Of = "mean",
    ) -> SufficientSize:
        low, size, high = ends or (None, None, None)
        status: Literal["reached", "extrapolated", "unreachable"] = "unreachable"
        if size is not None:
            status = "reached" if size <= self.draws.largest else "extrapolated"
        return SufficientSize(
            criterion=criterion,
            tolerance=tolerance,
            relative=False,
            size=size,
            low=low,
            high=high,
            confidence=self._shares(assurance)[1],
            assurance=assurance,
            of=of,
            status=status,
            explanation=explanation,
        )

    def _quantile(self, sizes: Float64[np.ndarray, " sizes"], share: float) -> Float64[np.ndarray, " sizes"]:
        return np.asarray(np.quantile(self._of_draws(sizes), share, axis=0))

    def _of_draws(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, "draws sizes"]:
        values = self.draws.means(sizes)
        if RISES[self.metric]:
            values = 1 - values if self.metric == "accuracy" else -values
        return np.asarray(np.clip(values, *BOUNDS[self.metric]))

    def _probability(self, limit: float, sizes: Float64[np.ndarray, " sizes"], of: Of) -> Float64[np.ndarray, " sizes"]:
        if of not in ("mean", "next"):
            raise InputError(f'of = "{of}": must be mean or next')
        means = self.draws.means(sizes)
        if of == "mean":
            return np.asarray((means <= limit).mean(0))
        from scipy.special import ndtr  # here, so that reading a result is light

        low = 0.0 if self.metric != "score" else -math.inf
        return np.asarray(ndtr((limit - np.maximum(means, low)) / self.draws.deviations(sizes)).mean(0))

    @model_serializer(mode="wrap")
    def _with_values(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With the values at the sizes, for those who read the file without suffice."""
        values = {name: getattr(self, name).tolist() for name in ("mean", "low", "high")}
        return {**handler(self), **values}

    @model_validator(mode="before")
    @classmethod
    def _without_values(cls, content: Any) -> Any:
        """They follow from the draws."""
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if name not in ("mean", "low", "high")}


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


def refuse_target(target: float, metric: Metric) -> None:
    """Whether a target can be a score of the metric, with a curve or without one.

    Raises:
        InputError: a target out of range.

    Example:
        >>> refuse_target(0.9, "accuracy")
        >>> refuse_target(90, "accuracy")
        Traceback (most recent call last):
        suffice.errors.InputError: target = 90: must be above 0 and below 1 for metric accuracy; is it 0.9, in percent?
    """
    low, high = BOUNDS[metric]
    if not (low < target < high):
        percent = f"; is it {target / 100:g}, in percent?" if high == 1 and 1 < target <= 100 else ""
        span = "finite" if low == -math.inf else "above 0" + " and below 1" * (high == 1)
        raise InputError(f"target = {target:g}: must be {span} for metric {metric}{percent}")
