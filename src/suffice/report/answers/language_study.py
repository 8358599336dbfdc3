"""What a study of a language model found, in sentences."""

import math
from collections.abc import Iterator

from suffice.report.answers.answer import MOST_STEPS, Answer
from suffice.report.answers.words import in_words, listed
from suffice.results import LanguageCell, LanguageMethod, LanguageStudyResult, Trust

FEW_SIZES, MANY_SIZES = 3, 5
"""Sizes below which the shape of a curve is that of other people's curves, and from which on it is its own."""

FEW_UPDATES = 100
"""Of a training, below which a language model still learns the format of the answers; as `suffice forecast` has it."""


def language_study_answer(result: LanguageStudyResult) -> Answer:
    """Which method is best, what it reaches, and what twice as many samples should bring."""
    ranked, largest = ranked_methods(result), largest_size(result)
    if not ranked:
        sentence = f"No training on {largest:,} samples finished: all of them diverged."
        steps = ["Take a smaller `--learning-rate`, or a longer `--warm-up`."]
        return Answer(sentence, "cannot tell", "there is nothing to compare", [], steps)
    best = ranked[0]
    trust = _trust(result, ranked)
    more = [_reached(result, ranked), *_last_step(result, best), *_ahead(best)]
    more += [*_left_out(result, best), *_worse(result, ranked)]
    return Answer(_lead(result, ranked), trust.word, trust.reason, more, list(_next_steps(result, ranked))[:MOST_STEPS])


def largest_size(result: LanguageStudyResult) -> int:
    """The largest number of training samples."""
    return max(cell.size for cell in result.cells)


def seeds_of(result: LanguageStudyResult) -> int:
    """How many seeds have a training that finished."""
    return len({cell.seed for cell in result.cells if cell.status == "finished"})


def ranked_methods(result: LanguageStudyResult) -> list[LanguageMethod]:
    """Methods with a training at the largest size, that of the lowest test loss first."""
    largest = largest_size(result)
    there = [method for method in result.methods if method.sizes and method.sizes[-1] == largest]
    return sorted(there, key=lambda method: float(method.loss.mean[-1]))


def doubled(method: LanguageMethod) -> tuple[float, float, float] | None:
    """The predicted test loss with twice the largest size, and its interval; None where nothing is predicted."""
    if method.predicted is None:
        return None
    at, score = method.predicted.sizes.index(2 * method.sizes[-1]), method.predicted.score
    return float(score.mean[at]), float(score.low[at]), float(score.high[at])


def perplexity_in_words(loss: float) -> str:
    """The perplexity of a mean loss.

    Example:
        >>> perplexity_in_words(1.2), perplexity_in_words(1e4)
        ('3.32', 'not known')
    """
    return in_words("loss", math.exp(loss)) if loss < 700 else "not known"


def _lead(result: LanguageStudyResult, ranked: list[LanguageMethod]) -> str:
    best, largest = ranked[0], largest_size(result)
    loss = float(best.loss.mean[-1])
    reached = f"a perplexity of {perplexity_in_words(loss)} (test loss {in_words('loss', loss)})"
    told = f"{best.method} reaches {reached} with {largest:,} samples"
    if len(ranked) > 1:
        shared = sorted(set.intersection(*(set(method.sizes) for method in ranked)))
        leaders = {min(ranked, key=lambda method: _loss_at(method, size)).method for size in shared}
        where = "leads at every size" if leaders == {best.method} else f"is best with {largest:,} samples"
        told = f"{best.method} {where}: {reached} with {largest:,}"
    there = doubled(best)
    if there is None:
        return f"{told}; what more would bring cannot be told."
    mean, low, high = (perplexity_in_words(end) for end in there)
    return f"{told}; twice as many should bring {mean} ({low} to {high})."


def _loss_at(method: LanguageMethod, size: int) -> float:
    return float(method.loss.mean[method.sizes.index(size)])


def _reached(result: LanguageStudyResult, ranked: list[LanguageMethod]) -> str:
    """The test losses at the largest size with their intervals, and that of the pretrained model."""
    found = []
    for method in ranked:
        mean, low, high = (
            in_words("loss", float(end[-1])) for end in (method.loss.mean, method.loss.low, method.loss.high)
        )
        found.append(f"{method.method} {mean} ({low} to {high})")
    before = in_words("loss", result.pretrained_loss)
    return (
        f"Test loss {_tested_on(result)}, trained on {largest_size(result):,}: "
        f"{', '.join(found)}; before any training it is {before}."
    )


def _tested_on(result: LanguageStudyResult) -> str:
    """What the test loss is a mean over."""
    samples = f"{result.test_samples:,} unseen samples"
    return f"on {samples}" if result.unit == "sample" else f"by token on {samples}"


def _last_step(result: LanguageStudyResult, best: LanguageMethod) -> list[str]:
    """What was measured of the last step of size."""
    if best.last_fall is None:
        return []
    before, largest = best.sizes[-2:]
    step = "the last doubling" if largest == 2 * before else f"the step from {before:,} samples"
    fall = best.last_fall
    value, low, high = (f"{end:.2g}".replace("-", "−") for end in (fall.value, fall.low, fall.high))
    sure = ": indistinguishable from zero" if fall.low <= 0 <= fall.high else ""
    return [f"Measured: {step} lowered the test loss of {best.method} by {value} ({low} to {high}){sure}."]


