"""What the samples for a language model hold: told before any work."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from suffice.configuration.language import LanguageCheckConfig
from suffice.data.completions import Completion, Message, Texts, Written, load_completions
from suffice.results import OverlapOfTexts, TextLengths, TextsSummary, TokenCounts
from suffice.runs.summary import NAMED, many
from suffice.runs.texts import columns_of, load_configured

KINDS: Mapping[str, tuple[str, str]] = {
    "text": ("text", "texts"),
    "completion": ("prompt with its completion", "prompts with completions"),
    "messages": ("conversation", "conversations"),
}


def check_texts(config: LanguageCheckConfig) -> TextsSummary:
    """The summary of samples for a language model, of their overlap with test data, and of their tokens.

    Raises:
        InputError: data or a model that cannot be read, or samples that a run refuses.

    Example:
        >>> summary = check_texts(LanguageCheckConfig(data="builtin:questions"))
        >>> summary.samples, summary.kind, summary.copies
        (2200, 'completion', 0)
    """
    columns = columns_of(config, config.split)
    texts = load_completions(config.data, columns)
    test = None if config.test is None else load_completions(config.test, replace(columns, split=None))
    parts = [_parts(texts[row]) for row in range(len(texts))]
    prompts, answers = [len(prompt) for prompt, _ in parts], [len(answer) for _, answer in parts]
    contradicting = _contradicting(texts, parts)
    tokens, notes = (None, []) if config.model is None else _tokens(config, config.model, texts, test)
    return TextsSummary(
        data=config.data,
        kind=texts.kind,
        samples=len(texts),
        prompts=None if texts.kind == "text" else _lengths(prompts),
        answers=_lengths(answers),
        longest=texts.describe(int(np.argmax(np.add(prompts, answers)))),
        copies=len(texts) - len(set(texts.contents())),
        contradicting=len(contradicting),
        first=contradicting[:NAMED],
        tokens=tokens,
        test=None if test is None else _test(str(config.test), test, texts, {prompt for prompt, _ in parts}),
        notes=[*texts.notes, *notes],
    )


def _parts(sample: Written) -> tuple[str, str]:
    """What stands before the last answer, and the answer, as texts."""
    if isinstance(sample, str):
        return "", sample
    if isinstance(sample, Completion) and isinstance(sample.prompt, str) and isinstance(sample.completion, str):
        return sample.prompt, sample.completion
    said: Sequence[Message] = sample.messages if isinstance(sample, Completion) else sample
    last = max(number for number, message in enumerate(said) if message["role"] == "assistant")
    return "\n".join(f"{message['role']}: {message['content']}" for message in said[:last]), said[last]["content"]


def _lengths(lengths: Sequence[int]) -> TextLengths:
    return TextLengths(shortest=min(lengths), median=int(np.median(lengths)), longest=max(lengths))


def _contradicting(texts: Texts, parts: Sequence[tuple[str, str]]) -> list[str]:
    """Prompts with different answers, by the first sample of each of two answers."""
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for row, (prompt, answer) in enumerate(parts):
        if texts.kind != "text":
            rows[prompt].setdefault(answer.strip(), row)
    return [" and ".join(texts.describe(row) for row in list(of.values())[:2]) for of in rows.values() if len(of) > 1]


def _tokens(config: LanguageCheckConfig, model: str, texts: Texts, test: Texts | None) -> tuple[TokenCounts, list[str]]:
    language, _ = load_configured(config, model, config.trust_remote_code)
    tokens = language.tokens(texts)
    notes = [*language.notes, *tokens.notes]
    if test is not None:
        notes += [f"Of those to test on: {note}" for note in language.tokens(test).notes]
    counts = TokenCounts(
        model=model,
        limit=language.encoding.longest,
        samples=_lengths([len(tokens[row]["input_ids"]) for row in range(len(tokens))]),
        answers=_lengths(tokens.answer_tokens),
        total=sum(tokens.answer_tokens),
    )
    return counts, notes


def _test(name: str, test: Texts, texts: Texts, prompts: set[str]) -> OverlapOfTexts:
    known, there = set(texts.contents()), test.contents()
    twice = [row for row in range(len(test)) if there[row] in known]
    asked = [test.kind != "text" and _parts(test[row])[0] in prompts for row in range(len(test))]
    return OverlapOfTexts(
        source=name,
        samples=len(test),
        overlap=len(twice),
        first=[test.describe(row) for row in twice[:NAMED]],
        prompts=sum(asked[row] for row in set(range(len(test))) - set(twice)),
    )


def texts_in_words(summary: TextsSummary) -> list[str]:
    """The summary in sentences, the samples first, then only what there is to say.

    Example:
        >>> print(texts_in_words(check_texts(LanguageCheckConfig(data="builtin:questions")))[0])
        builtin:questions: 2,200 prompts with completions.
    """
    said = [f"{summary.data}: {many(summary.samples, *KINDS[summary.kind])}."]
    what = "Texts" if summary.prompts is None else "Last answers" if summary.kind == "messages" else "Completions"
    if summary.prompts is not None:
        said.append(
            f"{'Prompts' if summary.kind == 'completion' else 'Before them'} have {_in_words(summary.prompts)}."
        )
    said.append(f"{what} have {_in_words(summary.answers)}. The longest sample is {summary.longest}.")
    if summary.copies:
        are = "is a copy of another" if summary.copies == 1 else "are copies of others"
        said.append(f"{many(summary.copies, 'sample')} {are}: sizes count different ones.")
    if summary.contradicting:
        come = "comes" if summary.contradicting == 1 else "come"
        said.append(
            f"{many(summary.contradicting, 'prompt')} {come} with different answers, such as {summary.first[0]}."
        )
    if summary.tokens is not None:
        of = summary.tokens
        limit = "" if of.limit is None else f", and may have {of.limit:,}"
        said.append(
            f"For {of.model} a sample has {_in_words(of.samples, 'tokens')}{limit}. The loss counts on "
            f"{_in_words(of.answers, 'tokens')}, {of.total:,} in all."
        )
    return said + ([] if summary.test is None else list(_of_test(summary.test))) + summary.notes


def _in_words(lengths: TextLengths, unit: str = "characters") -> str:
    return f"{lengths.shortest:,} to {lengths.longest:,} {unit}, {lengths.median:,} in the median"


def _of_test(test: OverlapOfTexts) -> list[str]:
    said = [f"{test.source}: {many(test.samples, 'sample')} to test on."]
    if test.overlap:
        are = "is" if test.overlap == 1 else "are"
        said.append(
            f"{test.overlap:,} of these {are} among the samples at hand, such as {test.first[0]}: a forecast does not "
            "test on them."
        )
    if test.prompts:
        have = "has" if test.prompts == 1 else "have"
        said.append(
            f"{test.prompts:,} of these {have} a prompt that is among those at hand with another answer: the test loss "
            "may be too low."
        )
    return said
