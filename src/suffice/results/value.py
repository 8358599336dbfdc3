"""What all results are made of."""

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """Has the fields that it says, and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Value):
    """A number with its interval."""

    value: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")
