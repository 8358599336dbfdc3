"""Texts that a language model writes on with: plain texts, prompts with their completions, and conversations."""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from suffice.data.columns import holds_table
from suffice.data.dataset_folders import holds_dataset, is_hub_name, table_of_dataset
from suffice.data.images import shown
from suffice.data.questions import QUESTIONS, questions
from suffice.data.tables import Table, open_table
from suffice.digest import digest
from suffice.errors import InputError, shortened

Message: TypeAlias = Mapping[str, str]
"""With "role" and "content"."""

Kind: TypeAlias = Literal["text", "completion", "messages"]


class Completion(NamedTuple):
    """A prompt, and what is to be written after it: two texts, or the messages before and those to learn."""

    prompt: str | Sequence[Message]
    completion: str | Sequence[Message]

    @property
    def messages(self) -> list[Message]:
        """Those of both; none of texts."""
        return [message for part in self if not isinstance(part, str) for message in part]


Written: TypeAlias = str | Completion | Sequence[Message]
"""A text, a prompt with its completion, or a conversation."""

PAIRS = (("prompt", "completion"), ("question", "answer"))
"""Columns of prompts and completions that are found by themselves."""

REPEATED = 8
"""Characters of a completion from which on one that its prompt holds is a mistake, and not a short label."""

REPEATED_SHARE = 0.1
"""Share of the samples with such a mistake, from which on it is one of the whole file."""

NAMED = 3
"""Rows that a message names."""


@dataclass(frozen=True)
class Columns:
    """Columns of a table with texts for a language model; by default those that are there, by their usual names.

    Attributes:
        text: of plain texts.
        prompt: of prompts; with ``completion``.
        completion: of completions.
        messages: of conversations, lists of objects with "role" and "content".
        split: of a data set with several.
        delimiter: of delimited text; detected by default.
        encoding: of tables that are text; detected by default.
    """

    text: str | None = None
    prompt: str | None = None
    completion: str | None = None
    messages: str | None = None
    split: str | None = None
    delimiter: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) != (self.completion is None):
            given, lacks = ("prompt", "completion") if self.completion is None else ("completion", "prompt")
            raise InputError(f"--{given}-column goes with --{lacks}-column: give both")
        kinds = [name for name in ("text", "prompt", "messages") if getattr(self, name) is not None]
        if len(kinds) > 1:
            named = " and ".join(f"--{name}-column" for name in kinds)
            raise InputError(f"{named} exclude each other: give one")


BY_NAME = Columns()


class Texts:
    """Samples for a language model, in memory.

    Attributes:
        kind: what each of them is.
        source: name of the file.
        notes: what was found in reading, a sentence each.
    """

    def __init__(
        self,
        kind: Kind,
        samples: Sequence[Written],
        rows: Sequence[int],
        source: str,
        unit: str = "line",
        notes: Sequence[str] = (),
    ) -> None:
        self.kind, self.source, self.notes = kind, source, tuple(notes)
        self._samples, self._rows, self._unit = samples, rows, unit

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, row: int) -> Written:
        return self._samples[row]

    def describe(self, row: int) -> str:
        """Where a sample is, for messages."""
        return f"{self.source}, {self._unit} {self._rows[row]:,}"

    def fingerprint(self) -> str:
        """A hash of all samples."""
        return digest(self.kind, [list(sample) if self.kind == "completion" else sample for sample in self._samples])

    def contents(self) -> list[Hashable]:
        """What tells each sample from others: copies have the same."""
        return [json.dumps(sample) for sample in self._samples]

    def subset(self, rows: Sequence[int]) -> "Texts":
        """Some of the samples, in this order."""
        chosen = [int(row) for row in rows]
        samples, numbers = [self._samples[row] for row in chosen], [self._rows[row] for row in chosen]
        return Texts(self.kind, samples, numbers, self.source, self._unit, self.notes)


