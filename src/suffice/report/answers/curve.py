"""What a curve through scores says, in plain sentences and in the rows of its tables."""

import math
from collections.abc import Iterator
from statistics import fmean
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from suffice.report.answers.answer import MOST_STEPS, Answer
from suffice.report.answers.words import capitalized, goal_in_words, in_words, listed, rounded, share_in_words
from suffice.results import CurveResult, GeneratedAccuracy, OneRunFound, SufficientSize, Trust, Word

SURE = 0.8
"""Probability whose size is named beside that of 0.5, where no assurance was asked for."""

Probabilities: TypeAlias = Float64[np.ndarray, " sizes"] | None

EVEN = 0.5
"""Probability that is meant by default, and whose size is named where no size has the one that was asked for."""

FAR = 16
"""Times the largest measured size, beyond which an answer is doubted."""

HARDLY = 0.95
"""Share of the interval that is left after trainings which are not worth it."""

NARROW, WIDE = 2.0, 5.0
"""Upper over lower end of the interval of a size, up to which the confidence is high, and medium."""

UNLIKELY, DOUBTFUL = 0.05, 0.2
"""Probabilities up to which that a target is out of reach has high confidence, and medium."""

FEW = 3
"""Measured sizes below which the shape of the curve is that of other people's curves."""

COMPARED = 8
"""Times the samples of a run, up to which forecasts from one run were compared with trainings."""

WORTH_RUNS = 0.9
"""Of the half-width of the slope's interval, what short runs must leave at most to be worth their time."""

WORDS: tuple[Word, ...] = ("high", "medium", "low")


def curve_answer(result: CurveResult) -> Answer:
    """The size that reaches the target, or what more samples would bring."""
    answer, trust = result.answer, trust_of(result)
    if result.one_run is not None:
        return _of_one_run(result, result.one_run, trust)
    if answer is None:
        sentences = list(_without_target(result))
    elif answer.size is None or answer.low is None:
        sentences = list(_out_of_reach(result, answer))
    else:
        sentences = list(_with_size(result, answer, answer.size, answer.low))
    sentence, *more = sentences
    return Answer(sentence, trust.word, trust.reason, more, list(_next_steps(result))[:MOST_STEPS])


def _of_one_run(result: CurveResult, run: OneRunFound, trust: Trust) -> Answer:
    """What doubling the samples brings, and what a number of samples more would."""
    slope, predicted, answer = run.slope, result.predicted, result.answer
    loss = dict(zip(predicted.sizes, predicted.score.mean, strict=True))
    sentence = (
        f"Doubling the {run.samples:,} samples lowers the test loss by {slope.value:.2g} ({slope.low:.2g} to "
        f"{slope.high:.2g})"
    )
    ahead = [size for size in predicted.sizes if size > run.samples]
    if slope.low <= 0:
        sentence = f"This run cannot tell what more samples bring: d{sentence[1:]}"
    elif ahead:
        more = ahead[min(1, len(ahead) - 1)]
        before, after = math.exp(loss[run.samples]), math.exp(loss[more])
        sentence += (
            f": {more - run.samples:,} samples more should bring the perplexity from {before:.3g} to {after:.3g}"
        )
    sentences = []
    if answer is not None and answer.criterion == "cost_per_sample":
        sentences = [answer.explanation]
    elif answer is not None:
        if answer.size is None or answer.low is None:
            sentences = list(_out_of_reach(result, answer))
        else:
            sentences = list(_with_size(result, answer, answer.size, answer.low))
            if answer.size > COMPARED * run.samples:
                sentences.append(
                    f"Beyond {COMPARED * run.samples:,} samples, {COMPARED} times those of the run, such forecasts "
                    "were not compared with trainings."
                )
    if run.generated is not None:
        sentences += _of_completions(run.generated, result.confidence)
    word, reason = trust.word, trust.reason
    if slope.low <= 0:
        word, reason = "cannot tell", "the slope is indistinguishable from zero"
    elif result.notes or slope.high > 2 * slope.low:
        word = "low" if slope.high > 4 * slope.low else "medium" if word == "high" else word
        reason = f"the slope is {slope.low:.2g} to {slope.high:.2g} per doubling"
    if word == "high":  # no interval knows how far apart runs of the same size end
        word, reason = "medium", f"{reason}, from one run; others of its size may end some percent apart"
    return Answer(f"{sentence}.", word, reason, sentences, list(_next_of_one_run(result, run)))


