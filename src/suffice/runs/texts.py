"""A language model and its texts, as a configuration has them."""

from typing import TYPE_CHECKING

from suffice.data.completions import Columns, are_completions, load_completions
from suffice.language_configuration import LanguageMeasuredConfig, LanguageTexts

if TYPE_CHECKING:
    from suffice.models.language import LanguageModel


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


def summary_in_words(config: LanguageMeasuredConfig) -> list[str]:
    """What the samples of a language model hold, a sentence each."""
    texts = load_completions(config.data, columns_of(config, config.split))
    language, _ = load_configured(config, config.model, config.trust_remote_code)
    tokens = language.tokens(texts)
    mean = sum(tokens.answer_tokens) / len(tokens)
    counted = f"{len(texts):,} samples, with {mean:.3g} tokens in an answer."
    return [counted, *texts.notes, *language.notes, *tokens.notes]
