"""What the callbacks of trainers share: they listen to a model that a trainer trains, and record its learning curve."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader, Subset

from suffice.errors import InputError
from suffice.integrations.live import live_report
from suffice.integrations.recorder import Recorder, holdout_is_due
from suffice.integrations.samples import IGNORED, largest_dropout, losses_given, names_of

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
        InputError: samples that have no length, a model without labels, or nothing to go on from.
    """

    def __init__(self, asked: Asked, measuring: Measuring, path: Path, updates: int) -> None:
        self._asked, self._measuring = asked, measuring
        samples = len(measuring.dataset)
        self._recorder: Recorder | None = None
        if _rank() == 0:
            self._recorder = Recorder(
                path,
                samples,
                resume=updates,
                dropout=largest_dropout(measuring.model),
                report_every=asked.report_every,
                gain=asked.gain,
            )
        self._samples = samples
        self._seen, self._held_at = _gathered((0, 0) if self._recorder is None else self._recorder.reached)[0]
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
        tokens = sum(int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in heard.batches)
        parts = _gathered((torch.cat(heard.losses).cpu().numpy(), names, tokens))
        losses = np.concatenate([part[0] for part in parts])
        self._seen += len(losses)
        if self._recorder is not None:
            known = self._recorder.pretrained
            all_names = [name for part in parts for name in part[1]]
            has_all = bool(known) and all(name in known for name in all_names)
            self._recorder.batch(
                losses,
                tokens=sum(part[2] for part in parts),
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

    def end(self) -> None:
        """Listens no longer, measures the hold-out once more, and writes the file."""
        self.stop()
        if self._held_at != self._seen:
            self._hold_out()
        self.save()

    def _begin(self) -> None:
        if self._asked.baseline:
            losses, names = self._measured(self._measuring.dataset, with_names=True)
            if self._recorder is not None:
                self._recorder.pretrained = dict(zip(names, losses.tolist(), strict=True))
        self._hold_out()

    def _hold_out(self) -> None:
        if self._asked.holdout is None:
            return
        losses, _ = self._measured(self._asked.holdout, with_names=False)
        self._held_at = self._seen
        if self._recorder is not None:
            self._recorder.holdout(losses)

    def _listen(self, module: nn.Module, positional: Any, given: Mapping[str, Any], outputs: Any) -> None:
        if module.training and torch.is_grad_enabled():
            self._heard.losses.append(losses_given(given, outputs))
            self._heard.batches.append(
                {name: given[name] for name in ("input_ids", "labels", "attention_mask") if name in given}
            )

    def _measured(self, dataset: Any, with_names: bool) -> tuple[Float64[np.ndarray, " samples"], list[str]]:
        """The loss of each sample at the present weights, and its name; each process measures its share."""
        how, processes = self._measuring, _processes()
        own = Subset(dataset, range(_rank(), len(dataset), processes))
        losses: list[Float64[np.ndarray, " share"]] = [np.empty(0)]
        names: list[str] = []
        with _evaluating(how.model), how.autocast():
            loader = DataLoader(  # with a generator of its own, as it would draw from that of the training
                own, batch_size=how.batch_size, collate_fn=how.collate, generator=torch.Generator()
            )
            for batch in loader:
                given = {
                    name: value.to(how.device) if isinstance(value, Tensor) else value for name, value in batch.items()
                }
                losses.append(losses_given(given, how.model(**given)).cpu().numpy())
                names += names_of(given) if with_names else []
        parts = _gathered((np.concatenate(losses), names))
        found, all_names = np.empty(len(dataset)), [""] * len(dataset)
        for first, (some, theirs) in enumerate(parts):
            found[first::processes] = some
            if with_names:
                all_names[first::processes] = theirs
        return found, all_names


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
