"""The base of all results."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value with declared fields only."""

    model_config = ConfigDict(extra="forbid", frozen=True)
