"""Records the learning curve of a run of Hugging Face's Trainer, and of TRL's SFTTrainer."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from suffice.errors import InputError
from suffice.integrations.recorder import Recorder
from suffice.integrations.samples import IGNORED, largest_dropout, sample_losses

FILE = "learning_curve.json"
"""In the output folder of the run, unless another file is given."""

NAME = 8
"""Bytes of a hash that names a sample."""


class LearningCurveCallback(TrainerCallback):
    """Records the losses of each batch before its update, of a hold-out, and of the pretrained model.

    Works with gradient accumulation, mixed precision, adapters, and runs that go on from a checkpoint. With several
    processes, the first one records its own share of each batch.

    Args:
        path: the file; by default ``learning_curve.json`` in the run's output folder.
        holdout: samples that are not trained on, as the training samples are given; a few hundred are enough.
        baseline: measure the pretrained model on the training samples first. Its losses tell hard samples from easy
            ones, so that the slope of the curve has a smaller error; they cost about a third of an epoch.

    Raises:
        InputError: when the training begins: samples that have no length, or a model without labels.

    Example:
        >>> callback = LearningCurveCallback("run.json", holdout=[{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}])
        >>> callback.path
        PosixPath('run.json')
    """

    def __init__(self, path: str | Path | None = None, holdout: Any = None, baseline: bool = True) -> None:
        self.path = None if path is None else Path(path)
        self._holdout, self._baseline = holdout, baseline
        self._recorder: Recorder | None = None
        self._hook: Any = None
        self._collate: Any = None
        self._losses: list[Float64[np.ndarray, " samples"]] = []
        self._names: list[str] = []
        self._tokens: list[int] = []
        self._rate: float | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        train_dataloader: Any = None,
        **others: Any,
    ) -> None:
        """Measures the pretrained model, and listens to the model from then on."""
        dataset = getattr(train_dataloader, "dataset", None)
        if dataset is None or not hasattr(dataset, "__len__"):
            raise InputError("LearningCurveCallback: the training samples have no length: give a map-style data set")
        self._collate = train_dataloader.collate_fn
        path = self.path or Path(str(args.output_dir)) / FILE
        if state.is_world_process_zero:
            self._recorder = Recorder(path, len(dataset), resume=state.global_step, dropout=largest_dropout(model))
            if self._baseline and state.global_step == 0:
                losses, names, _ = self._measured(model, dataset, args)
                self._recorder.pretrained = dict(zip(names, losses.tolist(), strict=True))
            if self._holdout is not None and state.global_step == 0:
                self._look(self._recorder, model, args)
            self._hook = model.register_forward_hook(self._listen, with_kwargs=True)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        optimizer: Any = None,
        lr_scheduler: Any = None,
        **others: Any,
    ) -> None:
        """Records the update that was just made."""
        recorder = self._recorder
        if recorder is None or not self._losses:
            return
        losses, known = np.concatenate(self._losses), recorder.pretrained
        has_all = all(name in known for name in self._names)
        recorder.batch(
            losses,
            tokens=self._tokens,
            rate=self._rate,
            before=[known[name] for name in self._names] if has_all else None,
            samples=len(losses) * args.world_size,
        )
        self._forget()
        if self._holdout is not None and recorder.is_due:
            self._look(recorder, model, args)
        if control.should_save:  # a run that goes on from this checkpoint needs all that was before it
            recorder.save()

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,
        **others: Any,
    ) -> None:
        """Notes the learning rate of the update that begins."""
        self._forget()
        groups = getattr(optimizer, "param_groups", None)
        self._rate = float(groups[0]["lr"]) if groups else None

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **others: Any,
    ) -> None:
        """Measures the hold-out once more, and writes the file."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        recorder = self._recorder
        if recorder is None:
            return
        recording = recorder.recording
        last = recording.holdouts[-1].seen if recording.holdouts else None
        end = recording.batches[-1].seen + recording.batches[-1].samples if recording.batches else None
        if self._holdout is not None and last != end:
            self._look(recorder, model, args)
        recorder.save()

    def _forget(self) -> None:
        self._losses, self._names, self._tokens = [], [], []

    def _listen(self, module: nn.Module, positional: Any, given: Mapping[str, Any], outputs: Any) -> None:
        if not module.training or not torch.is_grad_enabled():
            return
        losses = _losses(given, outputs)
        self._losses.append(losses.cpu().numpy())
        self._names += _names(given)
        self._tokens += _tokens(given)

    def _look(self, recorder: Recorder, model: Any, args: TrainingArguments) -> None:
        losses, _, tokens = self._measured(model, self._holdout, args)
        recorder.holdout(losses, tokens)

    def _measured(
        self, model: Any, dataset: Any, args: TrainingArguments
    ) -> tuple[Float64[np.ndarray, " samples"], list[str], list[int]]:
        """The loss of each sample at the present weights, its name, and how many of its tokens have a loss."""
        loader = DataLoader(dataset, batch_size=args.per_device_eval_batch_size, collate_fn=self._collate)
        losses: list[Tensor] = []
        names: list[str] = []
        tokens: list[int] = []
        with _evaluating(model):
            for batch in loader:
                given = {
                    name: value.to(args.device) if isinstance(value, Tensor) else value for name, value in batch.items()
                }
                losses.append(_losses(given, model(**given)).cpu())
                names += _names(given)
                tokens += _tokens(given)
        return torch.cat(losses).numpy(), names, tokens


def _losses(given: Mapping[str, Any], outputs: Any) -> Tensor:
    if given.get("labels") is None:
        raise InputError(
            "LearningCurveCallback: the model is called without labels, as with label smoothing: record with "
            "suffice.integrations.Recorder in a loop of your own"
        )
    logits = getattr(outputs, "logits", None)
    if logits is None:
        raise InputError(
            "LearningCurveCallback: the model gives no logits, as with fused losses: turn these off (use_liger_kernel)"
        )
    return sample_losses(logits, given["labels"])


def _tokens(given: Mapping[str, Any]) -> list[int]:
    """How many tokens of each sample have a loss."""
    counts: list[int] = (given["labels"][:, 1:] != IGNORED).sum(1).tolist()
    return counts


def _names(given: Mapping[str, Any]) -> list[str]:
    """A hash of the tokens of each sample, without padding."""
    ids, labels, mask = given["input_ids"], given["labels"], given.get("attention_mask")
    if mask is None:
        last = (labels != IGNORED).long().cumsum(1)
        mask = last < last[:, -1:]
    rows: Sequence[Tensor] = [row[at.bool()] for row, at in zip(ids.cpu(), mask.cpu(), strict=True)]
    return [hashlib.blake2b(row.long().numpy().tobytes(), digest_size=NAME).hexdigest() for row in rows]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
