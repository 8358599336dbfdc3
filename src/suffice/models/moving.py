"""Which parameters move: the head, the last layers, a low-rank adapter, or all."""

import re
import warnings
from collections.abc import Sequence

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from suffice.errors import InputError, nearest
from suffice.models.execution import execution_of, layers_of

METHODS = "head, last_layers(n), lora(r) or full"
_WITH_NUMBER = re.compile(r"(last_layers|lora)\((\d+)\)")

HEADS = frozenset({"classifier", "classification_head", "score", "head", "fc", "logits_proj"})
"""Names of heads."""

MARK = "_suffice_head"
"""The attribute of a model that says which part is its head, see `mark_head`."""

QUERIES_AND_VALUES = frozenset(
    {"query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v", "query_proj", "value_proj"}
    | {"c_attn", "query_key_value", "qkv_proj", "Wqkv"}
)
"""Names of the projections that LoRA adapts by default, as E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language
Models", ICLR 2022, section 4.2, do; and maps to queries, keys and values in one."""

LINEAR = (nn.Linear, Conv1D)
"""Linear maps; GPT-2 has them transposed."""


def adapted(model: nn.Module, method: str, targets: Sequence[str] | None = None, seed: int = 0) -> nn.Module:
    """The model with a gradient required of what a method of fine-tuning moves, and of nothing else.

    For ``lora(r)`` it is wrapped by PEFT: W + 2 B A in the targets, B = 0 and A random at first, of rank r (E. Hu et
    al., ICLR 2022, equation 3, with alpha = 2 r), and the head moves as well. Otherwise it is the model itself.

    Args:
        model: a Hugging Face classifier, in which all parameters are as the checkpoint has them.
        method: head, last_layers(n), lora(r) or full.
        targets: names of the linear maps that lora adapts, or ends of their paths; queries and values by default.
        seed: of A.

    Raises:
        InputError: another method, more layers than there are, or targets that match nothing.

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

    - ``head``: those outside the pretrained base model, see `heads_of`;
    - ``last_layers(n)``: those of the last n layers in the order in which they run, and all that are first used after
      these layers begin (final normalisation, head). The layers of an encoder and a decoder count together, so the last
      layer is the decoder's; embeddings that both share are used before, and do not move;
    - ``full``, or ``all``: all; for a model wrapped by PEFT, those that its adapter trains.

    Args:
        model: a Hugging Face classifier, or one wrapped by PEFT.
        method: one of these; ``lora(r)`` adds parameters of its own, see `adapted`.

    Raises:
        InputError: another method, more layers than there are, a part of a model wrapped by PEFT, or ``last_layers(n)``
        of a model in which the order of the layers cannot be found (see `execution_of`).

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
        heads = _known_heads(model)
        return [name for name in names if is_within(name, heads)]
    execution = execution_of(model)
    layers = len(execution.layers)
    if not 1 <= count <= layers:
        raise InputError(f"{method}: this model has {layers} layers; take 1 to {layers}")
    return execution.parameters_from(layers - count)


def heads_of(model: nn.Module) -> list[str]:
    """Names of the parts of a model that are its head: those with parameters beside the pretrained base model.

    Where the base model is no part by its name, as in CLIP's classifiers of images, they are those named as heads are.
    There may be none, as in Perceiver's, where the head is within the base model.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> heads_of(ViTForImageClassification(ViTConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1)))
        ['classifier']
    """
    marked: str | None = getattr(model, MARK, None)
    if marked is not None:
        return [marked] if marked else []
    parts = list(dict.fromkeys(name.partition(".")[0] for name, _ in model.named_parameters()))
    base = str(getattr(model, "base_model_prefix", ""))
    heads = [name for name in parts if name != base] if base in parts else [name for name in parts if name in HEADS]
    return [] if len(heads) == len(parts) else heads


def mark_head(model: nn.Module, path: str | None) -> None:
    """Says which part of a model is its head, or that there is none, where parts have names of their own."""
    setattr(model, MARK, path or "")


def is_within(name: str, heads: Sequence[str]) -> bool:
    """Whether a parameter belongs to one of some parts.

    Example:
        >>> is_within("body.head.weight", ["body.head"]), is_within("header.weight", ["head"])
        (True, False)
    """
    return any(name.startswith(f"{head}.") for head in heads)


def _known_heads(model: nn.Module) -> list[str]:
    heads = heads_of(model)
    if not heads:
        raise InputError(
            f"no head was found among the parts of this model ({_listed([name for name, _ in model.named_children()])}"
            "): take last_layers(n) or full"
        )
    return heads


def renew_head(model: nn.Module, seed: int) -> None:
    """Draws the weights of the head anew, as torch does for a new module, for one class out of several.

    Raises:
        InputError: no head is found.
    """
    heads = _known_heads(model)
    config = getattr(model, "config", None)
    if config is not None:
        config.problem_type = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in sorted(heads):
            for module in model.get_submodule(name).modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()


def center_head(model: nn.Module, value: float) -> None:
    """Lets a head with one output begin at a value: its bias, if it has one that moves.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
        >>> center_head(model, 5.0)
        >>> model[1].bias.tolist()
        [5.0]
    """
    heads = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == 1]
    biases = [head.bias for head in heads if head.bias is not None and head.bias.requires_grad]
    if biases:
        with torch.no_grad():
            biases[-1].fill_(value)


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
        if isinstance(module, LINEAR)
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
    heads = [] if getattr(model, MARK, None) == "" else sorted(_known_heads(model))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        warnings.simplefilter("ignore")  # of what PEFT asks transformers for, and that Conv1D is transposed
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=wanted, modules_to_save=heads or None)
        return get_peft_model(model, settings).eval()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
