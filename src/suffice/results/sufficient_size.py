"""k*, and what it is the size of."""

from typing import Literal

from pydantic import Field, model_validator

from suffice.results.value import Value

Criterion = Literal["remaining", "difference"]
Status = Literal["reached", "extrapolated", "cannot_tell"]
Target = Literal["target_loss", "target_accuracy", "excess", "cost_per_sample"]


class SufficientSize(Value):
    """k*: the smallest number of samples from which on a criterion stays within a tolerance.

    Raises:
        pydantic.ValidationError: sizes that are not ordered, or that are given when the status is ``cannot_tell``.
    """

    criterion: Criterion | Literal["bound"] | Target = Field(description="what has to stay within the tolerance")
    tolerance: float = Field(gt=0, allow_inf_nan=False, description="the tolerance")
    relative: bool = Field(description="whether the tolerance is a share of the mean loss at w*")
    size: int | None = Field(ge=1, description="the estimate of k*")
    low: int | None = Field(ge=1, description="lower end of the interval")
    high: int | None = Field(description="upper end of the interval")
    confidence: float = Field(default=0.9, gt=0, lt=1, description="confidence of the interval")
    status: Status = Field(description="reached: k* <= m; extrapolated: k* > m; cannot_tell: see the explanation")
    explanation: str = Field(description="one plain sentence")

    @model_validator(mode="after")
    def _sizes_are_ordered(self) -> "SufficientSize":
        sizes = (self.low, self.size, self.high)
        if self.status == "cannot_tell":
            if sizes != (None, None, None):
                raise ValueError("cannot_tell goes without sizes")
        elif None in sizes or not self.low <= self.size <= self.high:  # type: ignore[operator]
            raise ValueError(f"sizes must be integers with low <= size <= high, not {sizes}")
        return self
