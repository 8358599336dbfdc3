"""What the callbacks of trainers share: they listen to a model that a trainer trains, and record its learning curve."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader, Subset

from suffice.errors import InputError, InputWarning
from suffice.integrations.live import live_report
from suffice.integrations.recorder import Recorder, holdout_is_due
from suffice.integrations.samples import IGNORED, largest_dropout, losses_given, names_of, tokens_of

FILE = "learning_curve.json"
"""In the output folder of a run, unless another file is given."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Asked:
    """What a callback is asked for, whatever the trainer.

    Attributes:
        path: the file; None for `FILE` in the folder of the run.
        holdout: samples that are not trained on, as the training samples are given; None for none.
        baseline: measure the pretrained model on the training samples first.
        report_every: seconds between live reports; None for none.
        gain: what doubling the samples has to bring, for the live report.

    Raises:
        InputError: a time between reports or a gain out of range, or a gain without reports.
    """

    path: Path | None = None
    holdout: Any = None
    baseline: bool = True
    report_every: float | None = None
    gain: float | None = None

    def __post_init__(self) -> None:
        live_report(self.path or Path(FILE), self.report_every, self.gain)  # refuses what cannot be meant

    def with_columns_of(self, dataset: Any) -> "Asked":
        """The same with a hold-out without the columns that the training samples lack, as Trainer leaves them out."""
        own, known = getattr(self.holdout, "column_names", None), getattr(dataset, "column_names", None)
        if own is None or known is None:
            return self
        return replace(self, holdout=self.holdout.remove_columns([name for name in own if name not in known]))


@dataclass(frozen=True)
class Measuring:
    """How samples are measured, and how a run is gone on with.

    Attributes:
        model: what is called with ``labels``; `torch.nn.parallel.DistributedDataParallel` wraps it, if anything does.
        dataset: the training samples.
        collate: makes batches of them.
        batch_size: samples of a forward pass where nothing is trained.
        device: of batches.
        autocast: the context in which the trainer calls the model.
    """

    model: nn.Module
    dataset: Any
    collate: Callable[[list[Any]], Any]
    batch_size: int
    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass
class _Heard:
    """Micro-batches of the update that is being made; tensors stay where they are until it is over."""

    losses: list[Tensor] = field(default_factory=list)
    batches: list[Mapping[str, Any]] = field(default_factory=list)


