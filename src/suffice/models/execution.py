"""The order in which the modules of a model run, which is not always that in which they are registered."""

import copy
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import logging as transformers_logging

from suffice.errors import InputError

TOKENS = 8
"""Number of tokens of the trial text."""

PATCHES = 4
"""Patches along each side of the first trial image."""

STAGE = 2 / 3
"""Items of a list are stages, and the items of the lists in them are layers, if these hold more than this share of the
parameters."""

DEFAULT_IMAGE_SIZE = 224
"""Pixels of a side, for checkpoints that state none."""


@dataclass(frozen=True)
class Execution:
    """One forward pass, as a sequence of module calls.

    Attributes:
        layers: paths of the layers, in the order of their first run. A layer that runs several times, as in ALBERT,
            counts once; one that does not run is left out.
        starts: when each layer first runs: the number of module calls before it.
        first_uses: when each parameter is first used, in the order of ``named_parameters()``: when its module first
            runs, or, if no part of that module is ever called (as the output projection of
            ``nn.MultiheadAttention``), when the nearest ancestor does. A parameter of several modules is used when
            the first of them runs.
    """

    layers: list[str]
    starts: list[int]
    first_uses: dict[str, int]

    def parameters_from(self, layer: int) -> list[str]:
        """Names of the parameters first used at or after the start of a layer, given by its index in `layers`."""
        return [name for name, use in self.first_uses.items() if use >= self.starts[layer]]


