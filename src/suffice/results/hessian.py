"""Results of ``suffice hessian``."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.value import Value
from suffice.shown import Shown

PartName = Literal["full", "outer", "functional"]
BoundName = Literal["data", "a_priori"]


class HessianSummary(Value):
    """One part of a Hessian: the full one, its outer-product part or its functional part."""

    trace: float = Field(description="sum of the eigenvalues")
    frobenius: float = Field(description="root of the sum of all squared entries")
    spectral: float = Field(description="largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="spectral norm of the block of each two parameters")


class NormBounds(Value):
    """Upper bounds of the spectral norms of the Hessian and its blocks, mean over the samples, without the Hessian."""

    spectral: float = Field(description="at least the largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="at least the norm of the block of each two parameters")


class Moment(Value):
    """The Hessian at one moment of the training."""

    epoch: int = Field(ge=0, description="passes over the samples so far; 0 is the initialisation")
    loss: float = Field(description="mean cross-entropy of the samples")
    accuracy: float = Field(description="accuracy on the samples")
    parts: dict[PartName, HessianSummary] = Field(description="H = H_o + H_f, and both")
    bounds: dict[BoundName, NormBounds] = Field(
        description="of the norms, from the activations of the samples (data) or from norms of weights and inputs"
    )
    ranks: list[int] = Field(
        description="ranks in the spectrum, from 1 for the largest eigenvalue to P; some are left out"
    )
    eigenvalues: list[float] = Field(description="eigenvalues of the full Hessian at these ranks")
    outliers: int = Field(description="eigenvalues before the widest gap, the largest ratio of one to the next")


class HessianResult(Value, Shown):
    """The content of ``result.json`` of ``suffice hessian``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["hessian"] = Field(default="hessian", description="the command that made it")
    data: str = Field(description="the samples")
    samples: int = Field(description="number of samples; the Hessian is the mean over them")
    tokens: int = Field(description="tokens of a sample")
    width: int = Field(description="width of a token")
    classes: int = Field(description="number of classes")
    parameters: dict[str, int] = Field(description="size of each parameter, in the order of the Hessian")
    moments: list[Moment] = Field(description="the Hessian along the training")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