class Listener:
    """Listens to a model that a trainer trains; one in each process of the run, of which the first one writes.

    Each process gives its share of each batch, of the pretrained losses and of the hold-out.

    Args:
        asked: what to record.
        measuring: the model, and how its samples are measured.
        path: the file.
        updates: how many the run has made before, when it goes on from a checkpoint.

    Raises:
        InputError: in every process: a model without labels, a hold-out of fewer than two samples or with one that has
            no label, or nothing to go on from.
    """

    def __init__(self, asked: Asked, measuring: Measuring, path: Path, updates: int) -> None:
        self._asked, self._measuring = asked, measuring
        self._samples = len(measuring.dataset)
        self._has_warned = False
        self._check_holdout()
        self._recorder: Recorder | None = None
        refused: str | None = None
        if _rank() == 0:
            try:
                self._recorder = self._recorder_of(path, updates)
            except InputError as error:
                refused = str(error)
        reached = (0, 0) if self._recorder is None else self._recorder.reached
        (self._seen, self._held_at), refused = _gathered((reached, refused))[0]
        if refused is not None:  # in all processes, as others would wait for the first one
            raise InputError(refused)
        if updates == 0:
            self._begin()
        self._heard = _Heard()
        self._hook = measuring.model.register_forward_hook(self._listen, with_kwargs=True)

    def forget(self) -> None:
        """Begins an update: what was heard since the last one belongs to none."""
        self._heard = _Heard()

    def updated(self, rate: float | None) -> None:
        """Records the update that was just made, at a learning rate; measures the hold-out when it is due."""
        heard, self._heard = self._heard, _Heard()
        if not heard.losses:
            return
        names = [name for batch in heard.batches for name in names_of(batch)] if self._asked.baseline else []
        tokens = [count for batch in heard.batches for count in tokens_of(batch)]
        parts = _gathered((torch.cat(heard.losses).cpu().numpy(), names, tokens))
        losses = np.concatenate([part[0] for part in parts])
        self._seen += len(losses)
        if self._recorder is not None:
            known = self._recorder.pretrained
            all_names = [name for part in parts for name in part[1]]
            has_all = bool(known) and all(name in known for name in all_names)
            self._recorder.batch(
                losses,
                tokens=[count for part in parts for count in part[2]],
                rate=rate,
                before=[known[name] for name in all_names] if has_all else None,
            )
        if holdout_is_due(self._seen, self._held_at, self._samples):
            self._hold_out()

    def save(self) -> None:
        """Writes the file, as a run that goes on from a checkpoint needs all that was before it."""
        if self._recorder is not None:
            self._recorder.save()

    def stop(self) -> None:
        """Listens no longer."""
        self._hook.remove()

    def measure(self) -> None:
        """Measures the hold-out, unless it was at these weights."""
        if self._held_at != self._seen:
            self._hold_out()

    def end(self) -> None:
        """Listens no longer, and writes the file."""
        self.stop()
        self.save()

    def _recorder_of(self, path: Path, updates: int) -> Recorder:
        asked, dropout = self._asked, largest_dropout(self._measuring.model)
        recorder = Recorder(path, self._samples, updates, dropout, asked.report_every, asked.gain)
        before = recorder.recording.holdouts
        if before and asked.holdout is not None and len(before[0].losses) != len(asked.holdout):
            raise InputError(
                f"{path}: its hold-out has {len(before[0].losses):,} samples, and now there are "
                f"{len(asked.holdout):,}: give the same samples, or another file"
            )
        return recorder

    def _check_holdout(self) -> None:
        """Looks at all of the hold-out in each process, so that all refuse it or none."""
        if self._asked.holdout is None:
            return
        if len(self._asked.holdout) < 2:
            raise InputError("LearningCurveCallback: holdout: give two samples at least; a few hundred are enough")
        at = 0
        for batch in self._batches(self._asked.holdout):
            if batch.get("labels") is None:
                return  # the first pass through the model says what to do
            for count in tokens_of(batch):
                if count < 1:
                    raise InputError(
                        f"LearningCurveCallback: holdout[{at}] has no label: all of its labels are {IGNORED}, perhaps "
                        "as its answer was cut: leave it out, or give it more tokens"
                    )
                at += 1

    def _begin(self) -> None:
        if self._asked.baseline:
            losses, names, _ = self._measured(self._measuring.dataset, with_names=True)
            if self._recorder is not None:
                self._recorder.pretrained = dict(zip(names, losses.tolist(), strict=True))
        self._hold_out()

    def _hold_out(self) -> None:
        if self._asked.holdout is None:
            return
        losses, _, tokens = self._measured(self._asked.holdout, with_names=False)
        self._held_at = self._seen
        wrong = np.flatnonzero(~np.isfinite(losses))
        if self._recorder is None:
            return
        if not len(wrong):
            self._recorder.holdout(losses, tokens)
        elif not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"after {self._seen:,} samples the loss of holdout[{wrong[0]}] is {losses[wrong[0]]}: these losses of "
                "the hold-out are left out of the learning curve, and the training goes on; look at the sample, or at "
                "the range of the precision",
                InputWarning,
                stacklevel=2,
            )

    def _listen(self, module: nn.Module, positional: Any, given: Mapping[str, Any], outputs: Any) -> None:
        if module.training and torch.is_grad_enabled():
            self._heard.losses.append(losses_given(given, outputs))
            self._heard.batches.append(
                {name: given[name] for name in ("input_ids", "labels", "attention_mask") if name in given}
            )

    def _batches(self, dataset: Any) -> DataLoader[Any]:
        how = self._measuring
        return DataLoader(  # with a generator of its own, as it would draw from that of the training
            dataset, batch_size=how.batch_size, collate_fn=how.collate, generator=torch.Generator()
        )

    def _measured(
        self, dataset: Any, with_names: bool
    ) -> tuple[Float64[np.ndarray, " samples"], list[str], Int64[np.ndarray, " samples"]]:
        """The loss of each sample at the present weights, its name, and how many of its tokens have a loss.

        Each process measures its share.
        """
        how, processes = self._measuring, _processes()
        own = Subset(dataset, range(_rank(), len(dataset), processes))
        losses: list[Float64[np.ndarray, " some"]] = [np.empty(0)]
        names: list[str] = []
        tokens: list[int] = []
        with _evaluating(how.model), how.autocast():
            for batch in self._batches(own):
                given = {
                    name: value.to(how.device) if isinstance(value, Tensor) else value for name, value in batch.items()
                }
                losses.append(losses_given(given, how.model(**given)).cpu().numpy())
                names += names_of(given) if with_names else []
                tokens += tokens_of(given)
        parts = _gathered((np.concatenate(losses), names, tokens))
        found, all_names = np.empty(len(dataset)), [""] * len(dataset)
        counts = np.empty(len(dataset), dtype=np.int64)
        for first, (some, theirs, many) in enumerate(parts):
            found[first::processes], counts[first::processes] = some, many
            if with_names:
                all_names[first::processes] = theirs
        return found, all_names, counts


def refuse_without_length(dataset: Any) -> None:
    """Refuses training samples that cannot be counted.

    Raises:
        InputError: they have no length.
    """
    if dataset is None or not hasattr(dataset, "__len__"):
        raise InputError("LearningCurveCallback: the training samples have no length: give a map-style data set")


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _rank() -> int:
    return distributed.get_rank() if _processes() > 1 else 0


def _gathered(own: Value) -> list[Value]:
    """What each process gives, in their order."""
    if _processes() == 1:
        return [own]
    found: list[Any] = [None] * _processes()
    distributed.all_gather_object(found, own)
    return found


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, is_training in modes:
            module.training = is_training
