"""What ``suffice analyze`` answers."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.sufficient_size import Criterion, SufficientSize
from suffice.results.value import Estimate, Value

Interval = tuple[list[float], list[float]] | None


class ProblemSummary(Value):
    """What was measured."""

    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: int = Field(description="number of classes")
    samples: int = Field(description="m: the samples that the curves run over")
    held_out_samples: int = Field(description="samples set aside, which the fine-tuning has not seen")
    fine_tuning: str | None = Field(description="what was trained before measuring, if anything")
    moving_parameters: int = Field(description="P: parameters that the probes move")
    parameters: int = Field(description="all parameters of the model")
    loss_at_center: float = Field(description="L(w*): mean loss of the m samples at the trained weights w*")
    coefficient_of_variation: float | None = Field(
        description="CV = S(w*) / L(w*): how much the loss differs from sample to sample, relative to its mean"
    )
    held_out_loss: float | None = Field(description="mean loss at w* of the samples set aside")
    held_out_accuracy: float | None = Field(description="share of the samples set aside that are classified right")
    gap: float | None = Field(
        description="held-out loss less L(w*): the generalisation gap, what the fit to these samples hides"
    )
    batch_size: int = Field(description="samples run at a time")
    device: str = Field(description="where the model ran")
    notes: list[str] = Field(description="what one should know of how the inputs were read")


class Probe(Value):
    """One point of the loss surface."""

    distance: float = Field(description="||w - w*||")
    loss: float = Field(description="mean loss of the m samples there")
    spread: float = Field(description="S(w): standard deviation of the per-sample losses there")


class Landscape(Value):
    """The curves in k. Sizes and curves have the same length."""

    sizes: list[int] = Field(description="k: how many samples are taken")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k|: what one more sample changes")
    difference_interval: Interval = Field(description="its interval, low and high; None if it has no upper end")
    remaining: list[float] = Field(description="typical |L_k - L_m|: what the rest of the samples at hand changes")
    remaining_population: list[float] = Field(
        description="typical |L_k - L_infinity|: what unlimited data would still change"
    )
    remaining_population_interval: Interval = Field(description="its interval, low and high; None as before")
    null: list[float] = Field(description="S(w*) / sqrt(k (k+1)): the difference at w* alone, pure arithmetic")
    in_order: list[float] = Field(description="|L_{k+1} - L_k| as the samples came, in the seeded shuffle")
    source_order: list[float] = Field(description="|L_{k+1} - L_k| in the order of the data set itself")
    band: tuple[list[float], list[float]] = Field(description="where such a curve lies in random orders, low and high")
    exchangeability: float = Field(description="p-value: small if the data set's own order is not a random one")
    probes: list[Probe] = Field(description="the points, w* first")


class Settling(Value):
    """What the sufficient size of one criterion is computed from, for any tolerance."""

    criterion: Criterion = Field(description="what has to stay within the tolerance")
    relative: Estimate | None = Field(description="S-bar squared over L(w*) squared; None if that has no meaning")
    absolute: Estimate | None = Field(description="S-bar squared; None if its interval has no upper end")
    loss: float = Field(description="mean loss at w* of the samples that the spread is taken from")


class AnalysisResult(Value):
    """The content of ``result.json`` of ``suffice analyze``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["analyze"] = Field(default="analyze", description="what made it")
    problem: ProblemSummary = Field(description="what was measured")
    landscape: Landscape = Field(description="the curves")
    settling: list[Settling] = Field(description="the spreads behind the sufficient sizes")
    sufficient_sizes: list[SufficientSize] = Field(description="the answers, the headline first")
    confidence: float = Field(description="of all intervals and bands")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")
