"""Whether a checkpoint is a causal language model, by what its configuration says."""

import json
from pathlib import Path
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils.hub import cached_file

from suffice.errors import InputError
from suffice.models.imported import is_import_path
from suffice.models.source import ADAPTER, TINY_LM, adapter_and_base

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""Ends of the names of classes of causal language models, as in LlamaForCausalLM and GPT2LMHeadModel."""

GENERAL = "ForConditionalGeneration"

OF_ADAPTER = "CAUSAL_LM"
"""PEFT's name for them."""


def is_causal(source: str) -> bool:
    """Whether a source is a causal language model, or an adapter for one; False of what cannot be read.

    Args:
        source: as `suffice.models.language.load_language_model` takes it.

    Example:
        >>> is_causal("builtin:tiny-lm"), is_causal("builtin:tiny-vit"), is_causal("no/such-folder/at-all")
        (True, False, False)
    """
    if source == TINY_LM:
        return True
    if is_import_path(source):
        return False
    try:
        adapter, base = adapter_and_base(source)
    except InputError:
        return False
    of_adapter = None if adapter is None else _read(adapter, ADAPTER).get("task_type")
    if of_adapter is not None:
        return bool(of_adapter == OF_ADAPTER)
    if any(name.endswith(CAUSAL) for name in architectures_of(base)):
        return True
    # models of texts and images have other names, and their part for texts is one of these
    config = _read(base, "config.json")
    is_general = any(name.endswith(GENERAL) for name in architectures_of(base)) and not config.get("is_encoder_decoder")
    return is_general and config.get("model_type") in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def architectures_of(place: str) -> list[str]:
    """The classes of a checkpoint in a folder or on the hub, by its config.json; none where it does not say."""
    named = _read(place, "config.json").get("architectures")
    return [str(name) for name in named] if isinstance(named, list) else []


def _read(place: str, name: str) -> dict[str, Any]:
    file = cached_file(place, name, _raise_exceptions_for_missing_entries=False)
    if file is None:
        return {}
    try:
        held = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}
