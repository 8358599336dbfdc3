"""Accuracy by generation: the completions of a hold-out's prompts on the way of a run, kept and judged."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import TypeAdapter

from suffice.data.answers import AnswerPattern, references
from suffice.data.completions import Texts
from suffice.errors import InputError, InputWarning, shortened
from suffice.forecasting.metrics.now import MetricNow
from suffice.models.language import Generation, LanguageProblem, Written
from suffice.results import CONFIDENCE, AccuracyAt, Estimate, GeneratedAccuracy
from suffice.storage import Pieces

OF_PIECES = TypeAdapter(list[Written])


class Answers:
    """The answers that a hold-out's references have, and those that completions have.

    Args:
        texts: of the hold-out.
        generation: its prompts.
        pattern: a regular expression, or ``exact``.

    Raises:
        InputError: a pattern that is none, or a reference without an answer, or with one that the tokenizer cannot
            write.
    """

    def __init__(self, texts: Texts, generation: Generation, pattern: str) -> None:
        self._pattern, self.generation = AnswerPattern(pattern), generation
        names = [texts.describe(row) for row in range(len(texts))]
        self._references = references(self._pattern, generation.references, names)
        for row, answer in enumerate(self._references):
            back = self._pattern.of(generation.read_back(row))
            if back != answer:
                raise InputError(
                    f"{names[row]}: the tokenizer writes the answer {shortened(answer)!r} as {shortened(str(back))!r}, "
                    "so no completion can have it: give another --answer-pattern"
                )

    def judged(self, completions: dict[int, list[Written]]) -> GeneratedAccuracy:
        """The accuracy of completions, by the number of samples that the model had been trained on."""
        return GeneratedAccuracy(
            pattern=self._pattern.pattern,
            samples=len(self._references),
            tokens=self.generation.tokens,
            at=[self._at(seen, completions[seen]) for seen in sorted(completions)],
        )

    def _at(self, seen: int, completions: list[Written]) -> AccuracyAt:
        found = [self._pattern.of(completion.text) for completion in completions]
        right = sum(answer == reference for answer, reference in zip(found, self._references, strict=True))
        return AccuracyAt(
            seen=seen,
            right=right,
            unmatched=found.count(None),
            unended=sum(not completion.is_ended for completion in completions),
            accuracy=share_of(right, len(found)),
        )


def share_of(count: int, of: int) -> Estimate:
    """A share with its interval, by Jeffreys' prior; 0 and 1 are ends of it where none or all count.

    Example:
        >>> share_of(0, 40).low, round(share_of(0, 40).high, 3), round(share_of(20, 40).low, 2)
        (0.0, 0.047, 0.37)
    """
    share = count / of
    low, high = MetricNow(share, of, 0.0).quantiles(np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    return Estimate(value=share, low=0.0 if not count else float(low), high=1.0 if count == of else float(high))


class Completed:
    """Completions of the hold-out's prompts on the way of a run, each kept as soon as it is there.

    Args:
        held: the model on the hold-out.
        generation: its prompts.
        pieces: where they are kept.
        batch_size: prompts that are completed together.
        progress: called with the number of prompts when they are completed.

    Attributes:
        found: what the model wrote, by the number of samples that it had been trained on.
    """

    def __init__(
        self,
        held: LanguageProblem,
        generation: Generation,
        pieces: Pieces,
        batch_size: int,
        progress: Callable[[int], None],
    ) -> None:
        self._held, self._generation, self._pieces = held, generation, pieces
        self._batch_size, self._progress = batch_size, progress
        self.found: dict[int, list[Written]] = {}

    def recall(self, moments: Sequence[int]) -> None:
        """What was kept of some moments of the run: it cannot be made again without the weights of then.

        What is damaged is warned of by name, and is none.
        """
        for seen in moments:
            try:
                self._pieces.read(_name(seen))
            except FileNotFoundError:
                continue
            except InputError as error:
                warnings.warn(InputWarning(f"{error}: it is not used", event="damaged"), stacklevel=3)
                continue
            self.at(seen)

    def at(self, seen: int) -> None:
        """Completes the prompts by the model as it is now, after so many samples, unless that was done before."""
        self.found[seen] = self._pieces.get(_name(seen), OF_PIECES, self._completions)
        self._progress(len(self._generation))

    def _completions(self) -> list[Written]:
        model = self._held.model
        is_training = model.training
        model.eval()
        try:
            with self._held.measuring():
                return self._generation.completions(model, self._batch_size)
        finally:
            model.train(is_training)


def _name(seen: int) -> str:
    return f"completions_{seen}"