def load_completions(source: str, columns: Columns = BY_NAME) -> Texts:
    """Texts for a language model from a table, or from a data set of ``datasets``.

    Args:
        source: a .jsonl, .json, .csv, .tsv, .parquet or .xlsx file, a folder that ``save_to_disk`` of ``datasets``
            wrote, the name of a data set on the hub, or ``builtin:questions``.
        columns: by default "messages", "prompt" and "completion", "question" and "answer", or "text", the first that
            are there. Prompt and completion are both texts, or both lists of messages.

    Raises:
        InputError: no such source or column, an empty or missing value, messages that are none, or prompts that hold
            their completions.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "sums.jsonl"
        >>> _ = file.write_text('{"question": "1 + 1?", "answer": "2"}\\n{"question": "2 + 3?", "answer": "5"}\\n')
        >>> sums = load_completions(str(file))
        >>> sums.kind, sums[1], sums.describe(1)[-6:]
        ('completion', Completion(prompt='2 + 3?', completion='5'), 'line 2')
    """
    if source == QUESTIONS:
        made = [Completion(*pair) for pair in questions()]
        return Texts("completion", made, range(1, len(made) + 1), source, "sample")
    table = _table(source, columns)
    kind, names = _chosen(table, columns)
    keys = [table.key(name, flag) for flag, name in names.items()]
    samples: list[Written] = []
    rows: list[int] = []
    empty: list[int] = []
    for number, row in table.rows:
        values = [table.value(number, row, key, flag) for key, flag in zip(keys, names, strict=True)]
        if kind == "messages":
            samples.append(_conversation(table.where(number), values[0]))
        elif kind == "completion" and any(map(_are_messages, values)):
            samples.append(_of_messages(table.where(number), *zip(names.values(), values, strict=True)))
        else:
            words = [_word(table, number, name, value) for name, value in zip(names.values(), values, strict=True)]
            if not words[-1].strip():
                empty.append(number)
            samples.append(words[0] if kind == "text" else Completion(*words))
        rows.append(number)
    if not samples:
        raise InputError(f"{source}: holds no samples")
    if empty:
        which, them, more = f"the {table.unit}", "it", ""
        if len(empty) > 1:
            which, them = f"these {table.unit}s", "them"
            more = f", as in {len(empty) - 1:,} more {table.unit}{'s' * (len(empty) > 2)}"
        raise InputError(
            f"{table.where(empty[0])}: the {list(names)[-1]} ({list(names.values())[-1]!r}) is empty{more}; fill "
            f"{them} in or remove {which}"
        )
    texts = Texts(kind, samples, rows, source, table.unit, table.notes)
    return texts if kind != "completion" else _checked(texts)


def are_completions(source: str, columns: Columns = BY_NAME, with_texts: bool = True) -> bool:
    """Whether data are for a language model rather than a classifier: a table without a column "label".

    Prompts with completions and conversations are for a language model whatever else there is.

    Args:
        source: as of `load_completions`, or data of classifiers.
        columns: how the source is read.
        with_texts: plain texts without labels are too.

    Raises:
        InputError: a table that cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "reviews.csv"
        >>> _ = file.write_text("text,label\\nGood.,1\\n")
        >>> are_completions(str(file)), are_completions("builtin:digits")
        (False, False)
    """
    if source == QUESTIONS:
        return True
    path = Path(source)
    if not (holds_table(path) or holds_dataset(path) or (not path.exists() and is_hub_name(source))):
        return False
    there = _table(source, columns).names or ()
    has_pairs = "messages" in there or any(set(pair) <= set(there) for pair in PAIRS)
    return has_pairs or (with_texts and "label" not in there)


def _table(source: str, columns: Columns) -> Table:
    path = Path(source)
    if holds_table(path):
        asked = [name for name in (columns.text, columns.prompt, columns.completion, columns.messages) if name]
        usual = ["messages", *chain(*PAIRS), "text"]
        if path.suffix.lower() == ".parquet":
            asked = asked or usual
        return open_table(path, asked, columns.delimiter, columns.encoding)
    for flag in ("delimiter", "encoding"):
        if getattr(columns, flag) is not None:
            raise InputError(f"--{flag} is for a table in a file: leave it out")
    if path.exists() and not holds_dataset(path):
        raise InputError(f"{shown(path)}: no table and no folder of datasets; give JSONL, CSV or Parquet")
    if not path.exists() and not is_hub_name(source):
        raise InputError(f"{shown(path)}: no such file or folder; give JSONL, CSV, Parquet or a folder of datasets")
    return table_of_dataset(source, columns.split)


def _chosen(table: Table, columns: Columns) -> tuple[Kind, dict[str, str]]:
    """What the samples are, and the column of each flag."""
    if columns.messages is not None:
        return "messages", {"messages": columns.messages}
    if columns.prompt is not None and columns.completion is not None:
        return "completion", {"prompt": columns.prompt, "completion": columns.completion}
    if columns.text is not None:
        return "text", {"text": columns.text}
    there = table.names or ()
    if "messages" in there:
        return "messages", {"messages": "messages"}
    for prompt, completion in PAIRS:
        if prompt in there and completion in there:
            return "completion", {"prompt": prompt, "completion": completion}
    if "text" in there:
        return "text", {"text": "text"}
    listed = ", ".join(map(repr, there[:10])) or "none"
    raise InputError(
        f"{table.path}: has no columns 'prompt' and 'completion', 'question' and 'answer', 'messages' or 'text'; there "
        f"are {listed}; name them with --prompt-column and --completion-column, --messages-column or --text-column"
    )