def _ahead(best: LanguageMethod) -> list[str]:
    """The sizes to come."""
    if best.predicted is None:
        return [f"The curve of {best.method} is not continued: {best.unpredicted.rstrip('.')}."]
    sizes, score = best.predicted.sizes, best.predicted.score
    mean, low, high = (perplexity_in_words(float(end[-1])) for end in (score.mean, score.low, score.high))
    return [
        f"Forecast: with {sizes[-1]:,} samples, {sizes[-1] // best.sizes[-1]} times the largest size, {best.method} "
        f"should have a perplexity of {mean} ({low} to {high})."
    ]


def through(method: LanguageMethod) -> list[int]:
    """The sizes that the continued curve goes through."""
    return [size for size in method.sizes if size >= (method.continued_from or 0)]


def _left_out(result: LanguageStudyResult, best: LanguageMethod) -> list[str]:
    """Trainings that tell nothing of how the curve goes on."""
    if through(best) == best.sizes:
        return []
    return [
        f"The curve goes on from {through(best)[0]:,} samples: smaller trainings have fewer than {FEW_UPDATES} "
        "updates, in which a language model learns the format of the answers."
    ]


def _worse(result: LanguageStudyResult, ranked: list[LanguageMethod]) -> list[str]:
    """Methods that do worse than the model did before."""
    names = [method.method for method in ranked if float(method.loss.mean[-1]) >= result.pretrained_loss]
    return [f"Training made the model worse by {listed(names)}."] if names else []


def _trust(result: LanguageStudyResult, ranked: list[LanguageMethod]) -> Trust:
    """High with three seeds, five sizes, a curve that goes on, and a leader that is clear of the others."""
    best, seeds = ranked[0], seeds_of(result)
    low = next(_reasons_for_low(result, best), None)
    if low is not None:
        return Trust(word="low", reason=low)
    close = [method.method for method in ranked[1:] if float(method.loss.low[-1]) <= float(best.loss.high[-1])]
    if close:
        overlap = f"the interval of {best.method} overlaps with that of {listed(close)} at the largest size"
        return Trust(word="medium", reason=overlap)
    sizes = f"{len(through(best))} sizes"
    if through(best) != best.sizes:
        sizes += f" with {FEW_UPDATES} updates and more"
    if seeds < 3 or len(through(best)) < MANY_SIZES:
        return Trust(word="medium", reason=f"there are {seeds} seeds at {sizes}")
    return Trust(word="high", reason=f"{seeds} seeds were trained at each of {sizes}")


def _is_of(cell: LanguageCell, method: LanguageMethod, size: int) -> bool:
    return (cell.method, cell.size) == (method.method, size)


def _reasons_for_low(result: LanguageStudyResult, best: LanguageMethod) -> Iterator[str]:
    if float(best.loss.mean[-1]) >= result.pretrained_loss:
        yield "no training made the model better than it was"
    if _seen_in_part(result, best):
        yield "the longest trainings do not see all of their samples"
    if best.predicted is None:
        yield "the curve cannot be continued"
    updates = {size: max(cell.steps for cell in result.cells if _is_of(cell, best, size)) for size in best.sizes}
    fewest, most = updates[through(best)[0]], updates[best.sizes[-1]]
    learning = f"below {FEW_UPDATES} a language model still learns the format of the answers"
    if most < FEW_UPDATES:
        yield f"the longest trainings have {most} updates, and {learning}"
    elif fewest < FEW_UPDATES and best.continued_from is not None:
        yield f"trainings at only one size have {FEW_UPDATES} updates, and {learning}"
    if seeds_of(result) < 2:
        yield "there is one seed, so that chance between trainings is not known"
    if len(through(best)) < FEW_SIZES:
        enough = "" if through(best) == best.sizes else f" with {FEW_UPDATES} updates and more"
        yield f"there are {len(through(best))} sizes{enough}, which tell no shape of the curve"
    if best.last_fall is not None and best.last_fall.low <= 0:
        yield "what the last step of size brought is indistinguishable from zero"


def _seen_in_part(result: LanguageStudyResult, best: LanguageMethod) -> bool:
    """Whether trainings of a method end before they have seen all of their samples."""
    return any(cell.method == best.method and cell.seen is not None and cell.seen < cell.size for cell in result.cells)


def _next_steps(result: LanguageStudyResult, ranked: list[LanguageMethod]) -> Iterator[str]:
    best, largest = ranked[0], largest_size(result)
    if float(best.loss.mean[-1]) >= result.pretrained_loss:
        yield "Take a smaller `--learning-rate`: these trainings made the model worse."
        return
    there = doubled(best)
    if _seen_in_part(result, best):
        yield "Let each training see all of its samples: take `--epochs` in place of `--steps`, or more steps."
    elif result.pool >= 2 * largest:
        yield f"Study sizes up to {result.pool:,} samples (`--sizes`) before you collect more."
    elif there is not None and there[2] < float(best.loss.mean[-1]):
        yield (
            f"Collect {largest:,} samples more if a perplexity of {perplexity_in_words(there[0])} in place of "
            f"{perplexity_in_words(float(best.loss.mean[-1]))} is worth them."
        )
    else:
        yield "Do not collect more for this alone: that it would help is not sure."
    if len(result.methods) == 1 and there is not None:
        short = "" if through(best) == best.sizes else f", without the rows below {through(best)[0]:,} samples"
        yield (
            "To ask for the size that reaches a loss: `suffice curve cells.csv --metric loss --score-column test_loss "
            f'--kind "language model" --target LOSS`{short}.'
        )
    if seeds_of(result) < 3:
        yield "Train three seeds (`--seeds 3`): runs of the same size differ."
