"""Which model takes the samples, and where and how it is run."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from suffice.addresses import absolute
from suffice.configuration.data import DataConfig
from suffice.configuration.values import LARGEST_SIDE, at_commas, refuse_booleans


class ModelConfig(DataConfig):
    """What commands that take a model and its samples have in common."""

    model: str = Field(
        description="Hugging Face folder or hub name, also of a PEFT adapter or of sentence-transformers; "
        "package.module:function, which is called and returns a torch module; or builtin:tiny-vit"
    )
    image_size: int | None = Field(
        default=None, ge=1, le=LARGEST_SIDE, description="side of an image in pixels; the checkpoint's own by default"
    )
    label_map: list[str] | None = Field(
        default=None,
        description="CLASS=LABEL, a class of the data and the checkpoint's label for it, by name or index; needed "
        "where their names differ; repeat the flag for each",
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="number of samples in a forward pass"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
    lora_targets: list[str] | None = Field(
        default=None, description="linear layers that lora(r) adapts; queries and values by default"
    )
    trust_remote_code: bool = Field(default=False, description="run code that comes with the checkpoint")
    store: str | None = Field(
        default=None,
        description="where arrays and pieces of results are kept, under the hash of all that decides them: a "
        "folder, or a URL such as s3://bucket/folder (pip install 'suffice[s3]'); by default the run's folder",
    )

    @field_validator("store")
    @classmethod
    def _from_anywhere(cls, value: str | None) -> str | None:
        """Workers and later commands may be in another folder."""
        if value is not None and not value.strip():
            raise PydanticCustomError("store", "give a folder or a URL, or leave it out")
        return None if value is None else absolute(value)

    @field_validator("label_map", mode="before")
    @classmethod
    def _pairs_of_a_mapping(cls, value: Any) -> Any:
        """In a file, a mapping may stand for the list."""
        refuse_booleans([*value, *value.values()] if isinstance(value, dict) else value)
        if isinstance(value, dict):
            return [f"{name}={label}" for name, label in value.items()]
        return [value] if isinstance(value, str) else value

    @field_validator("lora_targets", mode="before")
    @classmethod
    def _split_targets(cls, value: Any) -> Any:
        return at_commas(value)
