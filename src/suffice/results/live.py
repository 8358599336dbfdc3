"""What a run tells while it goes on."""

from pydantic import Field

from suffice.results.curve import CurveResult
from suffice.results.monitor import Look
from suffice.results.value import Value


class LiveResult(Value):
    """What a run has measured so far, and the forecast from it; the two are kept apart."""

    source: str = Field(description="the recording")
    samples: int = Field(description="k0, the training samples of an epoch")
    seen: int = Field(description="samples that the weights have been trained on, all epochs together")
    updates: int = Field(description="updates that were made")
    gain: float | None = Field(description="by how much doubling the samples has to lower the loss; null if not asked")
    looks: list[Look] = Field(description="what the hold-out has measured in the first epoch, by the samples seen")
    measured_confidence: float = Field(description="probability that all intervals of all looks hold")
    curve: CurveResult | None = Field(description="the forecast; null where none can be made yet")
    probability: float | None = Field(
        description="by the forecast, of a gain below the one asked for when k0 is doubled; null without either"
    )
    assurance: float = Field(description="probability from which on the forecast says that samples stop paying")
    why: str = Field(description="why there is no forecast, in a half sentence; empty where there is one")
