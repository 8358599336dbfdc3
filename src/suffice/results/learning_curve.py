"""Learning curves, measured or predicted, and the sizes at which they reach a target."""

import math
from statistics import NormalDist
from typing import Annotated

import numpy as np
from jaxtyping import Float64
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from suffice.errors import InputError
from suffice.results.finding import FindingValue
from suffice.results.sufficient_size import Status, SufficientSize, Target, interval_in_words
from suffice.results.value import Value

_TARGETS: dict[Target, str] = {
    "target_loss": "A test loss of {:.3g}",
    "target_accuracy": "An accuracy of {:.3g}",
    "excess": "A test loss within {:.3g} of its limit",
}
Numbers = Annotated[
    Float64[np.ndarray, " _"],
    BeforeValidator(lambda values: np.asarray(values, dtype=np.float64)),
    PlainSerializer(lambda values: values.tolist(), return_type=list[float]),
]


class Band(Value):
    """A curve with its intervals."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    mean: Numbers = Field(description="estimate at each size")
    low: Numbers = Field(description="lower ends of the intervals")
    high: Numbers = Field(description="upper ends of the intervals")


class Limit(Value):
    """The limit of a curve with unlimited samples."""

    mean: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


class LearningCurve(Value):
    """Test loss and accuracy against the number of training samples, measured or predicted.

    Between sizes the curves are straight lines in 1/k, and so they are from the largest size to the limit.

    Example:
        >>> band = Band(mean=[0.9, 0.5], low=[0.8, 0.4], high=[1.0, 0.6])
        >>> curve = LearningCurve(sizes=[100, 1000], loss=band, accuracy=band)
        >>> curve.loss.mean
        array([0.9, 0.5])
        >>> answer = curve.sufficient_size(target_loss=0.7)
        >>> answer.low, answer.size, answer.high, answer.status
        (130, 182, 308, 'reached')
    """

    sizes: list[int] = Field(description="numbers of training samples")
    loss: Band = Field(description="test loss")
    accuracy: Band = Field(description="test accuracy")
    samples: int | None = Field(default=None, description="k_0: samples at hand, from which the curve is predicted")
    level: float | None = Field(default=None, description="expected test loss with k_0 samples")
    slope: float | None = Field(default=None, description="-dL/d(1/k) at k_0: the loss falls by slope (1/k_0 - 1/k)")
    slope_error: float | None = Field(default=None, description="standard error of the slope")
    loss_limit: Limit | None = Field(default=None, description="limit of the test loss")
    accuracy_limit: Limit | None = Field(default=None, description="limit of the test accuracy")
    penalty: float | None = Field(
        default=None, description="lambda of the penalty lambda/2 ||w||^2, or the effective one of the training"
    )
    estimator: str | None = Field(default=None, description="estimator of a predicted curve; null for a measured one")
    status: Status = Field(
        default="reached",
        description="reached: measured; extrapolated: predicted; cannot_tell: a check of the prediction failed, and "
        "there are no numbers",
    )
    explanation: str = Field(default="Measured by training.", description="one plain sentence")
    doubts: list[str] = Field(
        default=[],
        description="reasons why the intervals of a prediction may be too narrow: few samples of a class, leverage, "
        "disagreement with trainings on half of the samples, samples that change along their order",
    )
    findings: list[FindingValue] = Field(
        default=[],
        description="what was found that bears on a prediction, the most severe first; empty in files of earlier "
        "versions, which have doubts alone",
    )
    confidence: float = Field(default=0.9, gt=0, lt=1, description="confidence of the intervals")

    def sufficient_size(
        self,
        target_loss: float | None = None,
        target_accuracy: float | None = None,
        excess: float | None = None,
        cost_per_sample: float | None = None,
    ) -> SufficientSize:
        r"""The smallest k from which on the curve meets a target.

        The interval is where the upper and the lower end of the band cross the target; for an excess, which is
        :math:`s / k`, it is that of the slope s. Where the worse end never crosses it, the interval has no upper end:
        ``high`` is None. For a cost c, k is where the accuracy less :math:`c k` is largest. Its interval is that of the
        slope of the accuracy: all gains are larger or smaller by the share of itself by which the gain from the first
        size to the limit is, that is, by how much wider the band of the accuracy becomes between these.

        Args:
            target_loss: test loss at most this.
            target_accuracy: test accuracy at least this.
            excess: test loss at most this above its limit.
            cost_per_sample: accuracy that one more sample brings at most.

        Raises:
            InputError: not exactly one target, or one that is out of range.
        """
        targets: dict[Target, float | None] = {
            "target_loss": target_loss,
            "target_accuracy": target_accuracy,
            "excess": excess,
            "cost_per_sample": cost_per_sample,
        }
        given = {name: value for name, value in targets.items() if value is not None}
        if len(given) != 1:
            raise InputError("give one of target_loss, target_accuracy, excess and cost_per_sample")
        ((name, target),) = given.items()
        if not 0 < target < (1 if name == "target_accuracy" else math.inf):
            raise InputError(f"{name} = {target}: must be above 0{' and below 1' * (name == 'target_accuracy')}")
        if self.status == "cannot_tell":
            return self._cannot_tell(name, target, self.explanation)
        if name == "cost_per_sample":
            return self._worth(target)
        likely, worst, best = (
            _last_crossing(self.sizes, values, limit, bound) for values, limit, bound in self._bounds(name, target)
        )
        if likely is None:
            return self._cannot_tell(name, target, self._out_of_reach(name, target))
        size, low = math.ceil(likely), math.ceil(likely if best is None else min(best, likely))
        high = None if worst is None else math.ceil(max(worst, likely))
        explanation = f"{_TARGETS[name].format(target)} with {size:,} samples ({interval_in_words(low, high)})."
        return self._told(name, target, (low, size, high), explanation)

    def _told(self, name: Target, target: float, ends: tuple[int, int, int | None], explanation: str) -> SufficientSize:
        low, size, high = ends
        measured = size <= (self.samples or self.sizes[-1])
        return SufficientSize(
            criterion=name,
            tolerance=target,
            relative=False,
            size=size,
            low=low,
            high=high,
            confidence=self.confidence,
            status="reached" if measured else "extrapolated",
            explanation=explanation,
        )

    def _worth(self, cost: float) -> SufficientSize:
        """Up to where a sample is worth its cost; gains that are all larger by some factor are as a smaller cost."""
        if self.accuracy_limit is None:
            raise InputError("cost_per_sample needs a predicted curve with a limit; a measured curve has none")
        limit = self.accuracy_limit.mean
        now, then = self.accuracy.mean[0] - self.accuracy.low[0], limit - self.accuracy_limit.low
        share = math.sqrt(max(then**2 - now**2, 0)) / max(limit - self.accuracy.mean[0], np.finfo(float).eps)
        low, size, high = (
            math.floor(_best_net(self.sizes, self.accuracy.mean, limit, cost / factor if factor > 0 else math.inf))
            for factor in (1 - share, 1.0, 1 + share)
        )
        ends = interval_in_words(low, high)
        if self.samples is not None and size <= self.samples:
            explanation = f"One more sample than the {self.samples:,} at hand costs more than it brings ({ends})."
        else:
            explanation = f"Beyond {size:,} samples ({ends}) one more costs more than it brings."
        return self._told("cost_per_sample", cost, (low, size, high), explanation)

    def _bounds(self, name: Target, target: float) -> list[tuple[Numbers, float | None, float]]:
        """The estimate, the worse and the better end of the band, their limits, and what they have to fall below."""
        if name == "excess":
            if self.loss_limit is None or self.slope is None or self.slope_error is None:
                raise InputError("excess needs a predicted curve with a limit; a measured curve has none")
            limit = self.loss_limit.mean
            share = NormalDist().inv_cdf((1 + self.confidence) / 2) * self.slope_error / abs(self.slope)
            of_ends = (target, target / (1 + share), target / (1 - share) if share < 1 else math.inf)
            return [(self.loss.mean, limit, limit + of_end) for of_end in of_ends]
        band, limits, sign = (
            (self.loss, self.loss_limit, 1) if name == "target_loss" else (self.accuracy, self.accuracy_limit, -1)
        )
        ends = ("mean", "high", "low") if sign > 0 else ("mean", "low", "high")
        return [
            (sign * getattr(band, end), None if limits is None else sign * getattr(limits, end), sign * target)
            for end in ends
        ]

    def _out_of_reach(self, name: Target, target: float) -> str:
        what = _TARGETS[name].format(target)
        limit = self.accuracy_limit if name == "target_accuracy" else self.loss_limit
        if limit is None:
            return f"{what} is not reached with {self.sizes[-1]:,} samples, the most that were tried."
        return f"{what} is out of reach: the limit is {limit.mean:.3g} ({limit.low:.3g} to {limit.high:.3g})."

    def _cannot_tell(self, name: Target, target: float, reason: str) -> SufficientSize:
        return SufficientSize(
            criterion=name,
            tolerance=target,
            relative=False,
            size=None,
            low=None,
            high=None,
            confidence=self.confidence,
            status="cannot_tell",
            explanation=reason,
        )


def _last_crossing(sizes: list[int], values: Numbers, limit: float | None, target: float) -> float | None:
    """The smallest k from which on the curve stays at or below a target; None if it ends above."""
    inverses = [1 / size for size in sizes] + ([] if limit is None else [0.0])
    curve = values.tolist() + ([] if limit is None else [limit])
    if not curve[-1] <= target:
        return None
    above = [index for index, value in enumerate(curve) if value > target]
    if not above:
        return float(sizes[0])
    last = above[-1]
    share = (curve[last] - target) / (curve[last] - curve[last + 1])
    inverse = inverses[last] + share * (inverses[last + 1] - inverses[last])
    # a hair less, so that rounding does not make of 200 samples 201
    return (1 - 1e-9) / inverse if inverse > 0 else None


def _best_net(sizes: list[int], accuracy: Numbers, limit: float, cost: float) -> float:
    """The k at which the accuracy less cost times k is largest; the smallest size where each sample costs too much."""
    if math.isinf(cost):
        return float(sizes[0])
    negative_inverses, curve = np.array([*(-1 / size for size in sizes), 0.0]), np.append(accuracy, limit)
    # between two sizes a + b (-1/k), which rises by b / k^2
    rises = np.maximum(np.diff(curve) / np.diff(negative_inverses), 0)
    between = np.clip(np.sqrt(rises / cost), sizes, [*sizes[1:], math.inf])
    candidates = np.append(sizes, between)
    return float(candidates[np.argmax(np.interp(-1 / candidates, negative_inverses, curve) - cost * candidates)])
