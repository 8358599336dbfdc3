"""A model split into a frozen part, which runs once, and the rest, which is trained."""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from suffice.errors import InputError
from suffice.models.execution import execution_of
from suffice.models.moving import heads_of, is_within
from suffice.problem import Batch

Predict = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Split:
    """A model in two parts.

    Attributes:
        rest: computes logits from frozen features; it has all parameters that move.
        features: computes the frozen features of a batch, (batch, ...). For texts, if the rest has layers, they are
            (batch, tokens, width + 1), and the last column is the attention mask.
        is_masked: whether they have that column.
    """

    rest: nn.Module
    features: Callable[[Batch], Tensor]
    is_masked: bool


def split(model: nn.Module, predict: Predict, batch: Batch) -> Split | None:
    """Splits a model before the first module that moves; None where this is not possible.

    It is split before the head if only the head moves, or before the first of the last layers if ``last_layers(n)``
    moves. The split is used only if the rest gives the logits of the whole model on a batch.

    Args:
        model: a Hugging Face classifier; the parameters that move require a gradient, and no others do.
        predict: gives the logits of the model.
        batch: a batch on which the split is checked.

    Example:
        >>> from suffice.models import adapted
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> config = ViTConfig(image_size=32, hidden_size=8, num_attention_heads=2, num_hidden_layers=3)
        >>> model = adapted(ViTForImageClassification(config).eval(), "last_layers(1)")
        >>> images = {"pixel_values": torch.randn(2, 3, 32, 32)}
        >>> parts = split(model, lambda model, batch: model(**batch).logits, images)
        >>> parts.features(images).shape
        torch.Size([2, 5, 8])
    """
    moving = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if hasattr(model, "peft_config"):
        return None
    heads = heads_of(model)
    is_head = moving == [name for name, _ in model.named_parameters() if is_within(name, heads)]
    found = _head(model, heads) if is_head else _last_layers(model, moving)
    if found is None:
        return None
    boundary, rest = found
    is_masked = isinstance(rest, _LastLayers) and "attention_mask" in batch

    def features(batch: Batch) -> Tensor:
        hidden = _input_of(boundary, lambda: predict(model, batch))
        if is_masked:
            return torch.cat([hidden, batch["attention_mask"].to(hidden)[..., None]], dim=-1)
        return hidden

    with torch.no_grad():
        expected = predict(model, batch)
        try:
            logits = rest(features(batch))
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
            return None  # models of other designs fail in many ways; the caller uses them whole, and says so
    if logits.shape != expected.shape or not torch.allclose(logits, expected, rtol=1e-4, atol=1e-4):
        return None
    return Split(rest, features, is_masked)


def _head(model: nn.Module, heads: list[str]) -> tuple[nn.Module, nn.Module] | None:
    if len(heads) != 1:
        return None
    head = model.get_submodule(heads[0])
    return head, copy.deepcopy(head)


def _last_layers(model: nn.Module, moving: list[str]) -> tuple[nn.Module, nn.Module] | None:
    base = getattr(model, str(getattr(model, "base_model_prefix", "")), None)
    if not hasattr(base, "embeddings"):
        return None
    try:
        execution = execution_of(model)
    except InputError:
        return None
    first = next((i for i in range(1, len(execution.layers)) if moving == execution.parameters_from(i)), None)
    if first is None:
        return None
    path = execution.layers[0].rpartition(".")[0]
    if execution.layers != [f"{path}.{i}" for i in range(len(execution.layers))]:
        return None  # several stacks, or layers that run in another order than they are listed
    return model.get_submodule(execution.layers[first]), _LastLayers(copy.deepcopy(model), path, first).eval()


class _LastLayers(nn.Module):
    """A transformer without its first layers; the input of the others replaces the embeddings."""

    def __init__(self, model: nn.Module, path: str, first: int) -> None:
        super().__init__()
        del cast(nn.ModuleList, model.get_submodule(path))[:first]
        self.model = cast(Any, model)
        self._hidden: Tensor | None = None
        embeddings = getattr(model, str(model.base_model_prefix)).embeddings
        embeddings.forward = lambda *_, **__: self._hidden

    def forward(self, features: Float[Tensor, "batch tokens _"]) -> Float[Tensor, "batch classes"]:
        masked = self.model.main_input_name == "input_ids"
        mask = {"attention_mask": features[..., -1]} if masked else {}
        self._hidden = features[..., :-1] if masked else features
        try:
            return cast(Tensor, self.model(**{self.model.main_input_name: self._hidden}, **mask).logits)
        finally:
            self._hidden = None


class _Reached(Exception):  # noqa: N818 -- it is no error
    """Ends a forward pass early."""


def _input_of(boundary: nn.Module, forward: Callable[[], object]) -> Tensor:
    """The first argument of a module in a forward pass, which ends there."""
    inputs: list[Tensor] = []

    def take(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        inputs.append(arguments[0])
        raise _Reached

    hook = boundary.register_forward_pre_hook(take)
    try:
        with suppress(_Reached):
            forward()
    finally:
        hook.remove()
    (hidden,) = inputs
    return hidden