def execution_of(model: nn.Module) -> Execution:
    """Traces one forward pass on a trial input made from the model's configuration.

    A copy of the model with the same weights runs in evaluation mode; torch's random state is restored.

    Args:
        model: a Hugging Face classifier of images or texts.

    Raises:
        InputError: no trial input runs through the model.

    Example:
        >>> from transformers import OPTConfig, OPTForSequenceClassification
        >>> config = OPTConfig(
        ...     vocab_size=9, hidden_size=8, word_embed_proj_dim=8, ffn_dim=8, num_attention_heads=2,
        ...     num_hidden_layers=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        ... )
        >>> execution = execution_of(OPTForSequenceClassification(config))
        >>> execution.layers
        ['model.decoder.layers.0', 'model.decoder.layers.1']

        OPT registers its final normalisation before its layers, but runs it after them:

        >>> "model.decoder.final_layer_norm.weight" in execution.parameters_from(1)
        True
    """
    times = _times(model)
    ordered = sorted((times[path], path) for path in layers_of(model) if path in times)
    return Execution(
        layers=[path for _, path in ordered],
        starts=[start for start, _ in ordered],
        first_uses=_first_uses(model, times),
    )


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of a transformer by path, in the order of registration.

    They are the items of the longest list of modules, and of all lists at the same level if there are stages, as in
    Swin. Lists inside layers, as MobileBERT's feed-forward networks, do not count, nor do lists of modules without
    parts, as MarkupLM's embeddings. With an encoder and a decoder, they are the items of the outermost lists of both.
    """
    lists = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and all(_has_parts(item) for item in module)
    }
    levels: dict[str, list[str]] = defaultdict(list)
    for path in lists:
        levels[re.sub(r"\.\d+(?=\.|$)", ".*", path)].append(path)
    sizes = {
        level: sum(parameter.numel() for path in paths for parameter in lists[path].parameters())
        for level, paths in levels.items()
    }
    outer = {level: next((o for o in levels if level.startswith(f"{o}.*.")), None) for level in levels}
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        chosen = [path for level, paths in levels.items() if outer[level] is None for path in paths]
    else:
        stages = [level for level, around in outer.items() if around is None or sizes[level] > STAGE * sizes[around]]
        chosen = max(
            (levels[level] for level in stages),
            key=lambda paths: (max(len(lists[path]) for path in paths), sum(len(lists[path]) for path in paths)),
            default=[],
        )
    return {f"{path}.{name}": layer for path in chosen for name, layer in lists[path].named_children()}


def _has_parts(item: nn.Module) -> bool:
    return not isinstance(item, nn.ModuleList) and any(True for _ in item.children())


def image_shape(config: Any) -> tuple[int, int, int]:
    """Channels, height and width of a model's images, by its configuration.

    Example:
        >>> from transformers import ViTConfig
        >>> image_shape(ViTConfig(image_size=32))
        (3, 32, 32)
    """
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", None) or DEFAULT_IMAGE_SIZE
    height, width = (size, size) if isinstance(size, int) else size
    return getattr(vision, "num_channels", 3), height, width


def _first_uses(model: nn.Module, times: Mapping[str, int]) -> dict[str, int]:
    uses: dict[nn.Parameter, int] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owner = name.rpartition(".")[0]
        while owner not in times:
            owner = owner.rpartition(".")[0]
        uses[parameter] = min(times[owner], uses.get(parameter, times[owner]))
    return {name: uses[parameter] for name, parameter in model.named_parameters()}


def _times(model: nn.Module) -> dict[str, int]:
    """When each module first runs: the number of module calls before it.

    If ``forward`` is used without a call, as in SqueezeBERT's layers, a module runs when the first of its parts does.
    """
    calls = _calls(model)
    times = dict(calls)
    for path, time in calls.items():
        ancestor = path
        while ancestor:
            ancestor = ancestor.rpartition(".")[0]
            times.setdefault(ancestor, time)
    return times


def _calls(model: nn.Module) -> dict[str, int]:
    failure: Exception | None = None
    for inputs in _trial_inputs(model):
        try:
            return _traced(model, inputs)
        except Exception as error:  # each model fails in its own way on an input that it does not take
            failure = failure or error
    reason = "it has no configuration" if failure is None else " ".join(str(failure).split()).partition(". ")[0]
    raise InputError(
        f"{type(model).__name__}: the order of its layers is unknown, as it runs on no trial input ({reason}); name "
        "the parameters that move by globs"
    )


def _traced(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, int]:
    # a copy that shares all tensors: Swin keeps the window size of the last image
    tensors = [*model.parameters(), *model.buffers()]
    trial = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors}).eval()
    times: dict[str, int] = {}
    calls = 0

    def note(path: str) -> None:
        nonlocal calls
        times.setdefault(path, calls)
        calls += 1

    for path, module in trial.named_modules():
        module.register_forward_pre_hook(lambda *_, path=path: note(path))
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(**inputs)
    finally:
        transformers_logging.set_verbosity(verbosity)
    return times


def _trial_inputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Inputs to try, the cheapest first."""
    config: Any = getattr(model, "config", None)
    if config is None:
        return
    weights = next(model.parameters())
    if getattr(model, "main_input_name", None) != "pixel_values":
        yield {"input_ids": _text(config).to(weights.device)}
    if "pixel_values" in inspect.signature(model.forward).parameters:
        yield from ({"pixel_values": torch.zeros(shape).to(weights)} for shape in _image_shapes(config))
    dummies: Mapping[str, Tensor] = getattr(model, "dummy_inputs", {})
    yield {name: value.to(weights.device) for name, value in dummies.items()}


def _text(config: Any) -> Tensor:
    """One text of ordinary tokens and an end-of-text token, which the heads of BART and T5 need."""
    text = config.get_text_config()
    vocabulary = range(getattr(text, "vocab_size", TOKENS))
    special = [getattr(text, f"{kind}_token_id", None) for kind in ("pad", "bos", "eos")]
    ordinary = next((token for token in vocabulary if token not in special), 0)
    end = special[-1] if special[-1] in vocabulary else ordinary
    return torch.tensor([[ordinary] * (TOKENS - 1) + [end]])


def _image_shapes(config: Any) -> Iterator[tuple[int, int, int, int]]:
    channels, height, width = image_shape(config)
    patch = getattr(getattr(config, "vision_config", config), "patch_size", None)
    if isinstance(patch, int):
        yield 1, channels, PATCHES * patch, PATCHES * patch
    yield 1, channels, height, width
