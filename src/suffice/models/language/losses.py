r"""The loss of a sample: the mean over its answer's tokens.

.. math:: l_i(w) = \frac{1}{n_i} \sum_{t=1}^{n_i} -\log p_w(y_{it} \mid x_i, y_{i,<t})

Samples count alike, or, with unit "token", each by its :math:`n_i`: means over samples are then means over tokens.

The head runs on the positions that predict an answer's token and on no others, and a few of them at a time, so that no
tensor grows with tokens times vocabulary while a loss is measured.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from suffice.errors import InputError
from suffice.models.language.tokens import IGNORED, Tokens, collate
from suffice.problem import Batch, Problem

CHUNK_BYTES = 32 << 20
"""Logits in float64 that are there at a time."""

INPUTS = ("input_ids", "attention_mask", "position_ids")
"""The keys of a batch that go to the model."""

LOUD = 1e3
"""Times its hidden states at which a model shows whether it bends its logits, as those with a soft cap do."""

SAME = 1e-4
"""Relative difference between a model's logits and its head's, up to which they are the same."""


@dataclass(frozen=True)
class Writer:
    """How a model gives the losses of a batch.

    Attributes:
        head: path of the linear map to logits.
        is_plain: the logits are what the head gives, and the model does nothing to them after it.
        padding: id of a token for padding.
        side: of padding.
    """

    head: str
    is_plain: bool
    padding: int
    side: Literal["left", "right"] = "right"

    def collate(self, items: Sequence[dict[str, Tensor]]) -> Batch:
        """A batch of `Tokens`."""
        return collate(items, self.padding, self.side)

    def logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "batch answers vocabulary"]:
        """Those that predict the answers' tokens."""
        with _head_on(model.get_submodule(self.head), lambda hidden: _at(hidden, batch["answers"])):
            return _run(model, batch)

    def losses(self, model: nn.Module, batch: Batch) -> Float64[Tensor, " batch"]:
        """The loss of each sample."""
        if not self.is_plain:
            return mean_of_answers(self.logits(model, batch), batch)
        head = model.get_submodule(self.head)
        kept: list[Tensor] = []

        def keep(hidden: Tensor) -> Tensor:
            kept.append(_at(hidden, batch["answers"]))
            return hidden[:, :0]

        with _head_on(head, keep):
            _run(model, batch)
        labels = batch["labels"]
        each = losses_by_chunk(head, kept[0].flatten(0, 1), labels.flatten())
        return _mean(each.reshape(labels.shape), labels)


