"""Numbers with their intervals: one, or a curve of them."""

from typing import Annotated

import numpy as np
from jaxtyping import Float64
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from suffice.results.value import Value

Numbers = Annotated[
    Float64[np.ndarray, " _"],
    BeforeValidator(lambda values: np.asarray(values, dtype=np.float64)),
    PlainSerializer(lambda values: values.tolist(), return_type=list[float]),
]


class Estimate(Value):
    """A number with its interval."""

    value: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


class Limit(Value):
    """The limit of a curve with unlimited samples."""

    mean: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


class Band(Value):
    """A curve with its intervals."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    mean: Numbers = Field(description="estimate at each size")
    low: Numbers = Field(description="lower ends of the intervals")
    high: Numbers = Field(description="upper ends of the intervals")
