"""One epoch of a language model's fine-tuning at a constant rate, recorded as it goes; it resumes where it was."""

import io
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64

from suffice.checks import check_losses, check_unused
from suffice.digest import digest
from suffice.errors import InputError, InputWarning
from suffice.integrations.recorder import Recorder
from suffice.integrations.samples import largest_dropout
from suffice.models.language import EVALUATED, LanguageProblem, Tokens, by_length, losses_of
from suffice.problem import TOGETHER
from suffice.results import Recording, read_recording, recording_as_json
from suffice.runs.completed import Completed
from suffice.runs.folder import CHECKPOINT, RECORDING
from suffice.storage import Pieces, RowShards, atomic_write, read_sealed, write_sealed
from suffice.training import FineTuning
from suffice.training.fine_tune import (
    OF_ANOTHER,
    identity_of_training,
    loaded_training,
    optimizer_of,
    set_gradients,
    training_mode,
    within_memory,
)

EVIDENCE = "evidence"
PRETRAINED = f"{EVIDENCE}/pretrained"

PATIENCE = 60.0
"""Seconds between checkpoints."""

SLOWER = "a smaller --learning-rate"

Progress = Callable[[int], None]


@dataclass(frozen=True)
class OneEpoch:
    """How to train.

    Attributes:
        training: batch size, learning rate and its schedule, weight decay and seed.
        evaluated: samples of a forward pass where nothing is trained.
    """

    training: FineTuning
    evaluated: int = EVALUATED


def record_training(
    problem: LanguageProblem,
    held: LanguageProblem,
    asked: OneEpoch,
    before: Float64[np.ndarray, " samples"] | None,
    folder: Path,
    identity: str,
    progress: Progress = lambda samples: None,
    completed: Completed | None = None,
) -> Recording:
    """Trains the moving parameters in place, and returns the record of the run, which is also in ``recording.json``.

    The samples are drawn in an order that follows from the seed. A run that was interrupted goes on from its last
    checkpoint, which has the record until then, and its record is the same.

    Args:
        problem: the training samples, in the order of their source.
        held: the same model on the hold-out.
        asked: how to train.
        before: the pretrained model's losses of the training samples, where they are known.
        folder: of the run.
        identity: of the run's settings and contents.
        progress: called with the number of samples trained on since the last call.
        completed: completes the prompts of the hold-out before the training, at half of its samples and after it.

    Raises:
        InputError: a loss is not finite, or memory runs out.
    """
    settings, file = asked.training, folder / RECORDING
    identity = identity_of_training(identity, problem)
    kept = Pieces(folder / EVIDENCE, identity)
    batches = list(_batches(len(problem), settings))
    half, at_half = _half(batches)
    if completed is not None:
        completed.at(0)
        completed.recall([at_half, len(problem)])
    ended = _ended(folder, kept)
    if ended is not None and (completed is None or len(problem) in completed.found):
        progress(len(problem))
        _warn_of_no_completions(completed, at_half)
        return ended
    check_losses(problem, settings.batch_size)
    check_unused(problem)
    parameters = list(problem.moving.values())
    optimizer = optimizer_of(parameters, settings)
    checkpoint = _Checkpoint(folder / CHECKPOINT, problem, settings, optimizer, identity)
    begun, recorded = checkpoint.restore()
    recorder = _recorder(file, recorded, begun, len(problem), largest_dropout(problem.model))
    if not begun:
        recorder.holdout(losses_of(held, asked.evaluated), _answer_tokens(held).tolist())
    progress(min(begun * settings.batch_size, len(problem)))
    tokens = _answer_tokens(problem)
    with within_memory(settings), training_mode(problem):
        for step in range(begun, len(batches)):
            rows = batches[step]
            if completed is not None and step == half:
                completed.at(at_half)
            torch.manual_seed(int(np.random.default_rng([settings.seed, 1, step]).integers(2**63)))
            rate = settings.rate(step, len(batches))
            optimizer.param_groups[0]["lr"] = rate
            losses = problem.losses(problem.batch(rows), len(rows))
            _check_finite(
                losses.detach().cpu().numpy(), problem, rows, f"update {step + 1}", "a smaller --learning-rate"
            )
            set_gradients(parameters, problem.weighted_mean(losses, rows))
            optimizer.step()
            own = None if before is None else before[rows]
            recorder.batch(losses, tokens=tokens[rows].tolist(), rate=rate, before=own)
            if recorder.is_due:
                problem.model.eval()  # measuring a model in training mode would be warned of
                recorder.holdout(losses_of(held, asked.evaluated))
                problem.model.train()
                checkpoint.write(step + 1, recorder)
            elif checkpoint.is_due:
                checkpoint.write(step + 1, recorder)
            progress(len(rows))
    if completed is not None:
        completed.at(len(problem))
        _warn_of_no_completions(completed, at_half)
    recorder.save()
    kept.write("recording", digest(file.read_bytes()))
    return recorder.recording


def _ended(folder: Path, kept: Pieces) -> Recording | None:
    """The record of a training that has ended, if it is whole."""
    if not kept.has("recording"):
        return None
    file = folder / RECORDING
    if file.is_file() and kept.read("recording") == digest(file.read_bytes()):
        return read_recording(file)
    if not (folder / CHECKPOINT).exists():
        _warn_of_change(file, "the training begins anew")
    return None


