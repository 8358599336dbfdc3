"""From texts to token ids, with a mask of the tokens whose loss counts."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from suffice.data.completions import Completion, Message, Texts
from suffice.digest import digest
from suffice.errors import InputError, reason
from suffice.problem import Batch

BETWEEN = "\n"
"""Between a prompt and a completion where neither has a blank there."""

IGNORED = -100
"""The target of padding."""


@dataclass(frozen=True)
class Asked:
    """What a model is given to write an answer by itself, and what it should write.

    Attributes:
        prompt: ids of the tokens before the answer.
        reference: the answer of the sample.
        tokens: of the reference, with those that end it.
        until: text that ends an answer, besides the end-of-text token; empty for none.
    """

    prompt: list[int]
    reference: str
    tokens: int
    until: str = ""


@dataclass(frozen=True)
class Encoding:
    """How texts become tokens.

    A prompt with its completion is tokenised in two pieces, so that the border is one of tokens, as where a model
    writes on; so are the messages of a conversation, to the last answer. The end-of-text token follows a completion and
    a plain text, and is learnt too.

    Attributes:
        tokenizer: of Hugging Face.
        end: id of the end-of-text token.
        longest: tokens of a sample at most; None for no limit.
        whole: the loss counts on prompts too, not on answers only.
    """

    tokenizer: Any
    end: int
    longest: int | None = None
    whole: bool = False

    def tokens_of(self, where: str, sample: str | Completion | Sequence[Message]) -> tuple[list[int], list[bool]]:
        """The ids of a sample, and which of them count.

        Raises:
            InputError: a conversation that the tokenizer cannot write.
        """
        pieces = self._pieces(where, sample)
        tokens = [token for some, _ in pieces for token in some]
        counts = [is_answer for some, is_answer in pieces for _ in some]
        if self.whole:
            counts = [True] * len(tokens)
        if tokens:
            counts[0] = False  # nothing stands before it that could predict it
        return tokens, counts

    def asked(self, where: str, sample: str | Completion | Sequence[Message]) -> "Asked":
        """What a model is given to write the last answer of a sample by itself.

        Raises:
            InputError: a plain text, or a chat template that does not mark the end of an answer.
        """
        if isinstance(sample, str):
            raise InputError(
                f"{where}: a plain text has no answer: --answer-pattern goes with prompts and completions, or with "
                "conversations"
            )
        *before, (answer, _) = self._pieces(where, sample)
        prompt = [token for some, _ in before for token in some]
        if isinstance(sample, Completion) and isinstance(sample.completion, str):
            return Asked(prompt, sample.completion, len(answer))
        messages = sample.messages if isinstance(sample, Completion) else sample
        last = max(number for number, message in enumerate(messages) if message["role"] == "assistant")
        content = messages[last]["content"]
        written = self._written(where, messages[: last + 1])
        _, found, after = written.rpartition(content.strip())
        if not found or not after.strip():
            why = "does not mark the end of an answer" if found else "changes the answer"
            raise InputError(
                f"{where}: the chat template {why}, so what a model writes cannot be compared: give prompts and "
                "completions as texts"
            )
        return Asked(prompt, content, len(answer), after.strip())

    def _pieces(self, where: str, sample: str | Completion | Sequence[Message]) -> list[tuple[list[int], bool]]:
        """The tokens of a sample in pieces, and whether each of them is an answer."""
        if isinstance(sample, str):
            return [([*self._begun(sample), self.end], True)]
        if not isinstance(sample, Completion):
            return self._conversation(where, sample)
        prompt, completion = sample
        if isinstance(prompt, str) and isinstance(completion, str):
            return self._completion(prompt, completion)
        return self._conversation(where, sample.messages, len(prompt))

    def _begun(self, text: str) -> list[int]:
        """The tokens of a text from its start on, with the token that begins any text, if there is one."""
        found = list(self.tokenizer(text, verbose=False)["input_ids"])
        # some tokenizers end any text; the prompt goes on
        while len(found) > 1 and found[-1] == self.end:
            found.pop()
        return found

    def _completion(self, prompt: str, completion: str) -> list[tuple[list[int], bool]]:
        if prompt and not prompt[-1:].isspace() and not completion[:1].isspace():
            prompt += BETWEEN
        after = [*self.tokenizer(completion, add_special_tokens=False, verbose=False)["input_ids"], self.end]
        return [(self._begun(prompt), False), (after, True)]

    def _conversation(self, where: str, messages: Sequence[Message], prompt: int = 0) -> list[tuple[list[int], bool]]:
        """What the template writes, to the last answer; what a message of the assistant adds is one.

        Args:
            where: is the sample.
            messages: of the conversation.
            prompt: of so many messages at its beginning none is an answer.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            raise InputError(
                f"{where}: the tokenizer has no chat template: put chat_template.jinja beside tokenizer.json, as the "
                "model's makers published it, or give prompts and completions as texts"
            )
        pieces: list[tuple[list[int], bool]] = []
        whole, done = self._written(where, messages), 0
        for number, message in enumerate(messages):
            if message["role"] != "assistant" or number < prompt:
                continue
            before = self._written(where, messages[:number], prompted=True)
            after = self._written(where, messages[: number + 1])
            if not (whole.startswith(after) and after.startswith(before)):
                raise InputError(
                    f"{where}: the chat template writes earlier messages anew when others follow, so answers cannot be "
                    "told from it: give prompts and completions"
                )
            for text, is_answer in ((before[done:], False), (after[len(before) :], True)):
                some = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
                pieces.append((list(some), is_answer))
            done = len(after)
        return pieces

    def _written(self, where: str, messages: Sequence[Message], prompted: bool = False) -> str:
        if not messages:  # most templates write nothing of nothing, some fail
            return ""
        try:
            return str(
                self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompted)
            )
        except Exception as error:  # templates raise what they like
            raise InputError(f"{where}: the chat template does not take these messages ({reason(error)})") from error


