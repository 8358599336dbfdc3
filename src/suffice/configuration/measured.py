"""What is measured of one model: ``suffice analyze`` and ``suffice curvature``."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from suffice.configuration.model import ModelConfig
from suffice.configuration.values import MOST, in_one_spelling


class MeasuredConfig(ModelConfig):
    """What the commands that measure one model have in common; they can train it first."""

    samples: int | None = Field(
        default=None, ge=3, description="use this many samples, drawn at random; all by default"
    )
    method: str | None = Field(
        default=None,
        description="what is trained before measuring: head, last_layers(n), lora(r) or full; nothing by default",
    )
    epochs: int = Field(default=10, ge=1, description="passes over the training samples")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of the training")
    weight_decay: float = Field(default=0.01, ge=0, description="decoupled weight decay of the training")
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    parameters: list[str] | None = Field(
        default=None,
        description="globs of the parameters that move; by default those trained, or all that require gradients",
    )

    @field_validator("method")
    @classmethod
    def _in_one_spelling(cls, value: str | None) -> str | None:
        return None if value is None else in_one_spelling(value)


class AnalyzeConfig(MeasuredConfig):
    """The configuration of ``suffice analyze``."""

    OTHER_NAMES: ClassVar[Mapping[str, tuple[str, ...]]] = {"method": ("fine_tune",)}

    held_out: float = Field(default=0.2, ge=0, lt=1, description="share of the samples that is held out")
    radius: float = Field(default=0.1, gt=0, description="distance of the probes from w*, relative to ||w*||")
    probes: int = Field(default=8, ge=1, le=MOST, description="number of probes on the sphere")
    tolerance: float = Field(default=0.05, gt=0, description="tolerance, relative to the mean loss at w*")
    points: int = Field(default=30, ge=2, le=MOST, description="number of sizes at which the curves are drawn")
    curvature: bool = Field(
        default=False,
        description="measure the Hessian at w* as well, and the bound on what one more sample changes at the radius; "
        "takes about 140 products with the Hessian, each as long as one to two epochs of training; suffice curvature "
        "measures more",
    )

    @classmethod
    def renamed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """As for every command; files of earlier versions also have the number of points under ``sizes``."""
        is_count = type(values.get("sizes")) is int and "points" not in values
        return super().renamed({"points" if is_count and key == "sizes" else key: values[key] for key in values})


class CurvatureConfig(MeasuredConfig):
    """The configuration of ``suffice curvature``."""

    count: int = Field(default=10, ge=1, le=MOST, description="number of eigenpairs, the largest by magnitude")
    points: int = Field(default=8, ge=2, le=MOST, description="number of sizes at which gaps are measured")
    draws: int = Field(default=3, ge=2, le=MOST, description="number of random vectors for the spectral density")
    radius: float = Field(default=0.1, gt=0, description="distance from w* of the bound, relative to ||w*||")
    memory: float = Field(default=2.0, gt=0, description="GB for graphs that products go through")
    surface: Literal["random", "eigenvectors"] | None = Field(
        default=None,
        description="measure the loss surface on a plane through w*, along random filter-normalised directions or the "
        "top two eigenvectors of the Hessian; not measured by default",
    )
    surface_points: int = Field(
        default=41, ge=5, le=81, description="points of the surface on each axis; time goes with the square"
    )
