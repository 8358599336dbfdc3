"""Learning curves, measured or predicted, and the sizes at which they reach a target."""

import math
from typing import Literal

from pydantic import Field

from suffice.errors import InputError
from suffice.results.finding import FindingValue
from suffice.results.interval import Band, Limit, Numbers
from suffice.results.predicted import Curve, Of
from suffice.results.sufficient_size import Status, SufficientSize, Target, interval_in_words
from suffice.results.value import Value
from suffice.shown import Shown

Recipe = Literal["fixed", "tuned", "per-sample"]
"""Which penalty a head has at other sizes than that at hand: the same; the one that folds choose there; or one in
proportion to 1/k, which is one and the same C of scikit-learn."""

_WORDS = {"target_loss": "A test loss of {:.3g}", "target_accuracy": "An accuracy of {:.3g}"}


class LearningCurve(Value, Shown):
    """Test loss and accuracy against the number of training samples, measured or predicted.

    A predicted curve is a `Curve`, which can be asked at any size; a measured one is a `Band`, and a straight line in
    1/k between sizes.

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
    loss: Curve | Band = Field(description="test loss")
    accuracy: Curve | Band = Field(description="test accuracy; R² of a regression")
    metrics: dict[str, Curve] = Field(
        default={}, description="other metrics that were asked for, by name, of a predicted curve; RMSE of a regression"
    )
    samples: int | None = Field(default=None, description="k_0: samples at hand, from which the curve is predicted")
    level: float | None = Field(default=None, description="expected test loss with k_0 samples")
    slope: float | None = Field(
        default=None, description="-dL/d(1/k) at k_0: at a fixed penalty the loss falls by slope (1/k_0 - 1/k)"
    )
    slope_error: float | None = Field(default=None, description="standard error of the slope")
    loss_limit: Limit | None = Field(default=None, description="limit of the test loss")
    accuracy_limit: Limit | None = Field(default=None, description="limit of the test accuracy")
    penalty: float | None = Field(
        default=None, description="lambda of the penalty lambda/2 ||w||^2, or the effective one of the training"
    )
    recipe: Recipe = Field(
        default="fixed",
        description="which penalty heads of other sizes have: fixed, the same; tuned, chosen again at each size; "
        "per-sample, in proportion to 1/k",
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
        assurance: float | None = None,
        of: Of = "mean",
    ) -> SufficientSize:
        r"""The smallest k from which on the curve meets a target.

        Of a predicted curve it is the k that meets it with the assurance, and the ends of the interval are those that
        do with probabilities (1 - confidence) / 2 and (1 + confidence) / 2, see `Curve.sufficient_size`. Where no k
        has the latter, the interval has no upper end: ``high`` is None. For a cost c, k is where the accuracy less
        :math:`c k` is largest. Of a measured curve the interval is where the upper and the lower end of the band cross
        the target.

        Args:
            target_loss: test loss at most this.
            target_accuracy: test accuracy at least this.
            excess: test loss at most this above its limit.
            cost_per_sample: accuracy that one more sample brings at most.
            assurance: probability with which k is to be enough, of a predicted curve; None for 0.5.
            of: "mean", the average over training sets and seeds, or "next", the next model; of a predicted curve and
                a target.

        Raises:
            InputError: not exactly one target, one that is out of range, or what a measured curve does not have.
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
        if of == "next" and name in ("excess", "cost_per_sample"):
            raise InputError(f'of = "next" goes with a target, and {name} is of the mean')
        if self.status == "cannot_tell":
            return self._answer(name, target, None, "cannot_tell", self.explanation, assurance)
        if isinstance(self.loss, Curve) and isinstance(self.accuracy, Curve):
            if name == "excess":
                return self.loss.near_limit(target, assurance)
            if name == "cost_per_sample":
                return self.accuracy.worth(target, assurance)
            return (self.loss if name == "target_loss" else self.accuracy).sufficient_size(target, assurance, of)
        if name not in _WORDS or assurance is not None or of != "mean":
            raise InputError(f"{name if name not in _WORDS else 'an assurance'} needs a predicted curve")
        return self._of_measured(name, target)

    def _of_measured(self, name: Target, target: float) -> SufficientSize:
        band, sign, ends = (
            (self.loss, 1, ("mean", "high", "low"))
            if name == "target_loss"
            else (self.accuracy, -1, ("mean", "low", "high"))
        )
        likely, worst, best = (_last_crossing(self.sizes, sign * getattr(band, end), sign * target) for end in ends)
        what = _WORDS[name].format(target)
        if likely is None:
            words = f"{what} is not reached with {self.sizes[-1]:,} samples, the most that were tried."
            return self._answer(name, target, None, "cannot_tell", words, None)
        size, low = math.ceil(likely), math.ceil(likely if best is None else min(best, likely))
        high = None if worst is None else math.ceil(max(worst, likely))
        words = f"{what} with {size:,} samples ({interval_in_words(low, high)})."
        return self._answer(name, target, (low, size, high), "reached", words, None)

    def _answer(
        self,
        name: Target,
        target: float,
        ends: tuple[int, int, int | None] | None,
        status: Literal["reached", "cannot_tell"],
        explanation: str,
        assurance: float | None,
    ) -> SufficientSize:
        low, size, high = ends or (None, None, None)
        return SufficientSize(
            criterion=name,
            tolerance=target,
            relative=False,
            size=size,
            low=low,
            high=high,
            confidence=self.confidence,
            assurance=assurance,
            status=status,
            explanation=explanation,
        )


def _last_crossing(sizes: list[int], values: Numbers, target: float) -> float | None:
    """The smallest k from which on the curve stays at or below a target; None if it ends above."""
    inverses, curve = [1 / size for size in sizes], values.tolist()
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
