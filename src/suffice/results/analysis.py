"""Results of ``suffice analyze``."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.curvature import CurvatureAtRadius
from suffice.results.interval import Estimate
from suffice.results.sufficient_size import Criterion, SufficientSize
from suffice.results.value import Value
from suffice.shown import Shown

Interval = tuple[list[float], list[float]] | None


class ProblemSummary(Value):
    """What was measured."""

    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: int = Field(description="number of classes, or of labels; 0 for numbers to be predicted")
    samples: int = Field(description="m: the samples that the curves run over")
    held_out_samples: int = Field(description="held-out samples, which the training has not seen")
    fine_tuning: str | None = Field(
        description="what was trained before measuring: head, last_layers(n), lora(r) or full; null if nothing was"
    )
    moving_parameters: int = Field(description="P: parameters that the probes move")
    parameters: int = Field(description="all parameters of the model")
    loss_at_center: float = Field(description="L(w*): mean loss of the m samples at the trained weights w*")
    coefficient_of_variation: float | None = Field(
        description="CV = S(w*) / L(w*): how much the loss differs from sample to sample, relative to its mean"
    )
    held_out_loss: float | None = Field(description="mean loss of the held-out samples at w*")
    held_out_accuracy: float | None = Field(
        description="accuracy on the held-out samples; null if the labels are no classes"
    )
    held_out_metrics: dict[str, float] = Field(
        default={},
        description="on the held-out samples: RMSE and R² of numbers; macro F1 and the recall of each label of sets",
    )
    gap: float | None = Field(description="generalisation gap: held-out loss minus L(w*)")
    batch_size: int = Field(description="number of samples in a forward pass")
    device: str = Field(description="where the model ran")
    notes: list[str] = Field(description="notes on the inputs")


class Probe(Value):
    """One point of the loss surface."""

    distance: float = Field(description="||w - w*||")
    loss: float = Field(description="mean loss of the m samples there")
    spread: float = Field(description="S(w): standard deviation of the per-sample losses there")


class Landscape(Value):
    """The curves in k. Sizes and curves have the same length."""

    sizes: list[int] = Field(description="k: how many samples are taken")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k|: the change by one more sample")
    difference_interval: Interval = Field(description="interval of it, low and high; null if it has no upper end")
    remaining: list[float] = Field(description="typical |L_k - L_m|: the change by the rest of the samples")
    remaining_population: list[float] = Field(description="typical |L_k - L_infinity|: the change by unlimited data")
    remaining_population_interval: Interval = Field(description="interval of it, likewise")
    null: list[float] = Field(description="S(w*) / sqrt(k (k+1)): the difference at w* alone, which is arithmetic")
    in_order: list[float] = Field(description="|L_{k+1} - L_k| in the order of the seeded shuffle")
    source_order: list[float] = Field(description="|L_{k+1} - L_k| in the order of the data set")
    band: tuple[list[float], list[float]] = Field(description="range of such a curve over random orders, low and high")
    exchangeability: float = Field(description="p-value of the hypothesis that the order of the data set is random")
    probes: list[Probe] = Field(description="the points, w* first")


class Settling(Value):
    """The spreads from which the sufficient size of a criterion follows for any tolerance."""

    criterion: Criterion = Field(description="quantity that has to stay within the tolerance")
    relative: Estimate | None = Field(
        description="S-bar squared over L(w*) squared; null if L(w*) is not clearly positive"
    )
    absolute: Estimate | None = Field(description="S-bar squared; null if its interval has no upper end")
    loss: float = Field(description="mean loss at w* of the samples whose spread this is")
    least: int = Field(
        default=1, description="smallest size that can be told: 20 where samples have weights, as with the unit token"
    )


class SettlingCurves(Value, Shown):
    """The curves in k by themselves, without those along an order. Sizes and curves have the same length."""

    samples: int = Field(description="m: the samples that the curves run over")
    sizes: list[int] = Field(description="k: how many samples are taken")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k|: the change by one more sample")
    difference_interval: Interval = Field(description="interval of it, low and high; null if it has no upper end")
    remaining: list[float] = Field(description="typical |L_k - L_m|: the change by the rest of the samples")
    remaining_population: list[float] = Field(description="typical |L_k - L_infinity|: the change by unlimited data")
    remaining_population_interval: Interval = Field(description="interval of it, likewise")
    null: list[float] = Field(description="S(w*) / sqrt(k (k+1)): the difference at w* alone, which is arithmetic")
    sufficient_sizes: list[SufficientSize] = Field(description="by each criterion, to 5% of the loss at w*")
    confidence: float = Field(description="confidence of all intervals")


class AnalysisResult(Value, Shown):
    """The content of ``result.json`` of ``suffice analyze``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["analyze"] = Field(default="analyze", description="the command that made it")
    problem: ProblemSummary = Field(description="what was measured")
    landscape: Landscape = Field(description="the curves")
    settling: list[Settling] = Field(description="the spreads behind the sufficient sizes")
    sufficient_sizes: list[SufficientSize] = Field(description="the answers, the headline first")
    confidence: float = Field(description="confidence of all intervals and bands")
    curvature: CurvatureAtRadius | None = Field(
        default=None, description="the curvature at w* and the bound; null if it was not measured"
    )
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
