"""Plain values that a run answers with, to and from JSON. Descriptions are shown to people in the report."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Criterion = Literal["remaining", "difference"]
Status = Literal["reached", "extrapolated", "cannot_tell"]
PartName = Literal["full", "outer", "functional"]
BoundName = Literal["data", "a_priori"]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SufficientSize(_Value):
    """k*: the smallest number of samples from which on a criterion stays within a tolerance.

    Raises:
        pydantic.ValidationError: sizes that are not ordered, or that are given when the status is ``cannot_tell``.
    """

    criterion: Criterion | Literal["bound"] = Field(description="what has to stay within the tolerance")
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


class ProblemSummary(_Value):
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


class Probe(_Value):
    """One point of the loss surface."""

    distance: float = Field(description="||w - w*||")
    loss: float = Field(description="mean loss of the m samples there")
    spread: float = Field(description="S(w): standard deviation of the per-sample losses there")


Interval = tuple[list[float], list[float]] | None


class Landscape(_Value):
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


class Estimate(_Value):
    """A number with its interval."""

    value: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


class Settling(_Value):
    """What the sufficient size of one criterion is computed from, for any tolerance."""

    criterion: Criterion = Field(description="what has to stay within the tolerance")
    relative: Estimate | None = Field(description="S-bar squared over L(w*) squared; None if that has no meaning")
    absolute: Estimate | None = Field(description="S-bar squared; None if its interval has no upper end")
    loss: float = Field(description="mean loss at w* of the samples that the spread is taken from")


class HessianSummary(_Value):
    """One part of a Hessian: the full one, its outer-product part or its functional part."""

    trace: float = Field(description="sum of the eigenvalues")
    frobenius: float = Field(description="root of the sum of all squared entries")
    spectral: float = Field(description="largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="spectral norm of the block of each two parameters")


class NormBounds(_Value):
    """Bounds of the spectral norms of the Hessian and its blocks, the mean over the samples; no Hessian is needed."""

    spectral: float = Field(description="at least the largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="at least the norm of the block of each two parameters")


class Moment(_Value):
    """The Hessian at one moment of the training."""

    epoch: int = Field(ge=0, description="passes over the samples so far; 0 is the initialisation")
    loss: float = Field(description="mean cross-entropy of the samples")
    accuracy: float = Field(description="share of the samples that are classified right")
    parts: dict[PartName, HessianSummary] = Field(description="H = H_o + H_f, and both")
    bounds: dict[BoundName, NormBounds] = Field(
        description="of the norms, from the activations of the samples (data) or from norms of weights and inputs"
    )
    ranks: list[int] = Field(description="places in the spectrum, the largest eigenvalue first; 1 to P, some left out")
    eigenvalues: list[float] = Field(description="eigenvalues of the full Hessian at these places")
    outliers: int = Field(description="eigenvalues before the widest gap, the largest ratio of one to the next")


class HessianResult(_Value):
    """The content of ``result.json`` of ``suffice hessian``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["hessian"] = Field(default="hessian", description="what made it")
    data: str = Field(description="the samples")
    samples: int = Field(description="number of samples that the Hessian is the mean over")
    tokens: int = Field(description="tokens of a sample")
    width: int = Field(description="width of a token")
    classes: int = Field(description="number of classes")
    parameters: dict[str, int] = Field(description="size of each parameter, in the order of the Hessian")
    moments: list[Moment] = Field(description="the Hessian along the training")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")


class Result(_Value):
    """The content of ``result.json`` of ``suffice analyze``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    problem: ProblemSummary = Field(description="what was measured")
    landscape: Landscape = Field(description="the curves")
    settling: list[Settling] = Field(description="the spreads behind the sufficient sizes")
    sufficient_sizes: list[SufficientSize] = Field(description="the answers, the headline first")
    confidence: float = Field(description="of all intervals and bands")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")
