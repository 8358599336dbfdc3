"""A recorder for any training loop."""

import math
import numbers
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from suffice.errors import InputError, InputWarning
from suffice.integrations.live import live_report
from suffice.results import Holdout, OnlineBatch, Recording, read_recording, recording_as_json
from suffice.storage import atomic_write

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Of the samples of an epoch, after which the hold-out is to be measured."""

PATIENCE = 30.0
"""Seconds between writes of the file."""


class Recorder:
    """Records how a training run goes, in a file from which its learning curve is read.

    At a constant learning rate, the weights after k samples of the first epoch are those of a one-epoch training on k
    samples. So the losses of each batch before its update are losses on unseen samples at every k on the way.

    The file is replaced whole, every 30 seconds and at each hold-out, and `save` writes what is left. With
    ``report_every`` a page beside it has the curve so far and its forecast, see `suffice.integrations.live`.

    Args:
        path: the file. One that is there is replaced.
        samples: number of different training samples, those of an epoch.
        resume: the number of updates after which the run goes on: the file is read, and what it holds of later updates
            is left out. 0 begins anew.
        dropout: largest dropout of the model, where it is known.
        report_every: seconds after which the page is written anew; it is at each hold-out as well. None for no page.
        gain: by how much doubling the samples has to lower the loss; the page and the log say when it no longer does.

    Raises:
        InputError: to go on, and no recording that can be read; no samples; or reports or a gain out of range.

    Example:
        >>> import tempfile
        >>> recorder = Recorder(Path(tempfile.mkdtemp()) / "run.json", samples=16)
        >>> for step in range(4):
        ...     recorder.batch(np.full(4, 2.0 - 0.1 * step), rate=1e-3)  # before the update
        ...     if recorder.is_due:
        ...         recorder.holdout(np.full(9, 2.0 - 0.1 * step))  # after it
        >>> recorder.save()
        >>> [batch.seen for batch in recorder.recording.batches], [at.seen for at in recorder.recording.holdouts]
        ([0, 4, 8, 12], [4, 8, 16])
    """

    def __init__(
        self,
        path: str | Path,
        samples: int,
        resume: int = 0,
        dropout: float | None = None,
        report_every: float | None = None,
        gain: float | None = None,
    ) -> None:
        if samples < 1:
            raise InputError(f"samples = {samples}: give the number of training samples of an epoch")
        if dropout is not None and not 0 <= dropout <= 1:
            raise InputError(f"dropout = {dropout:g}: give a share from 0 to 1")
        self.path = Path(path)
        self._live = live_report(self.path, report_every, gain)
        self._samples, self._dropout = int(samples), dropout
        self._batches: list[OnlineBatch] = []
        self._holdouts: list[Holdout] = []
        self._skipped: list[int] = []
        self._skipped_samples: list[int] | None = []
        self._holdout_tokens: list[int] | None = None
        self._pretrained: dict[str, float] = {}
        self._seen = self._step = 0
        self._written = time.monotonic()
        if resume:
            self._go_on(read_recording(self.path), resume)

    @property
    def recording(self) -> Recording:
        """What was recorded so far."""
        return Recording(
            samples=self._samples,
            batches=self._batches,
            holdouts=self._holdouts,
            holdout_tokens=self._holdout_tokens,
            pretrained=self._pretrained,
            dropout=self._dropout,
            skipped=self._skipped,
            skipped_samples=self._skipped_samples or [],
        )

    @property
    def pretrained(self) -> Mapping[str, float]:
        """Losses of training samples by the pretrained model, by what names a sample; only finite ones are kept."""
        return self._pretrained

    @pretrained.setter
    def pretrained(self, losses: Mapping[str, float]) -> None:
        self._pretrained = {name: float(loss) for name, loss in losses.items() if math.isfinite(loss)}

    @property
    def is_due(self) -> bool:
        """Whether the hold-out is to be measured now: at k0/8, k0/4, k0/2 and k0 samples."""
        return holdout_is_due(*self.reached, self._samples)

    @property
    def reached(self) -> tuple[int, int]:
        """Samples seen, and samples seen when the hold-out was measured last."""
        return self._seen, self._holdouts[-1].seen if self._holdouts else 0

    def batch(
        self,
        losses: Any,
        tokens: Any = None,
        rate: float | None = None,
        before: Any = None,
        samples: int | None = None,
    ) -> None:
        """The samples of one update, all its micro-batches together, to be called before or after the update.

        Args:
            losses: (n,) of the samples, before the update; numbers or a tensor.
            tokens: how many tokens have a loss: (n,) of each sample, from which the losses of tokens follow as well, or
                of all together.
            rate: learning rate; not known where it is not finite.
            before: (n,) losses of the same samples by the pretrained model.
            samples: how many samples the update takes, where other processes have more than the n.

        Raises:
            InputError: losses that are no numbers, or of another number of samples than ``before`` or ``tokens``.
        """
        own = _numbers(losses, "losses")
        first = None if before is None else _numbers(before, "before")
        if first is not None and len(first) != len(own):
            raise InputError(f"{len(own)} losses and {len(first)} of the pretrained model: give those of one batch")
        self._step += 1
        seen, count = self._seen, int(samples or len(own))
        self._seen += count
        if not np.isfinite(own).all() or (first is not None and not np.isfinite(first).all()):
            self._skipped.append(self._step)
            if self._skipped_samples is not None:
                self._skipped_samples.append(count)
            if len(self._skipped) == 1:
                warnings.warn(
                    f"the loss of batch {self._step} is not finite: it is left out of the learning curve; look at its "
                    "samples, or at the range of the precision",
                    InputWarning,
                    stacklevel=2,
                )
            return
        together = _of_all_together(tokens)
        counts = None if tokens is None or together is not None else _counts(tokens, len(own))
        self._batches.append(
            OnlineBatch(
                step=self._step,
                seen=seen,
                samples=count,
                tokens=together if counts is None else int(counts.sum()),
                loss=float(own.mean()),
                before=None if first is None else float(first.mean()),
                rate=None if rate is None or not math.isfinite(rate) else float(rate),
                token_loss=None if counts is None else float(np.average(own, weights=counts)),
                token_before=None if counts is None or first is None else float(np.average(first, weights=counts)),
            )
        )
        if time.monotonic() - self._written > PATIENCE:
            self.save()
        if self._live is not None and self._live.is_due:
            self._live.write(self.recording)

    def holdout(self, losses: Any, tokens: Any = None) -> None:
        """The losses of samples that are not trained on, at the weights as they are now; writes the file.

        Args:
            losses: (h,), always of the same samples in the same order.
            tokens: (h,) how many tokens of each have a loss; once is enough.

        Raises:
            InputError: losses that are not finite, of one sample alone, or of another number of samples than before or
                than ``tokens``.
        """
        own = _numbers(losses, "losses")
        if len(own) < 2:
            raise InputError("the hold-out has one loss: give those of two samples at least; a few hundred are enough")
        if not np.isfinite(own).all():
            raise InputError(f"after {self._seen:,} samples: a loss of the hold-out is not finite")
        if tokens is not None:
            if _of_all_together(tokens) is not None:
                raise InputError(f"tokens: give a number for each of the {len(own)} samples of the hold-out")
            self._holdout_tokens = _counts(tokens, len(own)).tolist()
        if self._holdouts and len(own) != len(self._holdouts[0].losses):
            raise InputError(
                f"{len(own)} losses of the hold-out, where there were {len(self._holdouts[0].losses)}: give the same "
                "samples each time"
            )
        self._holdouts = [at for at in self._holdouts if at.seen < self._seen]
        self._holdouts.append(Holdout(seen=self._seen, losses=own))
        self.save()
        if self._live is not None:
            self._live.write(self.recording)

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as file:
            file.write(recording_as_json(self.recording))
        self._written = time.monotonic()

    def _go_on(self, before: Recording, step: int) -> None:
        if before.samples != self._samples:
            raise InputError(
                f"{self.path}: of a run on {before.samples:,} samples, and now there are {self._samples:,}: give "
                "another file"
            )
        self._batches = [batch for batch in before.batches if batch.step <= step]
        self._skipped = [number for number in before.skipped if number <= step]
        known = len(self._batches) + len(self._skipped)
        if known != step:
            raise InputError(f"{self.path}: holds {known:,} of the {step:,} updates before: give another file")
        is_of_earlier_version = len(before.skipped_samples) < len(before.skipped)
        self._skipped_samples = None if is_of_earlier_version else before.skipped_samples[: len(self._skipped)]
        self._seen = self._seen_after(before, step)
        self._holdouts = [at for at in before.holdouts if at.seen <= self._seen]
        self.pretrained, self._step, self._holdout_tokens = before.pretrained, step, before.holdout_tokens

    def _seen_after(self, before: Recording, step: int) -> int:
        if self._skipped_samples is not None:
            return sum(batch.samples for batch in self._batches) + sum(self._skipped_samples)
        following = [batch.seen for batch in before.batches if batch.step == step + 1]
        if following:
            return following[0]
        if self._batches and self._batches[-1].step == step:
            return self._batches[-1].seen + self._batches[-1].samples
        raise InputError(
            f"{self.path}: the loss of update {step:,} was not finite, and an earlier version of suffice did not keep "
            "how many samples it had: go on from another checkpoint, or give another file"
        )


def _of_all_together(tokens: Any) -> int | None:
    """One number of tokens, as a number, an array or a tensor; None where there are several, or none."""
    if not isinstance(tokens, numbers.Real) and getattr(tokens, "ndim", None) != 0:
        return None
    count = float(tokens)
    if not count.is_integer():
        raise InputError(f"tokens = {count:g}: give a whole number")
    return int(count)


def _counts(tokens: Any, samples: int) -> Int64[np.ndarray, " n"]:
    counts = np.asarray([int(count) for count in tokens], dtype=np.int64)
    if len(counts) != samples or counts.min() < 1:
        raise InputError(
            f"tokens: give a number of at least 1 for each of the {samples} samples, not {counts.tolist()}"
        )
    return counts


def holdout_is_due(seen: int, last: int, samples: int) -> bool:
    """Whether the hold-out is to be measured after so many samples seen, if it was last after so many.

    Example:
        >>> [seen for seen in range(5, 45, 5) if holdout_is_due(seen, seen - 5, 40)]
        [5, 10, 20, 40]
    """
    return any(last < math.ceil(share * samples) <= seen for share in SHARES)


def _numbers(values: Any, name: str) -> Float64[np.ndarray, " n"]:
    if hasattr(values, "detach"):
        values = values.detach().double().cpu().numpy()
    elif isinstance(values, Sequence):
        values = [float(value) for value in values]
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise InputError(f"{name}: give one number for each sample, not an array of shape {found.shape}")
    return found