def _of_completions(generated: GeneratedAccuracy, confidence: float) -> Iterator[str]:
    """The accuracy by generation, measured; nothing is predicted of it."""
    *before, last = generated.at
    share = last.accuracy
    low, high = (in_words("accuracy", end) for end in (share.low, share.high))
    earlier = [
        f"{in_words('accuracy', at.accuracy.value)} " + (f"after {at.seen:,} samples" if at.seen else "before training")
        for at in before
    ]
    than = f"; it was {listed(earlier)}" if earlier else ""
    yield (
        f"Accuracy by generation: {in_words('accuracy', share.value)}, {last.right:,} of {generated.samples:,} "
        f"completions ({confidence:.0%} interval: {low} to {high}){than}."
    )
    if last.unmatched:
        have, count = ("has", "counts") if last.unmatched == 1 else ("have", "count")
        yield f"{last.unmatched:,} of these completions {have} no answer to compare, and {count} as wrong."
    if last.unended:
        were = "was" if last.unended == 1 else "were"
        yield f"{last.unended:,} of these completions {were} cut after {generated.tokens:,} tokens."


def _next_of_one_run(result: CurveResult, run: OneRunFound) -> Iterator[str]:
    answer = result.answer
    if run.slope.low <= 0:
        yield "Measure more before you collect: a run on more samples, or one with a larger hold-out."
    elif answer is None:
        yield "Name the loss that you need (`--target-loss`), and the answer is a number of samples."
    elif answer.size is None:
        yield "Do not collect for this target: change the model, its samples or how it is trained."
    elif answer.size <= run.samples:
        yield f"Stop collecting: the {run.samples:,} samples at hand are enough."
    else:
        more = rounded(answer.size) - run.samples  # as the answer says it
        yield f"Collect {more if more > 0 else answer.size - run.samples:,} samples more, drawn as those at hand."
    half = (run.slope.high - run.slope.low) / 2
    if run.narrowed is not None and run.narrowed < WORTH_RUNS * half:
        low, high = run.slope.value - run.narrowed, run.slope.value + run.narrowed
        how = "--from" if run.trained is None else "--short-runs"
        yield (
            f"Two short runs on {run.samples // 2:,} and {run.samples // 4:,} samples (`{how}`) should narrow the "
            f"slope to about {low:.2g} to {high:.2g}."
        )


def trust_of(result: CurveResult) -> Trust:
    """The confidence, from the interval of the answer, how far it is continued, and from how many sizes.

    An interval up to 2 times as wide as its lower end is long gives high, up to 5 times medium, and beyond low; far
    beyond the measured sizes, or from fewer than three of them, one step less.
    """
    answer, largest = result.answer, largest_size(result)
    sizes = len({training.size for training in result.trainings})
    if answer is None:
        size = result.predicted.sizes[-1]
        step, reason = (
            (1 if size <= FAR * largest else 2),
            f"the curve is continued to {size / largest:.2g} times the largest size",
        )
    elif answer.status == "cannot_tell":
        return Trust(word="cannot tell", reason=answer.explanation)
    elif answer.size is None or answer.low is None:
        reached = _probabilities(result)[0]
        most = 0.0 if reached is None else float(reached.max())
        step = 0 if most <= UNLIKELY else 1 if most <= DOUBTFUL else 2
        reason = f"it is reached with probability {share_in_words(most)} at most"
    elif answer.size == result.drawn.sizes[0] and answer.high == answer.size:
        step, reason = 0, "the smallest measured size reaches it"
    else:
        ratio = math.inf if answer.high is None else answer.high / answer.low
        step = 0 if ratio <= NARROW else 1 if ratio <= WIDE else 2
        reason = "the interval has no upper end"
        if answer.high is not None:
            reason = f"the interval is {answer.low:,} to {answer.high:,}"
        if answer.size > FAR * largest:
            return Trust(word="low", reason=f"the size is {answer.size / largest:.3g} times the largest measured one")
    if sizes < FEW and step < 2:
        return Trust(word=WORDS[step + 1], reason=f"there are scores at {sizes} sizes only")
    return Trust(word=WORDS[step], reason=reason)


