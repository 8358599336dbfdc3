"""The loss of each sample of a batch of a language model; what names a sample; and what lifts losses in training."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from suffice.errors import InputError

IGNORED = -100

NAME = 8
"""Bytes of a hash that names a sample."""

CHUNK_BYTES = 32 << 20
"""Logits in float32 that are copied at a time."""


@torch.no_grad()
def sample_losses(
    logits: Float[Tensor, "batch tokens vocabulary"], labels: Int64[Tensor, "batch tokens"]
) -> Float64[Tensor, " batch"]:
    """The mean loss over each sample's labelled tokens; no gradients, and no copy of all logits.

    Args:
        logits: of a causal language model.
        labels: as Hugging Face has them: not shifted, and -100 where there is no loss.

    Example:
        >>> sample_losses(torch.zeros(1, 3, 8), torch.tensor([[-100, 5, 2]]))
        tensor([2.0794], dtype=torch.float64)
    """
    shifted = labels[:, 1:]
    rows, columns = (shifted != IGNORED).nonzero(as_tuple=True)
    size = max(1, CHUNK_BYTES // (4 * logits.shape[-1]))
    losses = [
        functional.cross_entropy(logits[some, at].float(), shifted[some, at], reduction="none").double()
        for some, at in zip(rows.split(size), columns.split(size), strict=True)
    ]
    sums = torch.zeros(len(labels), dtype=torch.float64, device=logits.device)
    return sums.index_add(0, rows, torch.cat(losses)) / torch.bincount(rows, minlength=len(labels))


@torch.no_grad()
def losses_given(given: Mapping[str, Any], outputs: Any) -> Float64[Tensor, " batch"]:
    """The loss of each sample of a batch, from what a model was called with and what it gave.

    Args:
        given: with ``labels``.
        outputs: with ``logits``, or with ``log_probs`` of the labels, 0 where there is no loss, as TRL's fused heads
            give them.

    Raises:
        InputError: no labels, neither of the outputs, or several samples in a row.

    Example:
        >>> from types import SimpleNamespace
        >>> outputs = SimpleNamespace(log_probs=torch.tensor([[0.0, -1.0, -2.0]]))
        >>> losses_given({"labels": torch.tensor([[-100, -100, 5, 2]])}, outputs)
        tensor([1.5000], dtype=torch.float64)
    """
    labels: Tensor | None = given.get("labels")
    if labels is None:
        raise InputError(
            "LearningCurveCallback: the model is called without labels, as with label smoothing: record with "
            "suffice.integrations.Recorder in a loop of your own"
        )
    if _restarts(given.get("position_ids"), given.get("attention_mask")):
        raise InputError(
            "LearningCurveCallback: several examples share a row, as with packing and padding_free: turn these off"
        )
    found: Tensor | None = getattr(outputs, "log_probs", None)
    if found is not None:
        return -found.double().sum(1) / (labels[:, 1:] != IGNORED).sum(1)
    logits: Tensor | None = getattr(outputs, "logits", None)
    if logits is None:
        raise InputError(
            "LearningCurveCallback: the model gives no logits, as with fused losses: turn these off (use_liger_kernel)"
        )
    return sample_losses(logits, labels)


def _restarts(positions: Tensor | None, mask: Tensor | None) -> bool:
    """Whether positions begin anew within a row."""
    if positions is None:
        return False
    anew = (positions[:, 1:] == 0) & (positions[:, :-1] > 0)
    return bool((anew if mask is None or mask.shape != positions.shape else anew & mask[:, 1:].bool()).any())


def tokens_of(given: Mapping[str, Any]) -> list[int]:
    """How many tokens of each sample of a batch have a loss.

    Args:
        given: what the model is called with.

    Example:
        >>> tokens_of({"labels": torch.tensor([[-100, 5, 6], [7, 8, -100]])})
        [2, 1]
    """
    counts: list[int] = (given["labels"][:, 1:] != IGNORED).sum(1).tolist()
    return counts


def names_of(given: Mapping[str, Any]) -> list[str]:
    """A hash of the tokens of each sample of a batch, without padding.

    Args:
        given: with ``input_ids``, ``labels`` and, where it is padded, ``attention_mask``.

    Example:
        >>> ids = torch.tensor([[5, 6, 1]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> names_of({"input_ids": ids, "labels": ids, "attention_mask": mask}) == names_of(
        ...     {"input_ids": ids[:, :2], "labels": ids[:, :2]}
        ... )
        True
    """
    ids, labels, mask = given["input_ids"], given["labels"], given.get("attention_mask")
    if mask is None:
        counts = (labels != IGNORED).long().cumsum(1)
        last = (counts < counts[:, -1:]).sum(1, keepdim=True)  # where the last label stands
        mask = torch.arange(labels.shape[1], device=labels.device) <= last
    rows, masks = ids.long().cpu().numpy(), mask.bool().cpu().numpy()
    return [
        hashlib.blake2b(row[at].tobytes(), digest_size=NAME).hexdigest() for row, at in zip(rows, masks, strict=True)
    ]


def largest_dropout(model: nn.Module) -> float:
    """The largest share that a module drops in training, as far as modules tell."""
    shares = [float(module.p) for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    config = getattr(model, "config", None)
    shares += [float(getattr(config, name, 0) or 0) for name in ("attention_dropout", "attn_pdrop", "resid_pdrop")]
    return max(shares, default=0.0)
