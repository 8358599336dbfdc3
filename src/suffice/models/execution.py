"""The order in which the modules of a model run, which is not always that in which they are registered."""

import copy
import inspect
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn
from transformers import logging as transformers_logging

from suffice.errors import InputError

TOKENS = 8
"""Number of tokens of the trial text."""

PATCHES = 4
"""Patches along each side of a small trial image."""

STAGE = 1 / 2
"""Lists inside the items of another list can be the layers if they hold more than this share of its parameters."""

DEFAULT_IMAGE_SIZE = 224
"""Pixels of a side, for checkpoints that state none."""


REASON = 120
"""Characters of a model's own message that are shown."""


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

    A copy that shares the parameters runs in evaluation mode, because some models change with their input, as Swin does
    its window size. The model and torch's random state do not change.

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

    They are the items of the list of modules with the most parameters, so lists of patch embeddings do not count. If
    the items of that list differ in shape and consist of lists of modules of one type, as the stages of Swin do, the
    items of these inner lists are the layers, however many each stage has. Other lists inside layers, as MobileBERT's
    feed-forward networks or experts, do not count. If several lists of one length are side by side, as XLM's attentions
    and feed-forward networks, the first one stands for the layers. With an encoder and a decoder, the layers are the
    items of the outermost lists of both.
    """
    lists = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and not any(isinstance(item, nn.ModuleList) for item in module)
    }
    levels: dict[str, list[str]] = defaultdict(list)
    for path in lists:
        levels[re.sub(r"\.\d+(?=\.|$)", ".*", path)].append(path)
    roots = [level for level in levels if not any(level.startswith(f"{other}.*.") for other in levels)]
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        chosen = [path for level in roots for path in levels[level]]
    else:
        of_levels = {level: [lists[path] for path in paths] for level, paths in levels.items()}
        side_by_side: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        for level in roots:
            side_by_side[level.rpartition(".")[0], len(levels[level]), len(of_levels[level][0])].append(level)
        groups = side_by_side.values()
        largest = max(groups, key=lambda group: sum(_size(of_levels[level]) for level in group), default=[])
        chosen = levels[_within(largest[0], of_levels)] if largest else []
    return {f"{path}.{name}": layer for path in chosen for name, layer in lists[path].named_children()}


def _within(level: str, of_levels: Mapping[str, list[nn.ModuleList]]) -> str:
    """The level of the layers: this one, or one inside its items, if they are stages."""
    shapes = [tuple(parameter.shape for parameter in item.parameters()) for outer in of_levels[level] for item in outer]
    if len(set(shapes)) < len(shapes):
        return level
    for inner, lists in of_levels.items():
        is_alike = all(len({type(item) for item in items}) == 1 for items in lists)
        if (
            inner.startswith(f"{level}.*.")
            and is_alike
            and len(lists) == len(shapes)
            and (len(shapes) > 1 or len(lists[0]) > 1)
            and _size(lists) > STAGE * _size(of_levels[level])
        ):
            return _within(inner, of_levels)
    return level


def _size(lists: Iterable[nn.ModuleList]) -> int:
    return sum(parameter.numel() for items in lists for parameter in items.parameters())


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
    failure: Exception | None = None  # of the input that the model is configured for
    for inputs, is_configured in trial_inputs(model):
        try:
            return _traced(copy.deepcopy(model, {id(value): value for value in model.parameters()}), inputs)
        except Exception as error:  # each model fails in its own way on an input that it does not take
            failure = error if is_configured else failure
    reason = (
        "it has no configuration"
        if failure is None
        else shorten(str(failure).partition(". ")[0], REASON, placeholder=" …")
    )
    raise InputError(
        f"the order in which the layers of {type(model).__name__} run is unknown, as no trial input runs through it "
        f"({reason}): take head, lora(r) or full, or name the parameters that move by globs"
    )


def _traced(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """For each module that is called, the number of calls before its first. The hooks stay on the model."""
    times: dict[str, int] = {}
    calls = 0

    def note(path: str) -> None:
        nonlocal calls
        times.setdefault(path, calls)
        calls += 1

    for path, module in model.named_modules():
        module.register_forward_pre_hook(lambda *_, path=path: note(path), with_kwargs=True)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model(**inputs)
    finally:
        transformers_logging.set_verbosity(verbosity)
    return times


def trial_inputs(model: nn.Module) -> Iterator[tuple[dict[str, Tensor], bool]]:
    """Inputs to try, and whether each is what the model is configured for.

    A small image comes first, if the model takes it: the order is the same, and an image of 518 pixels takes long.
    """
    config: Any = getattr(model, "config", None)
    if config is None:
        return
    weights = next(model.parameters())
    name = getattr(model, "main_input_name", None)
    if name != "input_ids" and "pixel_values" in inspect.signature(model.forward).parameters:
        configured = image_shape(config)
        for shape in sorted({configured, *_small_images(config)}, key=math.prod):
            yield {"pixel_values": torch.zeros(1, *shape).to(weights)}, shape == configured
    else:
        yield {"input_ids": _text(config).to(weights.device)}, True
    dummies: Mapping[str, Tensor] = getattr(model, "dummy_inputs", {})
    if name in dummies:
        yield {key: value.to(weights.device) for key, value in dummies.items()}, False


def _text(config: Any) -> Tensor:
    """One text of ordinary tokens and an end-of-text token, which the heads of BART and T5 need."""
    text = config.get_text_config()
    vocabulary = range(getattr(text, "vocab_size", TOKENS))
    special = [getattr(text, f"{kind}_token_id", None) for kind in ("pad", "bos", "eos")]
    ordinary = next((token for token in vocabulary if token not in special), 0)
    end = special[-1] if special[-1] in vocabulary else ordinary
    return torch.tensor([[ordinary] * (TOKENS - 1) + [end]])


def _small_images(config: Any) -> Iterator[tuple[int, int, int]]:
    """Channels, height and width of an image of few patches, if the model has square patches."""
    patch = getattr(getattr(config, "vision_config", config), "patch_size", None)
    if isinstance(patch, int):
        yield image_shape(config)[0], PATCHES * patch, PATCHES * patch
