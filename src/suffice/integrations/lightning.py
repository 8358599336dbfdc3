"""Records the learning curve of a run of Lightning's Trainer; needs ``pip install "suffice[lightning]"``."""

from pathlib import Path
from typing import Any

from peft import PeftModel
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from transformers import PreTrainedModel

from suffice.errors import InputError
from suffice.integrations.listener import FILE, Asked, Listener, Measuring, refuse_without_length

WHOLE = ("SingleDeviceStrategy", "DDPStrategy")
"""Strategies of Lightning that leave all weights in each process, with the one model in it."""


class LearningCurveCallback(Callback):  # type: ignore[misc]  # its types are not looked at
    """Records the losses of each batch before its update, of a hold-out, and of the pretrained model.

    The module has a causal language model of Hugging Face as an attribute, with or without an adapter, and calls it
    with ``labels`` in its training step. Works with gradient accumulation, mixed precision, several processes, each of
    which measures its share, and runs that go on from a checkpoint (``ckpt_path``). Also takes the Trainer of the
    package ``lightning``.

    Args:
        path: the file; by default ``learning_curve.json`` in the trainer's ``default_root_dir``.
        holdout: random samples that are not trained on, as the training samples are given; a few hundred are enough.
        baseline: measure the pretrained model on the training samples first. Its losses tell hard samples from easy
            ones, so that the slope of the curve has a smaller error; they cost about a third of an epoch.
        report_every: seconds after which a page beside the file is written anew, with the curve so far and its
            forecast. None for no page.
        gain: by how much doubling the samples has to lower the loss. The page and the log say when it no longer does.

    Raises:
        InputError: reports or a gain out of range; and when the training begins: samples that have no length,
            one of the hold-out without a label, or a training whose losses of samples cannot be seen.

    Example:
        >>> unseen = [{"input_ids": [5, ids, 7], "labels": [-100, ids, 7]} for ids in range(200)]
        >>> callback = LearningCurveCallback("run.json", holdout=unseen)
        >>> callback.path
        PosixPath('run.json')
    """

    def __init__(
        self,
        path: str | Path | None = None,
        holdout: Any = None,
        baseline: bool = True,
        report_every: float | None = None,
        gain: float | None = None,
    ) -> None:
        self._asked = Asked(None if path is None else Path(path), holdout, baseline, report_every, gain)
        self._listener: Listener | None = None
        self._rate: float | None = None
        self._updates = 0

    @property
    def path(self) -> Path | None:
        """The file that was asked for."""
        return self._asked.path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures the pretrained model, and listens to the model from then on."""
        _refuse(trainer, pl_module)
        loader: Any = trainer.train_dataloader
        dataset = getattr(loader, "dataset", None)
        refuse_without_length(dataset)
        _refuse_repeated(trainer, loader)
        self._stop()
        self._updates = trainer.global_step
        self._listener = Listener(
            self._asked.with_columns_of(dataset),
            Measuring(
                _language_model(pl_module),
                dataset,
                loader.collate_fn,
                loader.batch_size or 1,
                pl_module.device,
                trainer.precision_plugin.forward_context,
            ),
            self._asked.path or Path(trainer.default_root_dir) / FILE,
            trainer.global_step,
        )

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Notes the learning rate of the update that is about to be made."""
        self._rate = float(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Records the update, if this batch completed one."""
        if self._listener is not None and trainer.global_step > self._updates:
            self._updates = trainer.global_step
            self._listener.updated(self._rate)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Writes the file with each checkpoint."""
        if self._listener is not None:
            self._listener.save()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures the hold-out once more, and writes the file."""
        if self._listener is not None:
            self._listener.measure()
            self._listener.end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listens no longer; the file has what was written last."""
        self._stop()

    def _stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None


def _refuse(trainer: Trainer, module: LightningModule) -> None:
    """What hides the losses of samples, before anything is measured."""
    remedy = "record with suffice.integrations.Recorder in the training step"
    if not module.automatic_optimization or len(trainer.optimizers) != 1:
        raise InputError(f"LearningCurveCallback: takes one optimiser, which Lightning steps: {remedy}")
    strategy = type(trainer.strategy).__name__
    if strategy not in WHOLE:
        raise InputError(f"LearningCurveCallback: {strategy} may split weights over processes: {remedy}")


def _refuse_repeated(trainer: Trainer, loader: Any) -> None:
    """A run that goes on within an epoch, with samples from the beginning: their losses are not of unseen samples."""
    done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    if 0 < done < trainer.num_training_batches and not hasattr(loader, "load_state_dict"):
        raise InputError(
            f"LearningCurveCallback: the run goes on after {done} batches of an epoch, and its loader begins anew, "
            "with samples that were trained on: go on from the end of an epoch, or give a loader with state_dict and "
            "load_state_dict"
        )


def _language_model(module: nn.Module) -> nn.Module:
    """The outermost model of Hugging Face, or its adapter."""
    found: list[nn.Module] = []

    def look(within: nn.Module) -> None:
        for child in within.children():
            if isinstance(child, (PreTrainedModel, PeftModel)):
                found.append(child)
            else:
                look(child)

    look(module)
    if len(found) != 1:
        raise InputError(
            f"LearningCurveCallback: the module has {len(found)} models of Hugging Face: give it one, as an attribute, "
            "or record with suffice.integrations.Recorder in the training step"
        )
    return found[0]
