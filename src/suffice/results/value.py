"""The base of all results, and a number with its interval."""

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A frozen value with declared fields only."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Value):
    """A number with its interval."""

    value: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")