def _word(table: Table, number: int, column: str, value: Any) -> str:
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    if isinstance(value, bool | int | float) and not is_missing:
        return str(value)
    if not isinstance(value, str):
        what = "is missing" if is_missing else f"is no text, but {type(value).__name__}"
        raise InputError(f"{table.where(number)}: {column!r} {what}; fill it in or remove the {table.unit}")
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _are_messages(value: Any) -> bool:
    return _is_list(value) and len(value) > 0 and isinstance(value[0], Mapping)


def _of_messages(where: str, prompt: tuple[str, Any], completion: tuple[str, Any]) -> Completion:
    """A prompt of messages, with the messages that are to be learnt."""
    for (column, value), (other, _) in ((prompt, completion), (completion, prompt)):
        if not _are_messages(value):
            raise InputError(
                f"{where}: {other!r} is a list of messages, and {column!r} is none: give both as texts, or both as "
                'lists of objects with "role" and "content"'
            )
    return Completion(_messages(where, prompt[1]), _conversation(where, completion[1]))


def _messages(where: str, value: Any) -> list[dict[str, str]]:
    """Messages with their role and content as texts."""
    if not _are_messages(value) or not all(
        isinstance(message, Mapping) and {"role", "content"} <= set(message) for message in value
    ):
        raise InputError(f'{where}: messages are a list of objects with "role" and "content"')
    return [{"role": str(message["role"]), "content": _content(where, message["content"])} for message in value]


def _conversation(where: str, value: Any) -> list[dict[str, str]]:
    """Messages of which at least one is the assistant's."""
    messages = _messages(where, value)
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    if not answers:
        raise InputError(f'{where}: no message has the role "assistant", so there is nothing to learn')
    if not all(answer.strip() for answer in answers):
        raise InputError(f"{where}: a message of the assistant is empty; fill it in or remove it")
    return messages


def _content(where: str, content: Any) -> str:
    """The text of a message, which may come in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    is_list = isinstance(content, Sequence) and len(content) > 0
    if not is_list or not all(
        isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
        for part in content
    ):
        raise InputError(
            f"{where}: the content of a message is {shortened(repr(content), 60)}; it is a text, or a list of "
            '{"type": "text", "text": …}'
        )
    return "".join(part["text"] for part in content)


ENDS, BEGINS = "the prompt ends with its completion", "the completion begins with its prompt"
"""What a sample whose prompt and completion were put together before they were divided looks like."""

HOLDS = "the prompt contains its completion"
"""As it may, where answers are to be found in a text."""


def _checked(texts: Texts) -> Texts:
    """Refuses prompts and completions that were put together, if many; notes few, and answers within their prompts."""
    found = dict(_repeated(texts))
    notes = list(texts.notes)
    for what, count in Counter(found.values()).most_common():
        first = next(row for row, kind in found.items() if kind == what)
        where = f"{texts.describe(first)}: {what}"
        if what != HOLDS and count >= max(1, REPEATED_SHARE * len(texts)):
            more = f", as in {count - 1:,} more samples" if count > 1 else ""
            raise InputError(f"{where}{more}: give the prompt and the completion apart, each text once")
        notes.append(f"{where}; so it is in {count:,} of {len(texts):,} samples, which are kept.")
    if not found:
        return texts
    return Texts(texts.kind, texts._samples, texts._rows, texts.source, texts._unit, notes)


def _repeated(texts: Texts) -> Iterator[tuple[int, str]]:
    for row in range(len(texts)):
        sample = texts[row]
        assert isinstance(sample, Completion)  # noqa: S101 - by the kind of the texts
        prompt, completion = _text_of(sample.prompt, -1).strip(), _text_of(sample.completion, 0).strip()
        if len(completion) >= REPEATED and completion in prompt:
            yield row, ENDS if prompt.endswith(completion) else HOLDS
        elif len(prompt) >= REPEATED and completion.startswith(prompt):
            yield row, BEGINS


def _text_of(part: str | Sequence[Message], message: int) -> str:
    return part if isinstance(part, str) else part[message]["content"]
