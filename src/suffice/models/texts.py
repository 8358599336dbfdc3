"""Text classifiers and their inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from suffice.data import LabelledSamples
from suffice.errors import InputError
from suffice.models.checkpoint import Checkpoint, Modality, read_checkpoint, reading
from suffice.models.classifier import Classifier
from suffice.problem import Batch

TEXTS = Modality("text", AutoModelForSequenceClassification, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING)

TOGETHER = 1000
"""Texts given to the tokenizer at a time: its own records of them take far more memory than the tokens."""


@dataclass(frozen=True)
class TextClassifier(Classifier):
    """A classifier of texts.

    Attributes:
        tokenizer: turns a text into tokens; it has a token for padding.
        longest: tokens that the model takes at most, if there is a limit.
    """

    tokenizer: Any
    longest: int | None

    @property
    def collate(self) -> Callable[[list[Any]], Batch]:
        """Pads on the right, where causal attention does not see it and absolute positions stay as they are."""
        return self._padded

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits; padding is masked."""
        return cast(Tensor, model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits)

    def inputs(self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"]) -> "TextInputs":
        return TextInputs(samples, rows, self)

    def tokens(self, texts: list[str]) -> tuple[list[int], list[Tensor]]:
        """How many tokens each text has, and those of them that the model takes."""
        found = self.tokenizer(texts, verbose=False)["input_ids"]
        lengths = [len(tokens) for tokens in found]
        for place, text in enumerate(texts):
            if self.longest is not None and lengths[place] > self.longest:
                # by the tokenizer, so that the tokens that end a text stay
                found[place] = self.tokenizer(text, truncation=True, max_length=self.longest)["input_ids"]
        return lengths, [torch.tensor(tokens, dtype=torch.int64) for tokens in found]

    def _padded(self, items: list[dict[str, Any]]) -> Batch:
        tokens = [item["input_ids"] for item in items]
        return {
            "input_ids": pad_sequence(tokens, batch_first=True, padding_value=self.tokenizer.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in tokens], batch_first=True),
            "labels": torch.tensor([item["labels"] for item in items]),
        }


class TextInputs:
    """Some of the texts as a classifier takes them: dictionaries with "input_ids" and "labels".

    Raises:
        InputError: tokens that the model does not know.
    """

    def __init__(self, texts: LabelledSamples, rows: Int64[np.ndarray, " samples"], classifier: TextClassifier) -> None:
        self.texts = texts
        self.rows = rows
        self._labels = [classifier.labels[label] for label in texts.labels[rows].tolist()]
        self._tokens: list[Tensor] = []
        cut = 0
        for start in range(0, len(rows), TOGETHER):
            some = [cast(str, texts[int(row)]) for row in rows[start : start + TOGETHER]]
            whole, kept = classifier.tokens(some)
            cut += sum(len(tokens) < length for tokens, length in zip(kept, whole, strict=True))
            self._tokens += kept
        self.notes = (
            (f"{cut:,} of {len(rows):,} texts are longer than the model's {classifier.longest:,} tokens: cut there.",)
            if cut
            else ()
        )
        self._check(classifier.checkpoint.bare.get_input_embeddings().num_embeddings)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"input_ids": self._tokens[row], "labels": self._labels[row]}

    def describe(self, row: int) -> str:
        """Where a text comes from."""
        return self.texts.describe(int(self.rows[row]))

    def _check(self, known: int) -> None:
        for row, tokens in enumerate(self._tokens):
            if len(tokens) == 0:
                raise InputError(f"{self.describe(row)}: the tokenizer finds no token in this text; remove it")
            if int(tokens.max()) >= known:
                raise InputError(
                    f"{self.describe(row)}: token number {int(tokens.max())}, and the model has {known}: the tokenizer "
                    "beside it is that of another model"
                )


def load_text_classifier(
    source: str, classes: Sequence[str], seed: int = 0, trust_remote_code: bool = False
) -> TextClassifier:
    """A text classifier for given classes; see `read_checkpoint`.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), or a hub name.
        classes: names of the classes of the data.
        seed: of a new head.
        trust_remote_code: run the code that a checkpoint brings.

    Raises:
        InputError: a folder or name that leads to no checkpoint, one that needs remote code, weights that are
        missing, or no tokenizer.
    """
    with reading(source, TEXTS.samples):
        checkpoint = read_checkpoint(source, classes, TEXTS, seed, trust_remote_code)
        tokenizer = AutoTokenizer.from_pretrained(_tokenizer_folder(checkpoint), trust_remote_code=trust_remote_code)
        # where its files are missing, the library makes one that knows nothing, and says so nowhere
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            raise InputError(f"{source}: has no tokenizer; put tokenizer.json there, as its makers published it")
        notes = _pad_token(source, tokenizer, checkpoint.bare.config)
    return TextClassifier(checkpoint, checkpoint.notes + notes, tokenizer, _longest(checkpoint, tokenizer))


def _tokenizer_folder(checkpoint: Checkpoint) -> str:
    """The adapter's own, where it brings one."""
    first = checkpoint.folders[0]
    return first if (Path(first) / "tokenizer_config.json").exists() else checkpoint.folders[-1]


def _pad_token(source: str, tokenizer: Any, config: Any) -> tuple[str, ...]:
    """Sees to it that there is a token for padding, and that the model knows it: some look for a text's end by it."""
    notes: tuple[str, ...] = ()
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise InputError(f"{source}: its tokenizer has neither a token for padding nor one for the end of a text")
        tokenizer.pad_token = tokenizer.eos_token
        notes = (f"The tokenizer has no token for padding: {tokenizer.pad_token!r} is used, and masked.",)
    config.pad_token_id = tokenizer.pad_token_id
    return notes


def _longest(checkpoint: Checkpoint, tokenizer: Any) -> int | None:
    """The tokenizer's limit or that of the position embeddings, whichever is less."""
    limits = [tokenizer.model_max_length]
    positions = getattr(checkpoint.bare.config, "max_position_embeddings", None)
    if positions is not None:
        # RoBERTa and its kin count positions from behind the padding's
        paddings = [
            module.padding_idx
            for name, module in checkpoint.bare.named_modules()
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
        ]
        limits.append(positions - max((padding + 1 for padding in paddings if padding is not None), default=0))
    longest = int(min(limits))
    return longest if longest < torch.iinfo(torch.int32).max else None
