"""Where samples come from and which of them count; ``suffice check`` looks at them."""

from typing import Any, Literal

from pydantic import Field, field_validator

from suffice.configuration.base import Config
from suffice.configuration.values import LARGEST_SIDE, refuse_booleans


class DataConfig(Config):
    """What commands that take samples have in common."""

    data: str = Field(
        description="folder with one sub-folder of images for each class, which may be in folders train, val and test; "
        "a table (.csv, .tsv, .txt, .jsonl, .json, .parquet, .xlsx) of texts or image files; IDX or NPZ files; a "
        "folder or hub name of datasets; or builtin:digits"
    )
    text_column: str = Field(
        default="text",
        description="column of the texts in a table: its name, or its number from 1 if the table has no header",
    )
    image_column: str | None = Field(
        default=None, description="column of image files in a table, from its folder on; in place of texts"
    )
    label_column: str = Field(default="label", description="column of the labels in a table, likewise")
    group_column: str | None = Field(
        default=None,
        description="column of groups in a table, such as patients or documents: a group is not divided between "
        "training and test samples",
    )
    split_column: str | None = Field(
        default=None, description='column of train, validation and test in a table; "split" is found by itself'
    )
    split: str | None = Field(
        default=None, description="use this split only; by default train is used, and test or validation to test on"
    )
    threshold: float | None = Field(
        default=None, description="for labels that are numbers: make two classes, below this and at least this"
    )
    classes: list[str] | None = Field(
        default=None, description="use the samples of these classes only; repeat the flag for each"
    )
    task: Literal["classification", "regression", "multi-label"] = Field(
        default="classification",
        description="what the labels are: classes (classification), numbers (regression), or any number of labels for "
        "each sample (multi-label)",
    )
    label_delimiter: str = Field(
        default="|",
        min_length=1,
        description="for --task multi-label: stands between the labels of a sample; lists need none",
    )
    exclude: list[str] = Field(
        default=[], description="globs of classes and files to leave out, such as '*.bak'; repeat the flag for each"
    )
    min_per_class: int = Field(default=1, ge=1, description="leave out classes with fewer samples")
    drop_missing: bool = Field(default=False, description="leave out rows without a text, image, label or group")
    delimiter: str | None = Field(
        default=None, description="delimiter of a text table, such as ';' or tab; detected by default"
    )
    encoding: str | None = Field(
        default=None, description="encoding of a text table, such as cp1252; UTF-8, -16 and -32 are detected"
    )

    @field_validator("classes", "exclude", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        refuse_booleans(value)
        return value


class CheckConfig(DataConfig):
    """The configuration of ``suffice check``."""

    model: str | None = Field(
        default=None, description="a model, for the time and memory that it takes; Hugging Face folder or hub name"
    )
    test: str | None = Field(default=None, description="unseen data, to find samples that are in DATA as well")
    image_size: int | None = Field(
        default=None, ge=1, le=LARGEST_SIDE, description="side of an image in pixels; the checkpoint's own by default"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
