"""Padding: texts of different lengths in one batch, each with the logits that it has alone."""

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from suffice.errors import InputError
from suffice.problem import Batch

READ_LAST = frozenset({"last", "cls_index"})
"""Values of ``summary_type`` by which a model reads the last position, whether it is padding or not."""


@dataclass(frozen=True)
class Padding:
    """How texts are padded.

    Attributes:
        token: the id of the token for padding; it is masked.
        side: right, where causal attention does not see padding and absolute positions do not change; left for models
            that read the last position, as XLNet does.
        token_type: the padding of ``token_type_ids``; None if the model or the tokenizer has none.
        has_positions: the batch has ``position_ids``, counted from the first token that is not padding.
        is_models_own: the token is that of the model's configuration; any other token must not be in a text.
    """

    token: int
    side: Literal["left", "right"]
    token_type: int | None
    has_positions: bool
    is_models_own: bool

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """A batch of texts with its attention mask."""

        def padded(rows: list[Tensor], value: int) -> Tensor:
            return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=self.side)

        tokens = [item["input_ids"] for item in items]
        mask = padded([torch.ones_like(row) for row in tokens], 0)
        batch = {"input_ids": padded(tokens, self.token), "attention_mask": mask}
        if self.token_type is not None:
            batch["token_type_ids"] = padded([item["token_type_ids"] for item in items], self.token_type)
        if self.has_positions:
            batch["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        return batch | {"labels": torch.stack([torch.as_tensor(item["labels"]) for item in items])}


def padding_of(model: Any, tokenizer: Any, tokens: Iterable[int]) -> Padding:
    """The padding of a classifier, from the model and its tokenizer together.

    The token for padding is that of the model's configuration, because some models find the end of a text by it. If
    there is none, it is the first of these that no text contains: the tokenizer's token for padding, its end-of-text
    token, any other; the configuration is set to it. With an encoder and a decoder it is never the end-of-text token,
    which their heads count.

    Args:
        model: a Hugging Face classifier of texts.
        tokenizer: its tokenizer.
        tokens: the tokens of all texts; read only if the model has no token for padding.

    Raises:
        InputError: the texts contain every token.
    """
    config = model.config
    parameters = inspect.signature(model.forward).parameters
    is_left = any(getattr(module, "summary_type", None) in READ_LAST for module in model.modules())
    own: Any = getattr(config.get_text_config(), "pad_token_id", None)
    is_own = _can_pad(model, own)
    token = own if is_own else _unused(model, tokenizer, set(tokens))
    if not is_own and not _is_looked_for(config, own):
        config.pad_token_id = config.get_text_config().pad_token_id = token
    has_types = "token_type_ids" in parameters and "token_type_ids" in tokenizer("a")
    return Padding(
        token=token,
        side="left" if is_left else "right",
        token_type=tokenizer.pad_token_type_id if has_types else None,
        has_positions=is_left and "position_ids" in parameters,
        is_models_own=is_own,
    )


def ends_of(config: Any, tokens: Sequence[int]) -> tuple[int, int] | None:
    """The end-of-text token and its count in a tokenized text, if the head finds the end of a text by it.

    The heads of BART and T5 need the same count in all texts of a batch.
    """
    counts = [(token, count) for token, count in Counter(tokens).items() if _is_looked_for(config, token)]
    return counts[0] if counts else None


def vocabulary_of(model: Any) -> int | None:
    """The number of token embeddings; None for models without a table of them, as CANINE."""
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (AttributeError, NotImplementedError):
        return None


def _can_pad(model: Any, token: Any) -> bool:
    size = vocabulary_of(model)
    is_known = isinstance(token, int) and token >= 0 and (size is None or token < size)
    return is_known and not _is_looked_for(model.config, token)


def _is_looked_for(config: Any, token: int | None) -> bool:
    """Whether the head finds the end of a text by this token, as those of BART and T5 do."""
    ends = getattr(config, "eos_token_id", None)
    return bool(config.is_encoder_decoder) and token in (ends if isinstance(ends, list) else [ends])


def _unused(model: Any, tokenizer: Any, used: set[int]) -> int:
    """A token that no text contains: the tokenizer's for padding, its end-of-text token, or another."""
    size = vocabulary_of(model) or len(tokenizer)
    candidates = [tokenizer.pad_token_id, tokenizer.eos_token_id, *tokenizer.all_special_ids, *reversed(range(size))]
    for token in candidates:
        if _can_pad(model, token) and token not in used:
            return int(token)
    raise InputError(
        f"no token is left for padding, as the texts use all {size:,}: add a pad_token to tokenizer_config.json"
    )
