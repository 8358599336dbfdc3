"""A language model and its texts, as a configuration has them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from suffice.configuration.language import LanguageMeasuredConfig, LanguageTexts, LanguageTrained
from suffice.data.completions import Columns, Texts, are_completions, load_completions
from suffice.errors import InputError

if TYPE_CHECKING:
    from suffice.models.language import LanguageModel

FEWEST_HELD_OUT = 20
"""Samples to test on: with fewer the level of the curve is hardly known."""


def is_of_language(
    model: str | None, data: str, split: str | None = None, delimiter: str | None = None, encoding: str | None = None
) -> bool:
    """Whether a model and its data are a language model and what it is fine-tuned on, and not a classifier's.

    A causal language model can also be made a classifier: it is, where a table has labels. Without a model, plain texts
    are a classifier's.

    Raises:
        InputError: a table that cannot be read.

    Example:
        >>> is_of_language("builtin:tiny-vit", "builtin:digits")
        False
    """
    columns = Columns(split=split, delimiter=delimiter, encoding=encoding)
    if model is None:
        return are_completions(data, columns, with_texts=False)
    from suffice.models.language import is_causal  # noqa: PLC0415 - and torch, which data alone do not need

    return is_causal(model) and are_completions(data, columns)


def columns_of(config: LanguageTexts, split: str | None) -> Columns:
    """The columns that a configuration names."""
    return Columns(
        config.text_column,
        config.prompt_column,
        config.completion_column,
        config.messages_column,
        split,
        config.delimiter,
        config.encoding,
    )


def load_configured(
    config: LanguageTexts, source: str, trust_remote_code: bool
) -> tuple["LanguageModel", dict[str, str]]:
    """The language model of a configuration, and the hashes of its files."""
    from suffice.models import read_unchanged  # noqa: PLC0415 - as above
    from suffice.models.language import load_language_model  # noqa: PLC0415 - as above

    def read() -> "LanguageModel":
        return load_language_model(source, config.max_length, config.whole_text, config.eos, trust_remote_code)

    return read_unchanged(source, read)


@dataclass(frozen=True)
class Divided:
    """Samples to train on and samples to test on.

    Attributes:
        pool: rows to train on, in random order; none is a copy of another.
        unseen: to test on, in the order of their source.
        notes: what there is to say of copies, a sentence each.
    """

    pool: list[int]
    unseen: Texts
    notes: list[str]


def divided(config: LanguageTrained, texts: Texts, test: Texts | None) -> Divided:
    """The samples to train on and those to test on, drawn by the seed of the configuration.

    Args:
        config: how many to test on.
        texts: those at hand.
        test: unseen ones; by default a share of those at hand.

    Raises:
        InputError: too few to test on.
    """
    draw, names, notes = np.random.default_rng([config.seed, 2]), texts.contents(), []
    order = _first_of_each(draw.permutation(len(texts)), names)
    if len(order) < len(texts):
        notes.append(
            f"{len(texts) - len(order):,} of {len(texts):,} samples are copies of others: sizes count different ones."
        )
    if test is None:
        wanted = min(round(config.held_out * len(order)), config.test_samples)
        held, pool, unseen = order[:wanted], order[wanted:], texts
    else:
        known, there, pool, unseen = set(names), test.contents(), order, test
        apart = [row for row in _first_of_each(draw.permutation(len(test)), there) if there[row] not in known]
        if len(apart) < len(test):
            notes.append(
                f"{len(test) - len(apart):,} of {len(test):,} samples of {config.test} are in {config.data} too, or "
                "copies of others: they are not tested on."
            )
        held = apart[: config.test_samples]
    if len(held) < FEWEST_HELD_OUT:
        more = "a larger --held-out" if test is None else "other ones"
        found = f" ({notes[-1].rstrip('.')})" if notes else ""
        raise InputError(
            f"{len(held)} samples to test on{found}, and at least {FEWEST_HELD_OUT} are needed: give more samples, "
            f"{more}, or unseen data with --test"
        )
    return Divided(pool, unseen.subset(sorted(held)), notes)


def _first_of_each(rows: Int64[np.ndarray, " rows"], names: Sequence[Hashable]) -> list[int]:
    """The rows without those that repeat an earlier one."""
    first: dict[Hashable, int] = {}
    for row in rows:
        first.setdefault(names[row], int(row))
    return list(first.values())


def summary_in_words(config: LanguageMeasuredConfig) -> list[str]:
    """What the samples of a language model hold, a sentence each."""
    texts = load_completions(config.data, columns_of(config, config.split))
    language, _ = load_configured(config, config.model, config.trust_remote_code)
    tokens = language.tokens(texts)
    mean = sum(tokens.answer_tokens) / len(tokens)
    counted = f"{len(texts):,} samples, with {mean:.3g} tokens in an answer."
    return [counted, *texts.notes, *language.notes, *tokens.notes]
