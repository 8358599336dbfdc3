"""Results of ``suffice monitor``."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.curve import Predictions
from suffice.results.interval import Estimate
from suffice.results.predicted import Metric
from suffice.results.value import Value
from suffice.shown import Shown

Action = Literal["stop", "label", "cannot tell"]

Reason = Literal[
    "little gain",
    "gain",
    "target measured",
    "target by curve",
    "target ahead",
    "out of reach",
    "pool",
    "few looks",
    "no curve",
]
"""Why: doubling brings less than the wanted gain, or may bring more; the target is reached, as measured or by the
curve, is ahead, or is not reached with the whole pool; nothing is left to label; or the scores tell nothing."""


class Look(Value):
    """What was measured after one batch. The intervals of all looks, of scores and gains, hold together."""

    size: int = Field(description="labels that the model was trained on")
    score: float = Field(description="on the hold-out; averaged where this size has several scores")
    low: float | None = Field(description="lower end of its interval; null where the size of the hold-out is not known")
    high: float | None = Field(description="upper end of its interval; null as above")
    since: int | None = Field(description="labels of the last look with half as many or fewer; null without one")
    gain: Estimate | None = Field(
        description="how much better the score is than there, with its interval; null where that is not known"
    )


class Total(Value):
    """The labels in all with which labelling should end, by the forecast; null where no end is known."""

    size: int | None = Field(description="estimate")
    low: int | None = Field(description="lower end of the interval")
    high: int | None = Field(description="upper end of the interval")


class Decision(Value):
    """Stop, or label more: by the forecast, but where the target was measured to be reached."""

    action: Action = Field(description="stop, label, or cannot tell")
    labels: int = Field(description="how many labels more; 0 to stop")
    reason: Reason = Field(description="why, as a name that programs may read")
    probability: float | None = Field(
        description="of a gain below the one asked for, or of the target with these labels more; null if not told"
    )
    next: Estimate | None = Field(description="what one batch more should bring; null without a curve")
    doubling: Estimate | None = Field(description="what twice the labels should bring; null without a curve")
    rest: Estimate | None = Field(description="what the rest of the pool should bring; null where that is not known")
    total: Total | None = Field(description="when labelling should end; null where it ends now, or without a curve")
    explanation: str = Field(description="one plain sentence for people, which no program reads")


class MonitorResult(Value, Shown):
    """The content of ``result.json`` of ``suffice monitor``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["monitor"] = Field(default="monitor", description="the command that made it")
    sources: list[str] = Field(description="tables, run folders, arrays or the recording with the scores")
    metric: Metric = Field(description="what the scores are, as in suffice curve")
    looks: list[Look] = Field(description="what was measured, by the number of labels")
    holdout: int | None = Field(description="samples of the hold-out; null where not known")
    gain: float | None = Field(description="the gain of doubling the labels that is asked for; null with a target")
    target: float | None = Field(description="the score that is asked for; null with a gain")
    batch: int = Field(description="labels of a batch")
    pool: int | None = Field(description="how many samples could be labelled at all; null where not given")
    decision: Decision = Field(description="the answer")
    drawn: Predictions | None = Field(description="the curve at the sizes at which it is drawn; null without a curve")
    assurance: float = Field(description="probability that is enough to stop")
    measured_confidence: float = Field(description="probability that all intervals of all looks hold")
    confidence: float = Field(description="confidence of the intervals of the forecast")
    notes: list[str] = Field(description="notes on the inputs")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
