"""Adapters of PEFT, such as LoRA and DoRA, on the model that they are for."""

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from peft.utils import load_peft_weights, set_peft_model_state_dict
from torch import Tensor, nn

from suffice.errors import InputError
from suffice.models.moving import heads_of, is_within

WRAPPED = "base_model.model."
"""Begins the names of an adapter's weights."""


def with_adapter(
    source: str, adapter: str, model: nn.Module, classes: Sequence[str], has_new_head: bool
) -> tuple[PeftModel, bool]:
    """The model with its adapter, whose weights require a gradient, and whether the head is still a new one.

    An adapter that was trained on an encoder without a head, or on a language model, is put on the same layers of the
    classifier; a new head is trained with it.

    Args:
        source: the adapter, for messages.
        adapter: its folder, or its name on the hub.
        model: the classifier that the adapter is for.
        classes: names of the classes of the data.
        has_new_head: the head of the model is random, unless the adapter brings one.

    Raises:
        InputError: a head for another number of classes, an adapter without a head that is no change of weights, or
            weights of the adapter that have no place in the model.
    """
    weights: dict[str, Tensor] = load_peft_weights(adapter, device="cpu")
    heads = heads_of(model)
    brings_head = any(is_within(_own(key), heads) for key in weights)
    if brings_head or not has_new_head:
        _check_classes(source, weights, model, heads, classes)
        adapted = PeftModel.from_pretrained(model, adapter, is_trainable=True)
        placed = weights
    else:
        settings = PeftConfig.from_pretrained(adapter)
        if settings.is_prompt_learning:
            raise InputError(f"{source}: an adapter by {settings.peft_type.value} without a head: give one with a head")
        # of the task it was for, the library would make a model that gives no logits
        settings.task_type, settings.inference_mode = None, False
        settings.modules_to_save = list(heads)
        own_head = {f"{WRAPPED}{name}": value for name, value in model.state_dict().items() if is_within(name, heads)}
        placed = _renamed(weights, model) | own_head  # the library asks for all that is saved with an adapter
        with torch.random.fork_rng(devices=[]):
            adapted = get_peft_model(model, settings)
    found: Any = set_peft_model_state_dict(adapted, placed)
    lost = [key for key in found.unexpected_keys if "embed" not in key]
    if lost:
        raise InputError(
            f"{source}: {len(lost)} weights of the adapter have no place in the model, such as {_own(lost[0])}: the "
            "adapter is for another model"
        )
    return adapted, has_new_head and not brings_head


def _own(key: str) -> str:
    return key.removeprefix(WRAPPED)


def _renamed(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights under the names that they have in the classifier, where they were those of its base model alone."""
    base = str(getattr(model, "base_model_prefix", ""))
    for path in ("", base, f"{base}.transformer"):
        try:
            parts = {name for name, _ in (model.get_submodule(path) if path else model).named_children()}
        except AttributeError:
            continue
        if all(_own(key).partition(".")[0] in parts for key in weights):
            return {f"{WRAPPED}{path}.{_own(key)}" if path else key: value for key, value in weights.items()}
    return weights


def _check_classes(
    source: str, weights: dict[str, Tensor], model: nn.Module, heads: Sequence[str], classes: Sequence[str]
) -> None:
    """Refuses an adapter that brings a head for another number of classes than the model is made for."""
    own = model.state_dict()
    for key, value in weights.items():
        name = _own(key)
        if is_within(name, heads) and name in own and value.shape != own[name].shape:
            raise InputError(
                f"{source}: its head is for {len(value):,} classes, and the data have {len(classes):,}: choose them "
                "with --classes, or give another adapter"
            )
