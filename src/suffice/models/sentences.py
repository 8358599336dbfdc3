"""Folders of the library sentence-transformers: an encoder of texts with its own pooling, read without that library."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn
from transformers.utils.hub import cached_file

from suffice.errors import InputError, nearest
from suffice.models.encoder import MODES, Normalize, PoolingMode

FILE = "modules.json"
"""Lists what a folder of sentence-transformers has, in the order in which it runs."""

OLD_MODES: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Keys by which versions before 6 say how to pool, in the order in which the results are joined."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    name: getattr(nn, name) for name in ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")
}
"""What may follow a linear map."""

KNOWN = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize")

MODE_IN_WORDS: dict[PoolingMode, str] = {
    "cls": "the first token",
    "max": "the maximum over tokens",
    "mean": "the mean over tokens",
    "mean_sqrt_len_tokens": "the sum over tokens, divided by the root of their number",
    "weightedmean": "the mean over tokens, weighted by their positions",
    "lasttoken": "the last token",
}


@dataclass(frozen=True)
class Sentences:
    """What is done around a transformer.

    Attributes:
        transformer: the folder of the transformer and its tokenizer, or the name on the hub.
        modes: how the hidden states of tokens are pooled.
        after: what follows, with its weights.
        longest: the largest number of tokens; None where the folder does not say.
        is_lower_case: texts are put into lower case first.
        notes: what a person should know of it.
    """

    transformer: str
    modes: tuple[PoolingMode, ...]
    after: tuple[nn.Module, ...]
    longest: int | None
    is_lower_case: bool
    notes: tuple[str, ...]


def read_sentences(place: str) -> Sentences | None:
    """How a folder of sentence-transformers makes a vector of a text; None for another folder.

    Args:
        place: the folder, or the name on the hub.

    Raises:
        InputError: modules that are not known, in another order, or with settings or weights that do not fit.
    """
    if _file(place, FILE) is None:
        return None
    listed = _json(place, FILE)
    try:
        modules = [(str(entry["type"]).rpartition(".")[2], str(entry["path"])) for entry in listed]
    except (KeyError, TypeError) as error:
        raise InputError(f"{place}: {FILE} does not say the type and the path of each module") from error
    kinds = [kind for kind, _ in modules]
    for kind in kinds:
        if kind not in KNOWN:
            raise InputError(
                f"{place}: {FILE} has a module {kind!r}, which is not known{nearest(kind, KNOWN)}; known are "
                f"{', '.join(KNOWN)}: give the folder of the transformer alone"
            )
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= set(KNOWN[2:]):
        raise InputError(
            f"{place}: {FILE} has {', '.join(kinds) or 'no modules'}: it has to begin with Transformer and Pooling, "
            "each once"
        )
    path = modules[0][1]
    if path and not Path(place).is_dir():
        raise InputError(f"{place}: its transformer is in {path!r}: download the model and give its folder")
    transformer = str(Path(place) / path) if path else place
    settings = (
        _json(transformer, "sentence_bert_config.json") if _file(transformer, "sentence_bert_config.json") else {}
    )
    modes = _modes(place, modules[1][1])
    after = tuple(_after(place, kind, folder) for kind, folder in modules[2:])
    return Sentences(
        transformer=transformer,
        modes=modes,
        after=after,
        longest=settings.get("max_seq_length"),
        is_lower_case=bool(settings.get("do_lower_case", False)),
        notes=(_in_words(modes, kinds[2:]), *_of_prompt(place)),
    )


def _in_words(modes: tuple[PoolingMode, ...], after: list[str]) -> str:
    """
    Example:
        >>> _in_words(("mean",), ["Normalize"])
        'Features of a text, as modules.json says: the mean over tokens, then Normalize.'
    """
    pooled = " and ".join(MODE_IN_WORDS[mode] for mode in modes)
    return f"Features of a text, as {FILE} says: {', then '.join([pooled, *after])}."


def _of_prompt(place: str) -> tuple[str, ...]:
    name = "config_sentence_transformers.json"
    prompt = _json(place, name).get("default_prompt_name") if _file(place, name) else None
    return (f"The prompt {prompt!r}, which {name} puts before each text, is left out.",) if prompt else ()


def _modes(place: str, folder: str) -> tuple[PoolingMode, ...]:
    settings = _json(place, f"{folder}/config.json")
    named = settings.get("pooling_mode")
    if named is None:
        modes: list[Any] = [mode for key, mode in OLD_MODES.items() if settings.get(key)] or ["mean"]
    else:
        modes = [named] if isinstance(named, str) else list(named)
    for mode in modes:
        if mode not in MODES:
            raise InputError(
                f"{place}: {folder}/config.json pools by {mode!r}{nearest(str(mode), MODES)}; known are "
                f"{', '.join(MODES)}"
            )
    return tuple(modes)


def _after(place: str, kind: str, folder: str) -> nn.Module:
    if kind == "Normalize":
        return Normalize()
    settings = _json(place, f"{folder}/config.json")
    strange = [
        f"{key} = {settings[key]!r}"
        for key, usual in (
            ("use_residual", (False,)),
            ("module_input_name", ("sentence_embedding",)),
            ("module_output_name", ("sentence_embedding", None)),
        )
        if key in settings and settings[key] not in usual
    ]
    if strange:
        raise InputError(f"{place}: {folder}/config.json has {strange[0]}, which is not known")
    try:
        if kind == "LayerNorm":
            module: nn.Module = nn.LayerNorm(settings["dimension"])
            return _with_weights(place, folder, module, "norm.")
        linear = nn.Linear(settings["in_features"], settings["out_features"], bool(settings.get("bias", True)))
    except (KeyError, TypeError) as error:
        raise InputError(f"{place}: {folder}/config.json does not say the sizes of {kind} ({error})") from error
    name = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise InputError(
            f"{place}: {folder}/config.json has the activation {name!r}; known are {', '.join(ACTIVATIONS)}"
        )
    return nn.Sequential(_with_weights(place, folder, linear, "linear."), ACTIVATIONS[name]())


def _with_weights(place: str, folder: str, module: nn.Module, prefix: str) -> nn.Module:
    file = _file(place, f"{folder}/model.safetensors")
    if file is None:
        raise InputError(f"{place}: {folder} has no model.safetensors: save the model again with sentence-transformers")
    try:
        module.load_state_dict({name.removeprefix(prefix): value.float() for name, value in load_file(file).items()})
    except Exception as error:  # of safetensors, or weights that do not fit
        what = " ".join(str(error).split())[:200]
        raise InputError(f"{place}: {folder}/model.safetensors has no weights of this module ({what})") from error
    return module


def _file(place: str, name: str) -> str | None:
    found = cached_file(place, name, _raise_exceptions_for_missing_entries=False)
    return None if found is None else str(found)


def _json(place: str, name: str) -> Any:
    file = _file(place, name)
    if file is None:
        raise InputError(f"{place}: {name} is missing, which {FILE} asks for")
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{place}: {name} is not JSON ({error})") from error
