"""Sufficient sizes: the number of samples from which on a criterion or a target is met, with its interval."""

from typing import Literal

from pydantic import Field, model_validator

from suffice.results.value import Value
from suffice.shown import Shown

Criterion = Literal["remaining", "difference"]
Status = Literal["reached", "extrapolated", "cannot_tell"]
Target = Literal["target_loss", "target_accuracy", "target_error", "target_score", "excess", "cost_per_sample"]


class SufficientSize(Value, Shown):
    """k*: the smallest number of samples from which on a criterion stays within a tolerance.

    Raises:
        pydantic.ValidationError: sizes that are not ordered, or that are given when the status is ``cannot_tell`` or
            ``unreachable``; a tolerance of 0 or less of anything but a score, whose scale may have any sign.

    Example:
        >>> answer = SufficientSize(
        ...     criterion="target_accuracy", tolerance=0.9, relative=False, size=740, low=560, high=None,
        ...     status="extrapolated", explanation="About 740 samples; there is no upper end.",
        ... )
        >>> answer.size, answer.high, answer.confidence
        (740, None, 0.9)
    """

    criterion: Criterion | Literal["bound"] | Target = Field(
        description="quantity that has to stay within the tolerance, or target to reach"
    )
    tolerance: float = Field(allow_inf_nan=False, description="the tolerance or the target; above 0, but for a score")
    relative: bool = Field(description="whether the tolerance is a share of the mean loss at w*")
    size: int | None = Field(ge=1, description="the estimate of k*; None for cannot_tell and unreachable")
    low: int | None = Field(ge=1, description="lower end of the interval; None where there is no size")
    high: int | None = Field(description="upper end of the interval; None where it has none, or no size")
    confidence: float = Field(default=0.9, gt=0, lt=1, description="confidence of the interval")
    assurance: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="probability that the target is reached with this size; None where it was not asked for",
    )
    of: Literal["mean", "next"] = Field(
        default="mean",
        description="what reaches a target: mean, the score averaged over training sets and seeds, or next, the next "
        "model",
    )
    status: Status | Literal["unreachable"] = Field(
        description="reached: k* <= m; extrapolated: k* > m; unreachable: no size has the assurance; cannot_tell: see "
        "the explanation"
    )
    explanation: str = Field(description="one plain sentence for people, which no program reads")

    @model_validator(mode="after")
    def _sizes_are_ordered(self) -> "SufficientSize":
        low, size, high = self.low, self.size, self.high
        if self.tolerance <= 0 and self.criterion != "target_score":
            raise ValueError(f"tolerance {self.tolerance}: must be above 0")
        if self.status in ("cannot_tell", "unreachable"):
            if (low, size, high) != (None, None, None):
                raise ValueError(f"{self.status} goes without sizes")
        elif low is None or size is None or low > size or (high is not None and size > high):
            raise ValueError(f"sizes must be integers with low <= size <= high, or high None, not {low, size, high}")
        return self


def interval_in_words(low: int, high: int | None) -> str:
    """An interval of sizes for people.

    Example:
        >>> interval_in_words(80, 1300), interval_in_words(80, None)
        ('80 to 1,300', '80 or more, no upper end')
    """
    return f"{low:,} or more, no upper end" if high is None else f"{low:,} to {high:,}"
