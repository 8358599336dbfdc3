"""Causal language models from a folder, the hub or the package, with their tokenizer and adapter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from suffice.data.completions import Texts
from suffice.errors import InputError, reason
from suffice.models.checkpoint import reading
from suffice.models.language.kind import architectures_of, is_causal
from suffice.models.language.losses import LanguageProblem, Writer, writer_of
from suffice.models.language.tokens import Encoding, Tokens
from suffice.models.moving import adapted, mark_head
from suffice.models.padding import vocabulary_of
from suffice.models.source import adapter_and_base

KIND = "language model"

MISFIT = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\(\[([\d, ]*)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[([\d, ]*)\]\)"
)
"""A weight that does not fit, as torch tells of it."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model as it was read.

    Attributes:
        model: the module, in evaluation mode, in float32.
        encoding: how texts become tokens.
        writer: how the model gives the losses of samples.
        vocabulary: number of token embeddings.
        notes: what a person should know of how it was read.
    """

    model: nn.Module
    encoding: Encoding
    writer: Writer
    vocabulary: int
    notes: tuple[str, ...] = ()

    def tokens(self, texts: Texts) -> Tokens:
        """Texts as this model's tokens.

        Raises:
            InputError: as `Tokens`.
        """
        return Tokens(texts, self.encoding, self.vocabulary)

    def problem(
        self,
        tokens: Tokens,
        parameters: str | Sequence[str] | None = None,
        order: Literal["shuffled", "source"] = "shuffled",
        seed: int = 0,
        unit: Literal["sample", "token"] = "sample",
    ) -> LanguageProblem:
        """The losses of samples as a `Problem`: k counts samples.

        Args:
            tokens: the samples.
            parameters: that move, as globs; by default those that require a gradient (see `moved`).
            order: the order that k counts.
            seed: of the shuffle.
            unit: what counts alike in means: samples, or the tokens of answers.
        """
        return LanguageProblem(self.model, tokens, self.writer, parameters, order, seed, unit)


def load_language_model(
    source: str,
    max_length: int | None = None,
    whole: bool = False,
    end: str | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """A causal language model, with the adapter of PEFT if the source is one.

    Args:
        source: a Hugging Face folder, a hub name, or ``builtin:tiny-lm``.
        max_length: tokens of a sample at most; by default what model and tokenizer take.
        whole: the loss counts on prompts too.
        end: the end-of-text token, where the tokenizer names none.
        trust_remote_code: run the code in a checkpoint.

    Raises:
        InputError: no such model, one of another kind, weights that are missing, no tokenizer or end-of-text token, or
            an adapter that does not fit.

    Example:
        >>> found = load_language_model("builtin:tiny-lm")
        >>> found.vocabulary, found.encoding.longest
        (1024, 512)
    """
    adapter, base = adapter_and_base(source)
    classes = architectures_of(base)
    if classes and not is_causal(source):
        raise InputError(
            f"{source}: {classes[0]} is no causal language model: give one, or data with labels (--label-column) for a "
            "classifier"
        )
    with reading(source, KIND):
        config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
        read: Any = AutoModelForCausalLM.from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
        model, info = read
        if info["missing_keys"]:
            missing = sorted(info["missing_keys"])
            raise InputError(
                f"{source}: the checkpoint lacks {len(missing)} weights of the model: {', '.join(missing[:5])}"
            )
        tokenizer = _tokenizer(source, adapter, base, trust_remote_code)
        vocabulary = vocabulary_of(model)  # an adapter may wrap the table
        mark_head(model, None)  # what an adapter leaves as it is
        wrapped = model if adapter is None else _with_adapter(source, adapter, model, len(tokenizer))
    if vocabulary is None:
        raise InputError(f"{source}: has no table of token embeddings: give another model")
    ending = _end(source, tokenizer, end, vocabulary)
    own = tokenizer.pad_token_id
    padding = own if own is not None and own < vocabulary else ending
    notes = () if own is not None else ("The tokenizer has no token for padding: the end-of-text token pads.",)
    writer = writer_of(model.eval(), padding, vocabulary)
    if adapter is not None:
        writer = Writer(f"base_model.model.{writer.head}", writer.is_plain, padding)
    longest = _longest(model.config, tokenizer)
    if max_length is not None:
        if max_length < 2:
            raise InputError(f"max_length = {max_length}: must be at least 2")
        if longest is not None and max_length > longest:
            raise InputError(f"max_length = {max_length}: the model takes {longest:,} tokens at most; give no more")
        longest = max_length
    return LanguageModel(wrapped.eval(), Encoding(tokenizer, ending, longest, whole), writer, vocabulary, notes)


def moved(language: LanguageModel, method: str, targets: Sequence[str] | None = None, seed: int = 0) -> LanguageModel:
    """The model with a gradient required of what a method of fine-tuning moves, and of nothing else.

    Args:
        language: as it was read.
        method: last_layers(n), lora(r) or full; see `suffice.models.adapted`. LoRA leaves the head as it is.
        targets: names of the linear maps that LoRA adapts; queries and values by default.
        seed: of LoRA's random factor.

    Raises:
        InputError: another method, more layers than there are, or targets that match nothing.

    Example:
        >>> found = moved(load_language_model("builtin:tiny-lm"), "lora(2)")
        >>> sum(weight.numel() for weight in found.model.parameters() if weight.requires_grad)
        3072
    """
    model = adapted(language.model, method, targets, seed)
    writer = language.writer
    if model is not language.model:
        writer = Writer(f"base_model.model.{writer.head}", writer.is_plain, writer.padding, writer.side)
    return LanguageModel(model, language.encoding, writer, language.vocabulary, language.notes)


def _tokenizer(source: str, adapter: str | None, base: str, trust_remote_code: bool) -> Any:
    """That of the adapter if it has one, else that of the base model."""
    own = adapter is not None and (Path(adapter) / "tokenizer_config.json").exists()
    missing = f"{source}: has no tokenizer; put tokenizer.json there, as its makers published it"
    try:
        found = AutoTokenizer.from_pretrained(adapter if own else base, trust_remote_code=trust_remote_code)
    except ValueError as error:
        if "instantiate the backend tokenizer" not in str(error):
            raise
        raise InputError(missing) from error
    # where its files are missing, the library makes one that knows nothing, and says so nowhere
    if len(found) <= len(found.all_special_ids):
        raise InputError(missing)
    return found


def _with_adapter(source: str, adapter: str, model: Any, tokens: int) -> nn.Module:
    known = vocabulary_of(model)
    fault = f"the tokenizer has {tokens:,} tokens and the model that it is for {known:,}"
    try:
        found: nn.Module = PeftModel.from_pretrained(model, adapter, is_trainable=True)
    except RuntimeError as error:
        if "size mismatch" not in str(error):
            raise
        why = fault if known is not None and tokens > known else _misfit(error)
        raise InputError(
            f"{source}: the adapter does not fit its model ({why}): name the model that it was trained on in "
            "base_model_name_or_path of adapter_config.json, or merge it into that model"
        ) from error
    if known is not None and tokens > known:
        raise InputError(
            f"{source}: {fault}: the adapter came with new tokens; merge it into the model that it was trained on"
        )
    return found


def _misfit(error: RuntimeError) -> str:
    """The first weight that has another shape in the adapter, and both shapes."""
    found = MISFIT.search(str(error))
    if found is None:
        return reason(error)
    name, its, own = found[1], found[2].replace(", ", " x "), found[3].replace(", ", " x ")
    return f"{name.removeprefix('base_model.model.')} is {its} in the adapter and {own} in the model"


def _end(source: str, tokenizer: Any, asked: str | None, vocabulary: int) -> int:
    found = tokenizer.eos_token_id if asked is None else tokenizer.convert_tokens_to_ids(asked)
    if asked is not None and (found is None or found == tokenizer.unk_token_id):
        raise InputError(f"{source}: the tokenizer has no token {asked!r}: give one of its tokens with --eos")
    if found is not None and found >= vocabulary:
        raise InputError(
            f"{source}: the end-of-text token {asked or tokenizer.eos_token!r} is number {found:,}, counted from 0, "
            f"and the model has {vocabulary:,} tokens: give one that it has with --eos, or a model with an embedding "
            "for it"
        )
    if found is None:
        raise InputError(
            f"{source}: the tokenizer names no end-of-text token: give one of its tokens with --eos, or add "
            "eos_token to tokenizer_config.json"
        )
    return int(found)


def _longest(config: Any, tokenizer: Any) -> int | None:
    """The smaller of the tokenizer's limit and the number of positions; None if neither is stated."""
    limits = [tokenizer.model_max_length, getattr(config.get_text_config(), "max_position_embeddings", None)]
    stated = [int(limit) for limit in limits if limit is not None and 0 < limit < torch.iinfo(torch.int32).max]
    return min(stated, default=None)
