"""How texts of different lengths are brought into one batch without changing what the model makes of each."""

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
"""Ways of ``SequenceSummary`` to read the last position of a batch, whether it is padding or not."""


@dataclass(frozen=True)
class Padding:
    """How texts are padded.

    Attributes:
        token: the id that fills a text up; it is masked.
        side: where. On the right, causal attention does not see it and absolute positions stay as they are; on the
            left for models that read the last position, as XLNet does.
        token_type: what fills up ``token_type_ids``; None where the model or the tokenizer has none.
        has_positions: ``position_ids`` are given, counted from the first token that is no padding.
        is_models_own: the model's configuration has this token for padding, so what it makes of it in a text is the
            model's own affair; else no text may have it.
    """

    token: int
    side: Literal["left", "right"]
    token_type: int | None
    has_positions: bool
    is_models_own: bool

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """One batch of texts, with the mask that hides the padding."""

        def padded(rows: list[Tensor], value: int) -> Tensor:
            return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=self.side)

        tokens = [item["input_ids"] for item in items]
        mask = padded([torch.ones_like(row) for row in tokens], 0)
        batch = {"input_ids": padded(tokens, self.token), "attention_mask": mask}
        if self.token_type is not None:
            batch["token_type_ids"] = padded([item["token_type_ids"] for item in items], self.token_type)
        if self.has_positions:
            batch["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        return batch | {"labels": torch.tensor([item["labels"] for item in items])}


def padding_of(model: Any, tokenizer: Any, tokens: Iterable[int]) -> Padding:
    """How the texts of a classifier are padded, by the model and its tokenizer together.

    The token is the one that the model's configuration has for padding, as some models find the end of a text by it.
    Where there is none, it is the tokenizer's, or else any that is in none of the texts, and the configuration gets it.
    A token that ends the texts never serves with an encoder and a decoder, whose heads look for it.

    Args:
        model: a Hugging Face classifier of texts; its configuration gets a token for padding if it has none.
        tokenizer: its tokenizer.
        tokens: the ids in the texts; asked for only where the model has no token for padding.

    Raises:
        InputError: the texts use all tokens that there are.
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
    """The token that ends a text and how often a tokenized text has it, where the head looks for it.

    The heads of BART and T5 want it equally often in all texts of a batch.
    """
    counts = [(token, count) for token, count in Counter(tokens).items() if _is_looked_for(config, token)]
    return counts[0] if counts else None


def vocabulary_of(model: Any) -> int | None:
    """How many tokens a model has embeddings for; None where it has no table of them, as CANINE."""
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (AttributeError, NotImplementedError):
        return None


def _can_pad(model: Any, token: Any) -> bool:
    size = vocabulary_of(model)
    is_known = isinstance(token, int) and token >= 0 and (size is None or token < size)
    return is_known and not _is_looked_for(model.config, token)


def _is_looked_for(config: Any, token: int | None) -> bool:
    """Whether the head looks for this token, as those of BART and T5 do for the end of a text."""
    ends = getattr(config, "eos_token_id", None)
    return bool(config.is_encoder_decoder) and token in (ends if isinstance(ends, list) else [ends])


def _unused(model: Any, tokenizer: Any, used: set[int]) -> int:
    """A token that is in none of the texts: the tokenizer's for padding, for the end of a text, or another."""
    size = vocabulary_of(model) or len(tokenizer)
    candidates = [tokenizer.pad_token_id, tokenizer.eos_token_id, *tokenizer.all_special_ids, *reversed(range(size))]
    for token in candidates:
        if _can_pad(model, token) and token not in used:
            return int(token)
    raise InputError(
        f"no token is left for padding, as the texts use all {size:,}: add a pad_token to tokenizer_config.json"
    )