class Tokens:
    """Samples as tokens: dictionaries with "input_ids" and "counts".

    Attributes:
        notes: how many samples were cut, a sentence each.
        answer_tokens: number of tokens that count, of each sample.

    Raises:
        InputError: samples without a token that counts, by what was cut or at all; ids that the model does not have.
    """

    def __init__(self, texts: Texts, encoding: Encoding, vocabulary: int) -> None:
        self._texts = texts
        self._items: list[dict[str, Tensor]] = []
        longest = encoding.longest
        cut = shorter = 0
        gone: list[int] = []
        empty: list[int] = []
        for row in range(len(texts)):
            where = texts.describe(row)
            tokens, counts = encoding.tokens_of(where, texts[row])
            kept = counts if longest is None else counts[:longest]
            cut += len(kept) < len(counts)
            shorter += sum(kept) < sum(counts)
            if not any(kept):
                (gone if any(counts) else empty).append(row)
            if tokens and max(tokens) >= vocabulary:
                raise InputError(
                    f"{where}: token number {max(tokens):,}, counted from 0, and the model has {vocabulary:,}: the "
                    "tokenizer is that of another model, or of an adapter that came with new tokens: give the one that "
                    "the model was trained with"
                )
            ids = torch.tensor(tokens[: len(kept)], dtype=torch.int64)
            self._items.append({"input_ids": ids, "counts": torch.tensor(kept, dtype=torch.bool)})
        if gone:
            raise InputError(
                f"{texts.describe(gone[0])}: nothing of the answer is left within {longest:,} tokens, as in "
                f"{len(gone):,} of {len(texts):,} samples: shorten these prompts, remove them, or give a larger "
                "--max-length"
            )
        if empty:
            raise InputError(
                f"{texts.describe(empty[0])}: no token has a loss, as in {len(empty):,} of {len(texts):,} samples: "
                "remove these"
            )
        self.notes = (
            (
                f"{cut:,} of {len(texts):,} samples {'is' if cut == 1 else 'are'} longer than {longest:,} tokens: cut "
                f"there; {shorter:,} {'loses a part of its' if shorter == 1 else 'lose a part of their'} answer.",
            )
            if cut
            else ()
        )
        self.answer_tokens = [int(item["counts"].sum()) for item in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return self._items[row]

    def describe(self, row: int) -> str:
        """Where a sample is, for messages."""
        return self._texts.describe(row)

    def subset(self, rows: Sequence[int]) -> "Tokens":
        """Some of the samples, in this order; they are not tokenised again."""
        chosen = copy.copy(self)
        chosen._texts = self._texts.subset(rows)
        chosen._items = [self._items[row] for row in rows]
        chosen.answer_tokens = [self.answer_tokens[row] for row in rows]
        return chosen

    def fingerprint(self) -> str:
        """A hash of all tokens and masks."""
        return digest(self._items)


def collate(items: Sequence[dict[str, Tensor]], padding: int, side: Literal["left", "right"] = "right") -> Batch:
    """A batch of samples.

    On the right, causal attention does not see padding and positions do not change, so there is no mask. On the left,
    there are one and positions that count from the first token.

    Args:
        items: of `Tokens`.
        padding: id of a token.
        side: where padding goes.

    Returns:
        "input_ids" (batch, tokens); "answers" (batch, longest answer), positions whose next token counts; "labels",
        these tokens, and `IGNORED` for padding.

    Example:
        >>> one = {"input_ids": torch.tensor([5, 6, 7]), "counts": torch.tensor([False, True, True])}
        >>> two = {"input_ids": torch.tensor([8, 9]), "counts": torch.tensor([False, True])}
        >>> batch = collate([one, two], padding=0)
        >>> batch["input_ids"].tolist(), batch["answers"].tolist(), batch["labels"].tolist()
        ([[5, 6, 7], [8, 9, 0]], [[0, 1], [0, 0]], [[6, 7], [9, -100]])
    """
    ids = [item["input_ids"] for item in items]
    batch = {"input_ids": _padded(ids, padding, side)}
    width = batch["input_ids"].shape[1]
    counted = [item["counts"].nonzero()[:, 0] for item in items]
    shift = [width - len(row) if side == "left" else 0 for row in ids]
    batch["answers"] = _padded([at - 1 + by for at, by in zip(counted, shift, strict=True)], 0, "right")
    batch["labels"] = _padded([row[at] for row, at in zip(ids, counted, strict=True)], IGNORED, "right")
    if side == "left":
        _, mask = left_padded(ids, padding)
        batch |= {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    return batch


def left_padded(
    rows: list[Int64[Tensor, " _"]], padding: int
) -> tuple[Int64[Tensor, "batch tokens"], Int64[Tensor, "batch tokens"]]:
    """Rows of ids that end together, and a mask that is 0 at padding.

    Example:
        >>> ids, mask = left_padded([torch.tensor([5, 6]), torch.tensor([7])], padding=0)
        >>> ids.tolist(), mask.tolist()
        ([[5, 6], [0, 7]], [[1, 1], [0, 1]])
    """
    return _padded(rows, padding, "left"), _padded([torch.ones_like(row) for row in rows], 0, "left")


def _padded(rows: list[Int64[Tensor, " _"]], value: int, side: Literal["left", "right"]) -> Int64[Tensor, "batch _"]:
    return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=side)
