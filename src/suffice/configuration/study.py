"""What is trained at which sizes, with which seeds, and what is measured of it: ``suffice study``."""

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from suffice.configuration.base import Config
from suffice.configuration.training import FineTunedConfig, TrainingConfig
from suffice.configuration.values import MOST, at_commas, in_one_spelling, positive


class StudiedConfig(Config):
    """What a study trains: methods at sizes with seeds."""

    methods: list[str] = Field(description="what is trained")
    sizes: list[int] | None = Field(
        default=None,
        description="numbers of training samples, such as 50,100,200; by default 6 sizes on a log scale up to all",
    )
    seeds: int = Field(
        default=3, ge=1, description="number of trainings of each size, with different samples and starts"
    )
    by_method: dict[str, dict[str, Any]] = Field(
        default={},
        description="steps, batch sizes, rates, decays or landscape seeds of single methods; only in a file",
    )
    threads: int = Field(default=1, ge=1, description="threads of each worker; the last digits depend on it")

    @field_validator("methods", "sizes", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @field_validator("sizes")
    @classmethod
    def _sizes_are_positive(cls, values: list[int] | None) -> list[int] | None:
        return positive(values)

    def of_method(self, method: str) -> BaseModel:
        """How a method is trained; without a learning rate it takes its own."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _methods_are_known(self) -> "StudiedConfig":
        strange = sorted(self.by_method.keys() - set(self.methods))
        if strange:
            raise ValueError(f"by_method has {', '.join(strange)}, which is not among the methods")
        for method in self.methods:
            self.of_method(method)
        return self

    @field_validator("methods")
    @classmethod
    def _in_one_spelling(cls, values: list[str]) -> list[str]:
        plain = [in_one_spelling(value) for value in values]
        if not plain or len(set(plain)) < len(plain):
            raise ValueError("give at least one method, each once")
        return plain

    @field_validator("by_method")
    @classmethod
    def _by_the_same(cls, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {in_one_spelling(name): own for name, own in values.items()}


class MethodConfig(TrainingConfig):
    """How a method is studied."""

    landscape_seeds: int | None = Field(
        default=None, ge=0, description="number of seeds for which the loss surface is measured; all by default"
    )


class StudyConfig(StudiedConfig, MethodConfig, FineTunedConfig):
    """The configuration of ``suffice study``."""

    methods: list[str] = Field(default=["head"], description="what is trained: head, last_layers(n), lora(r), full")
    class_subsets: list[str] = Field(
        default=[], description="classes to study separately as well, such as 0,1,2; repeat the flag for each subset"
    )
    test: str | None = Field(default=None, description="test data, in the format of DATA; by default a share of DATA")
    samples: int | None = Field(
        default=None, ge=3, description="use this many samples, drawn at random; all by default"
    )
    test_samples: int | None = Field(
        default=None, ge=3, description="test on this many of the test samples, drawn at random; all by default"
    )
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the samples that is the test part, without --test"
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of the samples that is the validation part"
    )
    patience: int | None = Field(
        default=None, ge=1, description="stop early after this many evaluations without a lower validation loss"
    )
    metrics: list[Literal["f1", "auroc"]] = Field(default=[], description="further metrics on the test part: f1, auroc")
    landscape_sizes: list[int] | None = Field(
        default=None,
        description="sizes at whose trained weights the loss surface is measured; by default the smallest, a middle "
        "one and the largest; the largest is always included",
    )
    radius: float = Field(default=0.1, gt=0, description="distance of the probes from w*, relative to ||w*||")
    probes: int = Field(default=4, ge=1, le=MOST, description="number of probes on the sphere")
    tolerances: list[float] = Field(
        default=[0.02, 0.05, 0.1], description="tolerances of k*, relative to the mean loss at w*"
    )
    surface: bool = Field(
        default=False,
        description="measure the loss surface on the plane through w* of all samples and those of two smaller sizes as "
        "well, for the first seed of each method; needs at least 3 landscape sizes",
    )
    surface_points: int = Field(
        default=21, ge=5, le=81, description="points of that surface on each axis; time goes with the square"
    )

    @field_validator("metrics", "landscape_sizes", "tolerances", mode="before")
    @classmethod
    def _more_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @field_validator("tolerances", "landscape_sizes")
    @classmethod
    def _are_positive(cls, values: list[float] | None) -> list[float] | None:
        return positive(values)

    def of_method(self, method: str) -> MethodConfig:
        """How a method is studied; without a learning rate it takes its own."""
        common = {name: getattr(self, name) for name in MethodConfig.model_fields}
        own = self.by_method.get(method, {})
        if "steps" in own:  # its own budget, in place of one in epochs for all
            common["epochs"] = None
        return MethodConfig.model_validate(common | own)
