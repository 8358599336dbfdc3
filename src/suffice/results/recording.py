"""What a training run tells of its own learning curve while it goes on."""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from suffice.errors import InputError
from suffice.results.interval import Numbers
from suffice.results.value import Value

FORMAT: Literal["suffice recording"] = "suffice recording"


class OnlineBatch(Value):
    """The samples of one update, measured before it."""

    step: int = Field(description="number of the update, from 1 on")
    seen: int = Field(description="samples that the weights had been trained on before it, all epochs together")
    samples: int = Field(description="number of samples")
    tokens: int | None = Field(default=None, description="number of their tokens with a loss; null where not known")
    loss: float = Field(description="mean loss of the samples before the update")
    before: float | None = Field(
        default=None, description="mean loss of the same samples by the pretrained model; null where not measured"
    )
    rate: float | None = Field(default=None, description="learning rate of the update; null where not known")


class Holdout(Value):
    """The losses of samples that are not trained on, at one point of the run."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    seen: int = Field(description="samples that the weights had been trained on, all epochs together")
    losses: Numbers = Field(description="loss of each sample, in an order that stays the same")


class Recording(Value):
    """The content of a recording: how a run went, from which its learning curve is read."""

    format: Literal["suffice recording"] = Field(default=FORMAT, description="what the file is")
    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    samples: int = Field(ge=1, description="k0, the number of different training samples")
    batches: list[OnlineBatch] = Field(default=[], description="the updates, in their order")
    holdouts: list[Holdout] = Field(default=[], description="losses of samples that are not trained on")
    pretrained: dict[str, float] = Field(
        default={}, description="loss of training samples by the pretrained model, by what names a sample"
    )
    dropout: float | None = Field(default=None, description="largest dropout of the model in training, where known")
    skipped: list[int] = Field(default=[], description="steps whose loss was not finite")


def is_recording(path: Path) -> bool:
    """Whether a file is a recording, by its first bytes."""
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(100)
    except OSError:
        return False


def read_recording(path: Path) -> Recording:
    """The recording in a file.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        return Recording.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the file that a recorder wrote") from error
    except ValidationError as error:
        raise InputError(
            f"{path}: no recording of this version of suffice (fields that differ: {error.error_count()}); give the "
            "file that suffice.integrations.Recorder or LearningCurveCallback wrote"
        ) from error
