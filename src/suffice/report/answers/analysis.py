"""What an analysis says: how well a loss is known from the samples at hand, and how many samples it takes."""

import math
from collections.abc import Iterator

from suffice.configuration import Config, ForecastConfig, ModelConfig
from suffice.configuration.language import LanguageForecastConfig, LanguageTexts
from suffice.report.answers.answer import MOST_STEPS, Answer, lowered
from suffice.report.answers.commands import in_shell
from suffice.report.answers.words import rounded
from suffice.results import AnalysisResult, SufficientSize, Trust, Word

NARROW, WIDE = 2.0, 5.0
"""Upper over lower end of the interval of a size, up to which the confidence is high, and medium."""

ORDERED = 0.05
"""p-value of a random order, below which the samples are taken to be sorted, or to drift."""

GUESSING = 0.95
"""Of the loss of equally likely classes, from which on a model is hardly better than guessing."""

WORDS: tuple[Word, ...] = ("high", "medium", "low")


def analysis_answer(result: AnalysisResult) -> Answer:
    """How far the measured loss is from that of unlimited data, and which of the two sizes is for what."""
    remaining, samples = result.sufficient_sizes[0], result.problem.samples
    trust, tolerance = _trust(result, remaining), percent(remaining.tolerance)
    if remaining.size is None or remaining.low is None:
        more = [ABOUT, *_held_out(result)]
        return Answer(remaining.explanation, trust.word, trust.reason, more, list(_next_steps(result))[:MOST_STEPS])
    within = within_of(result)
    size = rounded(remaining.size)
    if within is None:
        sentence = remaining.explanation
    elif remaining.size <= samples:
        sentence = (
            f"The loss measured on your {samples:,} samples is within {percent(within)} of what unlimited data would "
            f"show; for {tolerance} about {size:,} are enough."
        )
    else:
        sentence = (
            f"The loss measured on your {samples:,} samples is within {percent(within)} of what unlimited data would "
            f"show; for {tolerance} you would need about {size:,}."
        )
    ends = f"{rounded(remaining.low):,} or more, an upper end is not known"
    if remaining.high is not None:
        ends = f"{rounded(remaining.low):,} to {rounded(remaining.high):,} samples"
    return Answer(
        sentence,
        trust.word,
        trust.reason,
        [f"{result.confidence:.0%} interval of the {size:,}: {ends}. {ABOUT}", *_held_out(result)],
        list(_next_steps(result))[:MOST_STEPS],
    )


ABOUT = (
    "This is about measuring the loss, not about how good a model trained on more data would be: ask `suffice "
    "forecast`."
)


def _held_out(result: AnalysisResult) -> Iterator[str]:
    """How good the model is on the samples set aside, where they were predicted."""
    metrics = [f"{name} {value:.3g}" for name, value in result.problem.held_out_metrics.items()]
    if metrics:
        yield f"On the samples set aside: {', '.join(metrics)}."


def within_of(result: AnalysisResult) -> float | None:
    """The typical distance of the mean loss of all samples from that of unlimited data, relative to the loss."""
    relative = result.settling[0].relative
    return None if relative is None else math.sqrt(relative.value / result.problem.samples)


def percent(share: float) -> str:
    """
    Example:
        >>> percent(0.05), percent(0.1372), percent(0.00123), percent(1.3)
        ('5%', '14%', '0.12%', '130%')
    """
    return f"{float(f'{100 * share:.2g}'):g}%"


def _trust(result: AnalysisResult, size: SufficientSize) -> Trust:
    if size.size is None or size.low is None:
        return Trust(word="cannot tell", reason=lowered(size.explanation))
    ratio = math.inf if size.high is None else size.high / size.low
    step = 0 if ratio <= NARROW else 1 if ratio <= WIDE else 2
    reason = "the interval of the size has no upper end"
    if size.high is not None:
        reason = f"the interval of the size is {rounded(size.low):,} to {rounded(size.high):,}"
    if (chance := _at_chance(result)) is not None:
        return Trust(word="low", reason=chance)
    if not result.problem.held_out_samples and result.problem.fine_tuning is not None:
        return Trust(word="low", reason="the model was trained on these samples, and none were set aside")
    if result.landscape.exchangeability < ORDERED and step < 2:
        step, reason = step + 1, "the samples are sorted or drift along their order"
    return Trust(word=WORDS[step], reason=reason)


def _at_chance(result: AnalysisResult) -> str | None:
    """That the model hardly beats guessing on held-out samples: such a loss settles soon, and tells nothing."""
    problem = result.problem
    if problem.held_out_loss is None or problem.held_out_accuracy is None or problem.classes < 2:
        return None
    if problem.held_out_loss < GUESSING * math.log(problem.classes):
        return None
    return (
        f"the model hardly beats guessing: {problem.held_out_accuracy:.1%} of the samples set aside are right, and "
        f"the loss of {problem.held_out_loss:.3g} is that of {problem.classes:,} equally likely classes"
    )


def _next_steps(result: AnalysisResult) -> Iterator[str]:
    if _at_chance(result) is not None:
        yield (
            "Train the model first (`--method`, `--steps`), or check that its classes are those of the data: the size "
            "below is about the loss of a guess."
        )
    remaining, difference, samples = *result.sufficient_sizes[:2], result.problem.samples
    if remaining.size is not None and remaining.size > samples:
        more = rounded(remaining.size - samples)
        yield (
            f"To report this loss, or to compare two models by it, measure on about {rounded(remaining.size):,} "
            f"samples: {more:,} more than you have."
        )
    elif remaining.size is not None:
        yield f"To report this loss, or to compare two models by it, your {samples:,} samples are enough."
    if difference.size is not None:
        yield (
            f"To stop adding samples one by one, {rounded(difference.size):,} are enough: beyond, one more sample "
            "moves "
            f"the mean loss by less than {percent(difference.tolerance)}. It says nothing about how far the loss "
            "still is "
            "from its end."
        )
    is_of_language = "prompt_column" in result.configuration
    kind: type[Config] = LanguageForecastConfig if is_of_language else ForecastConfig
    texts = LanguageTexts.model_fields.keys() if is_of_language else set()
    read = ((ModelConfig.model_fields.keys() | texts) & kind.model_fields.keys()) - {"seed", "samples"}
    same = {"model": result.problem.model, "data": result.problem.data}
    same |= {name: value for name, value in result.configuration.items() if name in read}
    command = in_shell("forecast", same, kind)
    yield f"To learn whether more training data would make a better model, run `{command}`."
