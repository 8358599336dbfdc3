"""Text classifiers and their inputs."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Int64
from tokenizers import normalizers
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from suffice.data import LabelledSamples, TaskKind
from suffice.digest import digest
from suffice.errors import InputError
from suffice.models.checkpoint import Checkpoint, Modality, read_checkpoint, reading
from suffice.models.classifier import Classifier
from suffice.models.labels import LabelMap
from suffice.models.padding import Padding, ends_of, padding_of, vocabulary_of
from suffice.problem import Batch

TEXTS = Modality("text", AutoModelForSequenceClassification, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING)

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
"""The keys of a batch that go to the model."""

TOGETHER = 1000
"""Number of texts tokenized at a time: the tokenizer's records take far more memory than the tokens."""


@dataclass(frozen=True)
class TextClassifier(Classifier):
    """A classifier of texts.

    Attributes:
        tokenizer: turns a text into tokens.
        longest: the largest number of tokens that the model takes, if there is a limit.
        padding: how texts of different lengths are padded in a batch.
        ends: the token by which the head finds the end of a text, and how often each text has it; None for other heads.
    """

    tokenizer: Any
    longest: int | None
    padding: Padding
    ends: tuple[int, int] | None

    @property
    def collate(self) -> Callable[[list[Any]], Batch]:
        """Pads the texts of a batch to the length of the longest."""
        return self.padding.collate

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits; padding is masked.

        Raises:
            InputError: the model refuses the batch, as BART does if texts have no end-of-text token.
        """
        try:
            return cast(Tensor, model(**{name: batch[name] for name in MODEL_INPUTS if name in batch}).logits)
        except ValueError as error:
            raise InputError(f"the model does not take these texts: {' '.join(str(error).split())}") from error

    def inputs(self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"]) -> "TextInputs":
        return TextInputs(samples, rows, self)

    def tokens(self, texts: list[str]) -> tuple[list[int], list[dict[str, Tensor]]]:
        """The number of tokens of each text, and its inputs, cut to what the model takes."""
        found = self.tokenizer(texts, verbose=False)
        names = ["input_ids"] if self.padding.token_type is None else ["input_ids", "token_type_ids"]
        items = [{name: found[name][row] for name in names} for row in range(len(texts))]
        lengths = [len(item["input_ids"]) for item in items]
        for row, text in enumerate(texts):
            if self.longest is not None and lengths[row] > self.longest:
                # by the tokenizer, so that the tokens that end a text stay
                shorter = self.tokenizer(text, truncation=True, max_length=self.longest)
                items[row] = {name: shorter[name] for name in names}
        return lengths, [
            {name: torch.tensor(value, dtype=torch.int64) for name, value in item.items()} for item in items
        ]


class TextInputs:
    """Texts as inputs of a classifier: dictionaries with "input_ids", "labels", and "token_type_ids" if it takes them.

    Raises:
        InputError: a text without tokens, or with tokens that the model does not have, or that mean padding or the end
        of a text.
    """

    def __init__(self, texts: LabelledSamples, rows: Int64[np.ndarray, " samples"], classifier: TextClassifier) -> None:
        self.texts = texts
        self.rows = rows
        self._labels = [classifier.target(texts, int(row)) for row in rows]
        self._items: list[dict[str, Tensor]] = []
        cut = 0
        for start in range(0, len(rows), TOGETHER):
            some = [cast(str, texts[int(row)]) for row in rows[start : start + TOGETHER]]
            whole, kept = classifier.tokens(some)
            cut += sum(len(item["input_ids"]) < length for item, length in zip(kept, whole, strict=True))
            self._items += kept
        self.notes = (
            (f"{cut:,} of {len(rows):,} texts are longer than the model's {classifier.longest:,} tokens: cut there.",)
            if cut
            else ()
        )
        self._padding = classifier.padding
        self._check(classifier)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {**self._items[row], "labels": self._labels[row]}

    def describe(self, row: int) -> str:
        """The line of a text, for messages."""
        return self.texts.describe(int(self.rows[row]))

    def fingerprint(self) -> str:
        """The hash of all tokens, of how they are padded, and of the labels."""
        return digest(self._items, self._padding, self._labels)

    def _check(self, classifier: TextClassifier) -> None:
        known = vocabulary_of(classifier.checkpoint.bare)
        padding, ends = classifier.padding, classifier.ends

        def word(token: int) -> str:
            return repr(classifier.tokenizer.convert_ids_to_tokens(token))

        for row, item in enumerate(self._items):
            tokens = item["input_ids"]
            if len(tokens) == 0:
                raise InputError(f"{self.describe(row)}: the tokenizer finds no token in this text; remove it")
            if known is not None and int(tokens.max()) >= known:
                raise InputError(
                    f"{self.describe(row)}: token number {int(tokens.max())}, and the model has {known}: the tokenizer "
                    "is that of another model"
                )
            if not padding.is_models_own and bool((tokens == padding.token).any()):
                raise InputError(
                    f"{self.describe(row)}: has {word(padding.token)}, which is used for padding; take it out"
                )
            if ends is not None and int((tokens == ends[0]).sum()) != ends[1]:
                raise InputError(
                    f"{self.describe(row)}: has {word(ends[0])}, which tells the model where a text ends; take it out"
                )


def load_text_classifier(
    source: str,
    classes: Sequence[str],
    seed: int = 0,
    trust_remote_code: bool = False,
    label_map: LabelMap | None = None,
    keep_head: bool = True,
    texts: Iterable[str] = (),
    task: TaskKind = "classification",
) -> TextClassifier:
    """A text classifier for given classes; see `read_checkpoint`.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), or a hub name.
        classes: names of the classes of the data.
        seed: random seed of a new head.
        trust_remote_code: run the code in a checkpoint.
        label_map: the label of classes whose names differ, see `match_labels`.
        keep_head: the head is measured as it is; otherwise it is trained first.
        texts: the texts to be classified; they are read only if the model has no token for padding, to find one that is
            in none of them.
        task: what the head is to be for.

    Raises:
        InputError: no such checkpoint, one that needs remote code or lacks weights or a tokenizer, a head that cannot
        be used, a label map that does not fit, or no token for padding.
    """
    with reading(source, f"{TEXTS.samples} classifier"):
        checkpoint = read_checkpoint(source, classes, TEXTS, seed, trust_remote_code, label_map, keep_head, task)
        tokenizer = AutoTokenizer.from_pretrained(_tokenizer_folder(checkpoint), trust_remote_code=trust_remote_code)
        # where its files are missing, the library makes one that knows nothing, and says so nowhere
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            raise InputError(f"{source}: has no tokenizer; put tokenizer.json there, as its makers published it")
        sentences = checkpoint.sentences
        if sentences is not None and sentences.is_lower_case:
            _lower_case(source, tokenizer)
        padding = padding_of(checkpoint.bare, tokenizer, _used(tokenizer, texts))
    notes = checkpoint.notes
    if tokenizer.pad_token_id is None and not padding.is_models_own:
        word = tokenizer.convert_ids_to_tokens(padding.token)
        used = f"token {padding.token:,}, which no text contains," if word is None else repr(word)
        notes += (f"The tokenizer has no token for padding: {used} is used, and masked.",)
    return TextClassifier(
        checkpoint,
        notes,
        tokenizer,
        _longest(checkpoint, tokenizer),
        padding,
        ends_of(checkpoint.bare.config, tokenizer("a")["input_ids"]),
    )


def _used(tokenizer: Any, texts: Iterable[str]) -> Iterator[int]:
    """All tokens of some texts, and those that the tokenizer adds to any text."""
    yield from tokenizer("a")["input_ids"]
    left = iter(texts)
    while some := list(itertools.islice(left, TOGETHER)):
        for tokens in tokenizer(some, verbose=False)["input_ids"]:
            yield from tokens


def _lower_case(source: str, tokenizer: Any) -> None:
    """Makes a tokenizer put texts into lower case first."""
    if not tokenizer.is_fast:
        raise InputError(
            f"{source}: needs its texts in lower case: put tokenizer.json there, as its makers published it"
        )
    own = tokenizer.backend_tokenizer.normalizer
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *([own] if own else [])])


def _tokenizer_folder(checkpoint: Checkpoint) -> str:
    """The folder of the adapter if it has a tokenizer, else that of the base model."""
    first = checkpoint.folders[0]
    return first if (Path(first) / "tokenizer_config.json").exists() else checkpoint.folders[-1]


def _longest(checkpoint: Checkpoint, tokenizer: Any) -> int | None:
    """The smaller of the tokenizer's limit and that of the position embeddings; None if neither is stated."""
    limits = [tokenizer.model_max_length, None if checkpoint.sentences is None else checkpoint.sentences.longest]
    positions = getattr(checkpoint.bare.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and similar models count positions from behind that of the padding
        paddings = [
            module.padding_idx
            for name, module in checkpoint.bare.named_modules()
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
        ]
        limits.append(positions - max((padding + 1 for padding in paddings if padding is not None), default=0))
    stated = [int(limit) for limit in limits if limit is not None and 0 < limit < torch.iinfo(torch.int32).max]
    return min(stated, default=None)
