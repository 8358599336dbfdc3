"""What a model writes by itself: greedy completions of prompts of different lengths, each as if it were alone."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import GenerationConfig

from suffice.data.completions import Texts
from suffice.errors import InputError, reason
from suffice.models.language.tokens import Asked, Encoding, left_padded

TRIED = 5
"""Tokens of a trial run."""

ROOM = 1.25
"""Tokens that a completion may have, over those of the longest reference."""


@dataclass(frozen=True)
class Written:
    """What a model wrote after a prompt.

    Attributes:
        text: without the token or the text that ended it.
        is_ended: by the model, and not by the limit of tokens.
    """

    text: str
    is_ended: bool


class Generation:
    """Prompts that a language model completes greedily, by the most probable token each time.

    Prompts of similar lengths are completed together, padded on the left, with positions that count from the first
    token of each. What the checkpoint has of settings for generation, such as a penalty for repetition, is left out.

    Args:
        texts: prompts and completions, or conversations, whose last answer is left to the model.
        encoding: of the model.
        padding: id of a token for padding.

    Attributes:
        references: the answers of the data, as they were written.
        tokens: that a completion may have at most: 1.25 times those of the longest reference.

    Raises:
        InputError: a plain text, or a prompt without a token.
    """

    def __init__(self, texts: Texts, encoding: Encoding, padding: int) -> None:
        self._encoding, self._padding = encoding, padding
        self._asked = [encoding.asked(texts.describe(row), texts[row]) for row in range(len(texts))]
        for row, asked in enumerate(self._asked):
            if not asked.prompt:
                raise InputError(
                    f"{texts.describe(row)}: the prompt is empty, and the tokenizer has no token that begins a text, "
                    "so nothing can be completed: fill it in"
                )
        self.references = [asked.reference for asked in self._asked]
        self.tokens = int(np.ceil(ROOM * max(asked.tokens for asked in self._asked)))

    def __len__(self) -> int:
        return len(self._asked)

    def read_back(self, row: int) -> str:
        """A reference as the tokenizer writes it."""
        return self._decoded(self._encoding.tokenizer(self.references[row], add_special_tokens=False)["input_ids"])

    def completions(self, model: nn.Module, batch_size: int) -> list[Written]:
        """What a model writes after each prompt; the model is in evaluation mode.

        Args:
            model: that the encoding belongs to.
            batch_size: prompts that are completed together.

        Raises:
            InputError: a model that cannot write.
        """
        found: dict[int, Written] = {}
        for rows in self._batches(batch_size):
            found |= zip(rows, self._written(model, rows), strict=True)
        return [found[row] for row in range(len(self))]

    def seconds(self, model: nn.Module, batch_size: int) -> float:
        """How long `completions` should take at most, by a few tokens of one batch."""
        rows = next(self._batches(batch_size))
        self._written(model, rows, 1)  # the first run is slower than the others
        start = time.perf_counter()
        self._written(model, rows, TRIED)
        return (time.perf_counter() - start) / TRIED * self.tokens * len(self) / len(rows)

    def _room(self, row: int) -> int:
        longest = self._encoding.longest
        return self.tokens if longest is None else min(self.tokens, longest - len(self._asked[row].prompt))

    def _batches(self, batch_size: int) -> Iterator[list[int]]:
        """Those that may have all tokens, by length; and each alone that has no room for them."""
        rows = sorted(range(len(self)), key=lambda row: len(self._asked[row].prompt))
        roomy = [row for row in rows if self._room(row) == self.tokens]
        for start in range(0, len(roomy), batch_size):
            yield roomy[start : start + batch_size]
        yield from ([row] for row in rows if self._room(row) < self.tokens)

    def _written(self, model: nn.Module, rows: Sequence[int], tokens: int | None = None) -> list[Written]:
        whole: Any = model
        bare = whole.get_base_model() if hasattr(whole, "get_base_model") else whole
        prompts = [torch.tensor(self._asked[row].prompt) for row in rows]
        ids, mask = (part.to(bare.device) for part in left_padded(prompts, self._padding))
        settings = GenerationConfig(
            max_new_tokens=tokens or self._room(rows[0]),
            do_sample=False,
            eos_token_id=sorted({token for row in rows for token in self._ends(self._asked[row])}),
            pad_token_id=self._padding,
        )
        try:
            with _settings_of(bare, settings), torch.no_grad():
                written = bare.generate(input_ids=ids, attention_mask=mask)[:, ids.shape[1] :]
        except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
            raise InputError(
                f"{type(bare).__name__} cannot complete prompts ({reason(error)}): leave out --answer-pattern"
            ) from error
        return [self._read(self._asked[row], some) for row, some in zip(rows, written.tolist(), strict=True)]

    def _ends(self, asked: Asked) -> set[int]:
        """The ids that end an answer."""
        mark = self._encoding.tokenizer.convert_tokens_to_ids(asked.until) if asked.until else None
        if mark is None or mark == self._encoding.tokenizer.unk_token_id:
            return {self._encoding.end}
        return {self._encoding.end, int(mark)}

    def _read(self, asked: Asked, tokens: list[int]) -> Written:
        ends = self._ends(asked)
        stop = next((at for at, token in enumerate(tokens) if token in ends), None)
        text, until = self._decoded(tokens[:stop]), ""
        if asked.until:
            text, until, _ = text.partition(asked.until)
        return Written(text, stop is not None or bool(until))

    def _decoded(self, tokens: Sequence[int]) -> str:
        return str(self._encoding.tokenizer.decode(tokens, clean_up_tokenization_spaces=False))


@contextmanager
def _settings_of(model: Any, settings: GenerationConfig) -> Iterator[None]:
    """The model's own settings for generation are others; they are put back at the end."""
    own = model.generation_config
    model.generation_config = settings
    try:
        yield
    finally:
        model.generation_config = own