def losses_by_chunk(
    head: Callable[[Tensor], Tensor], hidden: Float[Tensor, "tokens width"], labels: Int64[Tensor, " tokens"]
) -> Float64[Tensor, " tokens"]:
    """Cross-entropy of each token, 0 where the label is `IGNORED`, with the logits of a few tokens at a time.

    Example:
        >>> hidden, labels = torch.tensor([[0.0, 0.0], [0.0, 4.0]]), torch.tensor([0, IGNORED])
        >>> losses_by_chunk(nn.Identity(), hidden, labels)
        tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    if not len(labels):
        return hidden.sum(1).double()
    first = head(hidden[:1])
    size = max(1, CHUNK_BYTES // (8 * first.shape[-1]))
    parts = (
        functional.cross_entropy(head(some).double(), those, reduction="none", ignore_index=IGNORED)
        for some, those in zip(hidden.split(size), labels.split(size), strict=True)
    )
    if torch.is_grad_enabled():  # the graph keeps the chunks anyway
        return torch.cat(list(parts))
    # small results kept between large chunks would stop the C library from using the room of a chunk again
    found = hidden.new_empty(len(labels), dtype=torch.float64)
    for place, part in zip(found.split(size), parts, strict=True):
        place.copy_(part)
    return found


def mean_of_answers(logits: Float[Tensor, "batch answers vocabulary"], batch: Batch) -> Float64[Tensor, " batch"]:
    """The loss of each sample from the logits of its answer."""
    labels = batch["labels"]
    each = functional.cross_entropy(
        logits.double().flatten(0, 1), labels.flatten(), reduction="none", ignore_index=IGNORED
    )
    return _mean(each.reshape(labels.shape), labels)


def _mean(each: Float64[Tensor, "batch answers"], labels: Int64[Tensor, "batch answers"]) -> Float64[Tensor, " batch"]:
    return each.sum(1) / (labels != IGNORED).sum(1)


class LanguageProblem(Problem):
    """A `Problem` whose samples are answers, k counts samples, and whose outputs z are the logits of answers.

    With the unit "token" the samples have the numbers of their answers' tokens as weights.

    `losses` is the same function as `losses_of` the outputs, without all logits at once.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Tokens,
        writer: Writer,
        parameters: str | Sequence[str] | None = None,
        order: Literal["shuffled", "source"] = "shuffled",
        seed: int = 0,
        unit: Literal["sample", "token"] = "sample",
    ) -> None:
        if unit not in ("sample", "token"):
            raise InputError(f"unit is 'sample' or 'token', not {unit!r}")
        weights = dataset.answer_tokens if unit == "token" else None
        super().__init__(
            model,
            dataset,
            mean_of_answers,
            writer.logits,
            parameters,
            order,
            seed,
            writer.collate,
            sample_weights=weights,
        )
        self._writer = writer

    def losses(self, batch: Batch, samples: int | None = None) -> Float[Tensor, " batch"]:
        """The loss of each sample of a batch."""
        if self.predict != self._writer.logits:  # another way to the outputs, as of features that were computed before
            return super().losses(batch, samples)
        found = self._writer.losses(self.model, batch)
        if samples is not None and len(found) != samples:
            raise InputError(f"there must be one loss per sample, not {len(found)} for {samples} samples")
        return found


def writer_of(model: Any, padding: int, vocabulary: int) -> Writer:
    """How a causal language model gives its losses.

    Args:
        model: in evaluation mode.
        padding: id of a token for padding.
        vocabulary: number of token embeddings.

    Raises:
        InputError: it has no head.
    """
    head = model.get_output_embeddings()
    path = next((name for name, module in model.named_modules() if module is head), None)
    if head is None or path is None:
        raise InputError(f"{type(model).__name__} has no head of a language model: give another model")
    ids = torch.arange(4, device=model.device)[None] % vocabulary
    batch = {"input_ids": ids, "answers": torch.arange(4, device=model.device)[None]}
    kept: list[Tensor] = []

    def louder(hidden: Tensor) -> Tensor:
        kept.append(hidden * LOUD)
        return kept[0]

    writer = Writer(path, False, padding)
    with torch.no_grad():
        whole = _run(model, batch)
        if not _same(writer.logits(model, batch), whole):
            raise InputError(f"{type(model).__name__} does not give its logits by its head: give another model")
        with _head_on(head, louder):
            loud = _run(model, batch)
        is_plain = _same(head(kept[0]), loud)
    return Writer(path, is_plain, padding)


def _same(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and float((ours - theirs).abs().max()) <= SAME * float(theirs.abs().max())


@contextmanager
def _head_on(head: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The head runs on other hidden states than the model gives it."""
    handle = head.register_forward_pre_hook(lambda module, inputs: (change(inputs[0]), *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()


def _at(
    hidden: Float[Tensor, "batch tokens width"], answers: Int64[Tensor, "batch answers"]
) -> Float[Tensor, "batch answers width"]:
    return hidden.gather(1, answers[..., None].expand(-1, -1, hidden.shape[-1]))


def _run(model: nn.Module, batch: Batch) -> Tensor:
    given = {name: batch[name] for name in INPUTS if name in batch}
    if "position_ids" in given and not _takes_positions(model):
        del given["position_ids"]
    try:
        return cast(Tensor, model(**given, use_cache=False).logits)
    except (ValueError, IndexError) as error:
        raise InputError(f"the model does not take these texts: {' '.join(str(error).split())}") from error


def _takes_positions(model: Any) -> bool:
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "position_ids" in inspect.signature(bare.forward).parameters
