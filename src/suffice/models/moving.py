"""Which parameters move: the head, the last layers, a low-rank adapter, or all."""

import re
import warnings
from collections.abc import Sequence

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from suffice.errors import InputError, nearest
from suffice.models.execution import execution_of, layers_of

METHODS = "head, last_layers(n), lora(r) or full"
_WITH_NUMBER = re.compile(r"(last_layers|lora)\((\d+)\)")

QUERIES_AND_VALUES = frozenset(
    {"query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v", "query_proj", "value_proj"}
)
"""Names of the projections that LoRA adapts by default, as E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language
Models", ICLR 2022, section 4.2, do."""


def adapted(model: nn.Module, method: str, targets: Sequence[str] | None = None, seed: int = 0) -> nn.Module:
    """Prepares a model for a method of fine-tuning: exactly the parameters that move require a gradient.

    For ``lora(r)``, PEFT wraps the model: a weight W of the targets becomes W + 2 B A of rank r, with B = 0 and A
    random at first (E. Hu et al., ICLR 2022, equation 3, with alpha = 2 r), and the head moves as well. For other
    methods the model itself is returned.

    Args:
        model: a Hugging Face classifier.
        method: head, last_layers(n), lora(r) or full.
        targets: names of the linear maps that LoRA adapts, or the ends of their paths; queries and values by default.
        seed: random seed of A.

    Raises:
        InputError: an unknown method, more layers than the model has, or targets that match nothing.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> model = ViTForImageClassification(ViTConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1))
        >>> [name for name, moving in adapted(model, "lora(2)").named_parameters() if moving.requires_grad][0]
        'base_model.model.vit.layers.0.attention.q_proj.lora_A.default.weight'
    """
    rank = _number(method, "lora")
    if rank is not None:
        return _with_lora(model, rank, targets, seed)
    moving = set(moving_parameters(model, method))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in moving)
    return model


def moving_parameters(model: nn.Module, method: str) -> list[str]:
    """Names of the parameters that a method of fine-tuning moves.

    - ``head``: those outside the pretrained base model.
    - ``last_layers(n)``: those first used in the last n layers, in the order in which layers run, or after them (final
      normalisation, head). Layers of an encoder and of a decoder count together, so the last layer is the decoder's;
      embeddings that both share are used earlier and do not move.
    - ``full``, or ``all``: all; for a model wrapped by PEFT, those that its adapter trains.

    Args:
        model: a Hugging Face classifier, or one wrapped by PEFT.
        method: one of these; ``lora(r)`` adds parameters, see `adapted`.

    Raises:
        InputError: an unknown method, more layers than the model has, a method other than ``full`` for a model wrapped
        by PEFT, or ``last_layers(n)`` of a model whose layers cannot be put in order (see `execution_of`).

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> model = ViTForImageClassification(ViTConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=2))
        >>> moving_parameters(model, "head")
        ['classifier.weight', 'classifier.bias']
    """
    wrapped = hasattr(model, "peft_config")
    names = [name for name, parameter in model.named_parameters() if not wrapped or parameter.requires_grad]
    if method in ("full", "all"):
        return names
    count = last_layers(method)
    if method != "head" and count is None:
        raise InputError(f"{method!r} is not a way to fine-tune; take {METHODS}")
    if wrapped:
        raise InputError(f"{method!r} does not go with a PEFT adapter: take 'full' to train what the adapter trains")
    if count is None:
        base = str(getattr(model, "base_model_prefix", ""))
        head = [name for name in names if not name.startswith(f"{base}.")]
        if not head or len(head) == len(names):
            raise InputError("no head was found in this model: name the parameters with a glob")
        return head
    execution = execution_of(model)
    layers = len(execution.layers)
    if not 1 <= count <= layers:
        raise InputError(f"{method}: this model has {layers} layers; take 1 to {layers}")
    return execution.parameters_from(layers - count)


def renew_head(model: nn.Module, seed: int) -> None:
    """Initialises the head anew, as torch does for new modules.

    Raises:
        InputError: the model has no head.
    """
    heads = {name.partition(".")[0] for name in moving_parameters(model, "head")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in sorted(heads):
            for module in model.get_submodule(name).modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()


def last_layers(method: str) -> int | None:
    """The n of ``last_layers(n)``; None for another method."""
    return _number(method, "last_layers")


def _number(method: str, of: str) -> int | None:
    match = _WITH_NUMBER.fullmatch(method.replace(" ", ""))
    return int(match[2]) if match is not None and match[1] == of else None


def _with_lora(model: nn.Module, rank: int, targets: Sequence[str] | None, seed: int) -> nn.Module:
    if rank < 1:
        raise InputError(f"lora({rank}): the rank must be at least 1")
    if hasattr(model, "peft_config"):
        raise InputError("lora(r) does not go with a checkpoint that has an adapter: take 'full' to train that one")
    linear = [
        f"{path}.{name}"
        for path, layer in layers_of(model).items()
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear)
    ]
    candidates = sorted({name.rpartition(".")[2] for name in linear})
    wanted = sorted(QUERIES_AND_VALUES & set(candidates)) if targets is None else list(targets)
    if not wanted:
        raise InputError(
            f"no queries and values by a known name: say what LoRA adapts; there are {_listed(candidates)}"
        )
    for target in wanted:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            raise InputError(
                f"no linear map matches the LoRA target {target!r}{nearest(target, candidates)}; "
                f"there are {_listed(candidates)}"
            )
    heads = sorted({name.partition(".")[0] for name in moving_parameters(model, "head")})
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        warnings.simplefilter("ignore", FutureWarning)  # of what PEFT asks transformers for
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=wanted, modules_to_save=heads)
        return get_peft_model(model, settings).eval()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