def given_scores(result: CurveResult) -> Iterator[tuple[int, int, float, float, float]]:
    """For each measured size: the size, how many trainings, and the mean, lowest and highest score."""
    for size in sorted({training.size for training in result.trainings}):
        scores = [training.score for training in result.trainings if training.size == size]
        yield size, len(scores), fmean(scores), min(scores), max(scores)


def largest_size(result: CurveResult) -> int:
    """The largest measured size."""
    return max(training.size for training in result.trainings)


def _without_target(result: CurveResult) -> Iterator[str]:
    largest, predicted = largest_size(result), result.predicted
    ahead = [index for index, size in enumerate(predicted.sizes) if size > largest] or [len(predicted.sizes) - 1]
    for index in dict.fromkeys([ahead[0], ahead[-1]]):
        size, band = predicted.sizes[index], predicted.score
        mean, low, high = (in_words(result.metric, end[index]) for end in (band.mean, band.low, band.high))
        yield (
            f"With {size:,} samples, {size / largest:.3g} times the largest measured size, the {result.metric} should "
            f"be {mean} ({result.confidence:.0%} interval: {low} to {high})."
        )


def _out_of_reach(result: CurveResult, answer: SufficientSize) -> Iterator[str]:
    goal, sizes = goal_in_words(result.metric, answer.tolerance), result.drawn.sizes
    whose = " by the next model" if _is_of_next(result) else ""
    band, (of_asked, _) = result.drawn.score, _probabilities(result)
    mean, low, high = (in_words(result.metric, end[-1]) for end in (band.mean, band.low, band.high))
    far = f"with {sizes[-1]:,} samples, {sizes[-1] / largest_size(result):.3g} times the largest measured size"
    most = 0.0 if of_asked is None else float(of_asked.max())
    if answer.assurance is not None:
        judged = f"cannot be promised with probability {100 * answer.assurance:.3g}%"
    elif most <= UNLIKELY:
        judged = "is out of reach"
    else:
        judged = "is probably out of reach" if most <= DOUBTFUL else "may be out of reach"
    yield f"{capitalized(goal)}{whose} {judged}: {far}, the curve is at {mean} ({low} to {high})."
    if of_asked is not None:
        yield f"There it is reached with probability {share_in_words(of_asked[-1])}."
        even = _size_for(EVEN, sizes, of_asked)
        if even is not None:
            yield f"A probability of {EVEN:.0%} takes about {even:,} samples."


def _is_of_next(result: CurveResult) -> bool:
    return result.configuration.get("of") == "next"


def _probabilities(result: CurveResult) -> tuple[Probabilities, Probabilities]:
    """At the drawn sizes: of what was asked for, the average model or the next one, and of the other."""
    reached = result.drawn.reached
    if reached is None:
        return None, None
    return (reached.next, reached.mean) if _is_of_next(result) else (reached.mean, reached.next)


