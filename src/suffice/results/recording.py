"""What a training run tells of its own learning curve while it goes on."""

import math
import re
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from pydantic import ConfigDict, Field, ValidationError

from suffice.digest import digest
from suffice.errors import InputError
from suffice.regular import read_regular
from suffice.results.interval import Numbers
from suffice.results.ratio import linearised
from suffice.results.value import Value

Unit: TypeAlias = Literal["sample", "token"]
"""What counts alike in the mean loss of a language model: samples, each with the mean over its tokens, or tokens."""

ENDING = re.compile(rb',\s*"checksum":\s*"([^"]*)"\s*\}\s*$')
LONGEST_ENDING = 200
"""The checksum at the end of a recording, and bytes in which it is looked for; earlier versions wrote none."""

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
    token_loss: float | None = Field(
        default=None, description="mean loss of their tokens before the update; null where not known"
    )
    token_before: float | None = Field(
        default=None, description="mean loss of the same tokens by the pretrained model; null where not measured"
    )


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
    holdout_tokens: list[int] | None = Field(
        default=None, description="number of tokens with a loss of each sample of the hold-out; null where not known"
    )
    pretrained: dict[str, float] = Field(
        default={}, description="loss of training samples by the pretrained model, by what names a sample"
    )
    dropout: float | None = Field(default=None, description="largest dropout of the model in training, where known")
    skipped: list[int] = Field(default=[], description="steps whose loss was not finite")
    skipped_samples: list[int] = Field(
        default=[], description="number of samples of each of these steps; empty where not known"
    )


def is_recording(path: Path) -> bool:
    """Whether a file is a recording, by its first bytes."""
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(100)
    except OSError:
        return False


def recording_as_json(recording: Recording) -> bytes:
    """What a recording's file holds: the recording and, at its end, the hash of what stands before.

    Example:
        >>> held = recording_as_json(Recording(samples=4))
        >>> held[held.index(b',"checksum"') :][:21]
        b',"checksum":"blake2b:'
    """
    held = recording.model_dump_json()[:-1].encode()
    return held + f',"checksum":"{digest(held)}"}}'.encode()


def read_recording(path: Path) -> Recording:
    """The recording in a file.

    Raises:
        InputError: it cannot be read, is none, or is damaged.
    """
    try:
        recording = Recording.model_validate_json(_without_checksum(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the file that a recorder wrote") from error
    except ValidationError as error:
        raise InputError(
            f"{path}: no recording of this version of suffice (fields that differ: {error.error_count()}); give the "
            "file that suffice.integrations.Recorder or LearningCurveCallback wrote"
        ) from error
    try:
        check_recording(recording)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return recording


def _without_checksum(path: Path) -> bytes:
    held = read_regular(path)
    ending = ENDING.search(held, max(0, len(held) - LONGEST_ENDING))
    if ending is None:
        return held
    if ending[1] != digest(held[: ending.start()]).encode():
        raise InputError(
            f"{path} is damaged, or was edited (its checksum does not match): give the file as the recorder wrote it"
        )
    return held[: ending.start()] + b"}"


def check_recording(recording: Recording) -> None:
    """Refuses what no run can have recorded.

    Raises:
        InputError: names the update, the hold-out or the number.

    Example:
        >>> batches = [OnlineBatch(step=1, seen=0, samples=4, loss=float("nan"))]
        >>> check_recording(Recording(samples=100, batches=batches))
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: update 1: its loss is nan; leave it out, as a recorder does
    """
    seen = -1
    for batch in recording.batches:
        where = f"update {batch.step}"
        values = {"loss": batch.loss, "pretrained loss": batch.before, "learning rate": batch.rate}
        values |= {"loss by token": batch.token_loss, "pretrained loss by token": batch.token_before}
        for what, value in values.items():
            if value is not None and not math.isfinite(value):
                raise InputError(f"{where}: its {what} is {value}; leave it out, as a recorder does")
        if batch.rate is not None and batch.rate < 0:
            raise InputError(f"{where}: its learning rate is {batch.rate}; give one of at least 0")
        if batch.samples < 1 or batch.seen <= seen:
            raise InputError(
                f"{where}: it has {batch.samples} samples after {batch.seen}, and the one before came after {seen}; "
                "give the updates in their order"
            )
        seen = batch.seen
    _check_holdouts(recording)
    for name, loss in recording.pretrained.items():
        if not math.isfinite(loss):
            raise InputError(f"pretrained loss of {name}: it is {loss}; leave it out, as a recorder does")
    if recording.dropout is not None and not 0 <= recording.dropout <= 1:
        raise InputError(f"dropout = {recording.dropout}: give a share from 0 to 1, or null")


def _check_holdouts(recording: Recording) -> None:
    seen = -1
    for holdout in recording.holdouts:
        where = f"the hold-out after {holdout.seen} samples"
        if holdout.seen <= seen:
            raise InputError(f"{where}: another was measured after {seen}; give each once, in their order")
        if len(holdout.losses) != len(recording.holdouts[0].losses) or len(holdout.losses) < 2:
            raise InputError(
                f"{where}: it has {len(holdout.losses)} losses, and the first one {len(recording.holdouts[0].losses)}; "
                "give those of the same samples each time, two at least"
            )
        if not np.isfinite(holdout.losses).all():
            raise InputError(f"{where}: a loss is not finite; leave it out, or train at a smaller rate")
        seen = holdout.seen
    tokens = recording.holdout_tokens
    if tokens is not None and recording.holdouts:
        samples = len(recording.holdouts[0].losses)
        if len(tokens) != samples or min(tokens) < 1:
            raise InputError(
                f"the hold-out has {samples} losses and {len(tokens)} numbers of tokens, the smallest of them "
                f"{min(tokens, default=0)}; give one of at least 1 for each"
            )


def in_tokens(recording: Recording) -> Recording:
    r"""The same run with the losses of tokens in place of those of samples.

    A batch has the mean loss of its tokens, and the losses of a hold-out are `linearised`: their mean is that of its
    tokens.

    Raises:
        InputError: the recording has no losses of tokens, or no numbers of tokens of the hold-out's samples.

    Example:
        >>> held = Holdout(seen=4, losses=np.array([1.0, 2.0]))
        >>> found = in_tokens(Recording(samples=4, holdouts=[held], holdout_tokens=[1, 3]))
        >>> found.holdouts[0].losses  # around (1 + 3 x 2) / 4
        array([1.375, 2.125])
    """
    if any(batch.token_loss is None or batch.tokens is None for batch in recording.batches):
        raise InputError(
            "the recording has no losses of tokens: record with the tokens of each sample "
            "(Recorder.batch(tokens=...)), or take --unit sample"
        )
    if recording.holdouts and recording.holdout_tokens is None:
        raise InputError(
            "the recording has no numbers of tokens of the hold-out's samples: record with them "
            "(Recorder.holdout(tokens=...)), or take --unit sample"
        )
    tokens = np.array(recording.holdout_tokens or [1], dtype=np.float64)
    return recording.model_copy(
        update={
            "batches": [
                batch.model_copy(update={"loss": batch.token_loss, "before": batch.token_before})
                for batch in recording.batches
            ],
            "holdouts": [
                holdout.model_copy(update={"losses": linearised(holdout.losses, tokens)})
                for holdout in recording.holdouts
            ],
        }
    )