def _warn_of_no_completions(completed: Completed | None, seen: int) -> None:
    """Says that those at half of the samples are missing, which the training alone can make."""
    if completed is not None and seen not in completed.found:
        words = (
            f"the accuracy after {seen:,} samples is left out: its completions are missing, and only the training can "
            "make them; --overwrite repeats it"
        )
        warnings.warn(InputWarning(words), stacklevel=3)


def _recorder(file: Path, recorded: str, updates: int, samples: int, dropout: float) -> Recorder:
    """Goes on with the record as the checkpoint has it, whatever became of the file."""
    if not updates:
        return Recorder(file, samples, dropout=dropout)
    try:
        found = Recorder(file, samples, updates, dropout)
    except InputError:
        found = None
    if found is not None and recording_as_json(found.recording).decode() == recorded:
        return found
    _warn_of_change(file, "it is written again from the checkpoint")
    with atomic_write(file) as stream:
        stream.write(recorded.encode())
    return Recorder(file, samples, updates, dropout)


def _warn_of_change(file: Path, then: str) -> None:
    warnings.warn(InputWarning(f"{file} is missing or was changed: {then}", event="damaged"), stacklevel=3)


def _half(batches: list[Int64[np.ndarray, " _"]]) -> tuple[int, int]:
    """The number of updates after which half of the samples were seen, as for the hold-out, and of those."""
    seen = np.cumsum([len(rows) for rows in batches])
    last = int(np.searchsorted(seen, math.ceil(seen[-1] / 2)))
    return last + 1, int(seen[last])


def pretrained_losses(
    problem: LanguageProblem, batch_size: int, folder: Path, identity: str, progress: Progress = lambda samples: None
) -> Float64[np.ndarray, " samples"]:
    """The losses before the training, in the order of the problem; kept in shards.

    Args:
        problem: the training samples.
        batch_size: samples of a forward pass.
        folder: of the run.
        identity: of the run's settings and contents.
        progress: called with the number of samples whose loss is known since the last call.

    Raises:
        InputError: a loss is not finite.
    """
    order = by_length(problem)
    shards = RowShards.resume(folder / PRETRAINED, (len(order), 1), TOGETHER, {"run": identity, "batch": batch_size})
    missing = shards.missing()
    progress(len(order) - sum(rows.stop - rows.start for rows in missing))
    for rows in missing:
        some = order[rows]
        losses = problem.all_losses(batch_size, some).numpy()
        _check_finite(losses, problem, some, "the pretrained model", "another checkpoint")
        shards.write(rows, losses[:, None])
        progress(len(some))
    found = np.empty(len(order))
    found[order] = shards.read()[:, 0]
    return found


def _answer_tokens(problem: LanguageProblem) -> Int64[np.ndarray, " samples"]:
    assert isinstance(problem.dataset, Tokens)  # noqa: S101 - so it was made
    counts: Int64[np.ndarray, " samples"] = np.array(problem.dataset.answer_tokens)[problem.index]
    return counts


def _batches(samples: int, settings: FineTuning) -> Iterator[Int64[np.ndarray, " batch"]]:
    order = np.random.default_rng([settings.seed, 0]).permutation(samples)
    yield from np.split(order, range(settings.batch_size, samples, settings.batch_size))


def _check_finite(
    losses: Float64[np.ndarray, " batch"],
    problem: LanguageProblem,
    rows: Int64[np.ndarray, " batch"],
    when: str,
    remedy: str,
) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise InputError(
            f"{when}: the loss of {problem.describe(int(rows[bad[0]]))} is not finite: take {remedy}, or look at that "
            "sample"
        )


class _Checkpoint:
    """Weights and optimiser after so many updates, in a file."""

    def __init__(
        self,
        file: Path,
        problem: LanguageProblem,
        settings: FineTuning,
        optimizer: torch.optim.Optimizer,
        identity: str,
    ) -> None:
        self._file, self._problem, self._settings, self._optimizer = file, problem, settings, optimizer
        self._identity = identity
        self._written = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._written > PATIENCE

    def write(self, updates: int, recorder: Recorder) -> None:
        """Also the record, in the checkpoint and in its own file."""
        recorder.save()
        held = io.BytesIO()
        content = {
            "identity": self._identity,
            "recording": recording_as_json(recorder.recording).decode(),
            "settings": asdict(self._settings),
            "updates": updates,
            "moving": {name: parameter.detach() for name, parameter in self._problem.moving.items()},
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(content, held)
        write_sealed(self._file, held.getvalue())
        self._written = time.monotonic()

    def restore(self) -> tuple[int, str]:
        """The number of updates that were made, whose weights the problem has then, and the record of them.

        0 without a checkpoint of this training.
        """
        if not self._file.exists():
            return 0, ""
        try:
            held = read_sealed(self._file)
        except InputError as error:
            warnings.warn(f"{error}: the training begins anew", InputWarning, stacklevel=3)
            return 0, ""
        stored = loaded_training(held, self._problem.device)
        if stored.get("identity") != self._identity:
            warnings.warn(f"{self._file} {OF_ANOTHER}", InputWarning, stacklevel=3)
            return 0, ""
        if stored["moving"].keys() != self._problem.moving.keys() or stored["settings"] != asdict(self._settings):
            raise InputError(f"{self._file} belongs to a training with other settings: remove it")
        with torch.no_grad():
            for name, parameter in self._problem.moving.items():
                parameter.copy_(stored["moving"][name])
        self._optimizer.load_state_dict(stored["optimizer"])
        return int(stored["updates"]), str(stored["recording"])