def _with_size(result: CurveResult, answer: SufficientSize, size: int, low: int) -> Iterator[str]:
    sizes, (of_asked, of_other) = result.drawn.sizes, _probabilities(result)
    next_model = " of the next model" if _is_of_next(result) else ""
    goal, largest = f"{goal_in_words(result.metric, answer.tolerance)}{next_model}", largest_size(result)
    sure = "" if answer.assurance is None else f" with probability {100 * answer.assurance:.3g}%"
    width = f"{100 * answer.confidence:.3g}% interval"
    if size == sizes[0]:
        yield f"Already {size:,} samples, the smallest measured size, reach {goal}{sure}."
        end = "an upper end is not known" if answer.high is None else f"up to {answer.high:,} samples"
        known = "" if of_asked is None else f"The probability there is {share_in_words(of_asked[0])}"
        ends = "" if answer.high == size else f"{'; ' if known else ''}{width}: {end}"
        if known or ends:
            yield f"{known}{ends}."
    else:
        far = (
            f"{size / largest:.2g} times the largest size you measured"
            if size > largest
            else "within the measured sizes"
        )
        yield f"About {rounded(size):,} samples reach {goal}{sure}: {far}."
        ends = (
            f"{rounded(low):,} to {rounded(answer.high):,} samples"
            if answer.high
            else f"at least {rounded(low):,} samples; an upper end is not known"
        )
        yield f"{width}: {ends}."
    if of_other is not None and size <= sizes[-1]:
        probability = share_in_words(float(np.interp(np.log(size), np.log(sizes), of_other)))
        asked, other = ("next", "average") if _is_of_next(result) else ("average", "next")
        yield (
            f"This is about the {asked} model on so many samples; the {other} one reaches it with probability "
            f"{probability}."
        )
    surer = None if of_asked is None or answer.assurance is not None else _size_for(SURE, sizes, of_asked)
    if surer is not None and surer > size:
        yield f"A probability of {SURE:.0%} takes about {surer:,} samples."
    if result.costs is not None and result.costs.at_size is not None:
        yield (
            f"A training on {size:,} samples should cost about {_cost(result.costs.at_size)}, in the unit of the given "
            "costs, which are taken as proportional to the samples."
        )
    if size > FAR * largest:
        yield (
            f"But: this is {size / largest:.3g} times the largest measured size, and beyond 8 to {FAR} "
            "times such curves were not compared with measured ones."
        )


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _next_steps(result: CurveResult) -> Iterator[str]:
    answer, largest = result.answer, largest_size(result)
    if answer is not None and answer.size is not None and answer.size > largest:
        surer = None
        of_asked = _probabilities(result)[0]
        if of_asked is not None and answer.assurance is None:
            surer = _size_for(SURE, result.drawn.sizes, of_asked)
        plan = f", or {surer:,} for a probability of {SURE:.0%}" if surer and surer > answer.size else ""
        yield f"Plan for {rounded(answer.size):,} samples in all{plan}."
    elif answer is not None and answer.size is not None:
        yield f"Stop collecting for this target: {answer.size:,} samples are enough."
    elif answer is not None:
        yield "Do not collect for this target with this training: change the model, its inputs or how it is trained."
    trained = next_in_words(result)
    if trained is not None:
        yield trained
    if answer is None:
        yield "Name the score you need (`--target 0.9`), and the answer is a number of samples."


def next_in_words(result: CurveResult) -> str | None:
    """What to train next, and what it brings; None where there is nothing to narrow."""
    run = result.next_trainings
    if run is None:
        return None
    trainings = "one model" if run.seeds == 1 else f"{run.seeds} models, each with its own draw of samples and seed,"
    costs = result.costs
    cost = f" They cost about {_cost(costs.next_trainings)}." if costs and costs.next_trainings is not None else ""
    if run.interval_left >= HARDLY:
        return (
            f"Collect more samples for a surer answer: no training on those at hand narrows the interval by much (the "
            f"best choice, {trainings} on {run.size:,} samples, leaves {run.interval_left:.0%} of it)."
        )
    return (
        f"Train {trainings} on {run.size:,} samples: this should narrow the interval of the size to "
        f"{run.interval_left:.0%} of its width (on a log scale).{cost}"
    )


def _size_for(share: float, sizes: list[int], reached: Float64[np.ndarray, " sizes"]) -> int | None:
    """The first of the sizes that reaches a probability, rounded up to two digits."""
    enough = np.flatnonzero(reached >= share)
    if not len(enough):
        return None
    size = sizes[int(enough[0])]
    unit: int = 10 ** max(0, len(str(size)) - 2)
    return math.ceil(size / unit) * unit
