"""Which parameters move: the head, the last layers, or all."""

import re

from torch import nn

from suffice.errors import InputError

METHODS = "head, last_layers(n) or all"
_LAST_LAYERS = re.compile(r"last_layers\((\d+)\)")


def moving_parameters(model: nn.Module, method: str) -> list[str]:
    """Names of the parameters that a method of fine-tuning moves.

    - ``head``: those outside the pretrained base model;
    - ``last_layers(n)``: those of the last n layers, and of all that comes after (final normalisation, head);
    - ``all``: all; for a model wrapped by PEFT, those that its adapter trains.

    Args:
        model: a Hugging Face classifier, or one wrapped by PEFT.
        method: one of the three.

    Raises:
        InputError: another method, more layers than there are, or a part of a model wrapped by PEFT.

    Example:
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> model = ViTForImageClassification(ViTConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=2))
        >>> moving_parameters(model, "head")
        ['classifier.weight', 'classifier.bias']
    """
    wrapped = hasattr(model, "peft_config")
    names = [name for name, parameter in model.named_parameters() if not wrapped or parameter.requires_grad]
    if method == "all":
        return names
    last_layers = _LAST_LAYERS.fullmatch(method.replace(" ", ""))
    if method != "head" and last_layers is None:
        raise InputError(f"{method!r} is not a way to fine-tune; take {METHODS}")
    if wrapped:
        raise InputError(f"{method!r} does not go with a PEFT adapter: take 'all' to train what the adapter trains")
    base = str(getattr(model, "base_model_prefix", ""))
    if last_layers is None:
        head = [name for name in names if not name.startswith(f"{base}.")]
        if not head or len(head) == len(names):
            raise InputError("no head was found in this model: name the parameters with a glob")
        return head
    path, layers = max(
        ((path, module) for path, module in model.named_modules() if isinstance(module, nn.ModuleList)),
        key=lambda found: len(found[1]),
        default=("", nn.ModuleList()),
    )
    count = int(last_layers[1])
    if not 1 <= count <= len(layers):
        raise InputError(f"{method}: this model has {len(layers)} layers; take 1 to {len(layers)}")
    first = next(place for place, name in enumerate(names) if name.startswith(f"{path}.{len(layers) - count}."))
    return names[first:]
