"""What ``suffice hessian`` answers."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.value import Value

PartName = Literal["full", "outer", "functional"]
BoundName = Literal["data", "a_priori"]


class HessianSummary(Value):
    """One part of a Hessian: the full one, its outer-product part or its functional part."""

    trace: float = Field(description="sum of the eigenvalues")
    frobenius: float = Field(description="root of the sum of all squared entries")
    spectral: float = Field(description="largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="spectral norm of the block of each two parameters")


class NormBounds(Value):
    """Bounds of the spectral norms of the Hessian and its blocks, the mean over the samples; no Hessian is needed."""

    spectral: float = Field(description="at least the largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="at least the norm of the block of each two parameters")


class Moment(Value):
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


class HessianResult(Value):
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
