"""Records the learning curve of a run of Hugging Face's Trainer, and of TRL's SFTTrainer."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from suffice.errors import InputError
from suffice.integrations.listener import FILE, Asked, Listener, Measuring, refuse_without_length


class LearningCurveCallback(TrainerCallback):
    """Records the losses of each batch before its update, of a hold-out, and of the pretrained model.

    Works with gradient accumulation, mixed precision, adapters, runs that go on from a checkpoint, and several
    processes, each of which measures its share. Models whose weights are split over processes (FSDP, DeepSpeed), or
    copied to several GPUs of one process, are refused, and so is what hides the losses of samples: label smoothing,
    fused losses, several examples in a row.

    Args:
        path: the file; by default ``learning_curve.json`` in the run's output folder.
        holdout: random samples that are not trained on, as the training samples are given (for SFTTrainer its
            ``eval_dataset``); a few hundred are enough.
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

    @property
    def path(self) -> Path | None:
        """The file that was asked for."""
        return self._asked.path

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
        _refuse(args)
        if state.global_step and args.ignore_data_skip:
            raise InputError(
                "LearningCurveCallback: with ignore_data_skip the run goes on with samples that were trained on: leave "
                "it out"
            )
        dataset = getattr(train_dataloader, "dataset", None)
        refuse_without_length(dataset)
        self.stop()
        self._listener = Listener(
            self._asked.with_columns_of(dataset),
            Measuring(model, dataset, train_dataloader.collate_fn, args.per_device_eval_batch_size, args.device),
            self._asked.path or Path(str(args.output_dir)) / FILE,
            state.global_step,
        )

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,
        **others: Any,
    ) -> None:
        """Notes the learning rate of the update that begins."""
        if self._listener is not None:
            self._listener.forget()
        groups = getattr(optimizer, "param_groups", None)
        self._rate = float(groups[0]["lr"]) if groups else None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Records the update that was just made."""
        if self._listener is not None:
            self._listener.updated(self._rate)
            self._measure_if_last(state, control)
            if control.should_save:  # before the checkpoint, which needs all that was before it
                self._listener.save()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Measures the hold-out where the training was stopped early."""
        self._measure_if_last(state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Writes the file with each checkpoint."""
        self._measure_if_last(state, control)
        if self._listener is not None:
            self._listener.save()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Writes the file; the hold-out was measured after the last update, before the best checkpoint is loaded."""
        if self._listener is not None:
            if not args.load_best_model_at_end:
                self._listener.measure()
            self._listener.end()

    def _measure_if_last(self, state: TrainerState, control: TrainerControl) -> None:
        """Measures the hold-out once more if no update follows."""
        if self._listener is not None and (state.global_step >= state.max_steps or control.should_training_stop):
            self._listener.measure()

    def stop(self) -> None:
        """Listens no longer, as after a training that failed."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None


def _refuse(args: TrainingArguments) -> None:
    """What hides the losses of samples, before anything is measured."""
    remedy = "record with suffice.integrations.Recorder in a loop of your own, or turn it off"
    if args.n_gpu > 1:
        raise InputError(
            f"LearningCurveCallback: Trainer would copy the model to {args.n_gpu} GPUs of one process: start a process "
            f"for each (torchrun --nproc-per-node {args.n_gpu} ...), or show one GPU (CUDA_VISIBLE_DEVICES=0)"
        )
    if args.label_smoothing_factor > 0:
        raise InputError(f"LearningCurveCallback: label smoothing hides the losses of samples: {remedy}")
    fused = (args.liger_kernel_config or {}).get("fused_linear_cross_entropy", True)
    if args.use_liger_kernel and fused:
        raise InputError(
            "LearningCurveCallback: Liger's fused loss gives no logits: turn it off "
            '(liger_kernel_config={"fused_linear_cross_entropy": False})'
        )
    if args.fsdp or args.deepspeed:
        raise InputError(f"LearningCurveCallback: weights are split over processes (FSDP, DeepSpeed): {remedy}")
