"""What a curve through scores says, in plain sentences and in the rows of its tables."""

import math
from collections.abc import Iterator
from statistics import fmean
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from suffice.report.answers.words import in_words, share_in_words, target_in_words
from suffice.results import CurveResult, SufficientSize

SURE = 0.8
"""Probability whose size is named beside that of 0.5, where no assurance was asked for."""

Probabilities: TypeAlias = Float64[np.ndarray, " sizes"] | None

EVEN = 0.5
"""Probability that is meant by default, and whose size is named where no size has the one that was asked for."""

FAR = 16
"""Times the largest measured size, beyond which an answer is doubted."""

HARDLY = 0.95
"""Share of the interval that is left after trainings which are not worth it."""


def curve_answer(result: CurveResult) -> list[str]:
    """Plain sentences, the most important first."""
    answer = result.answer
    if answer is None:
        return list(_without_target(result))
    if answer.size is None or answer.low is None:
        return list(_out_of_reach(result, answer))
    return list(_with_size(result, answer, answer.size, answer.low))


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
            f"be {mean}; {result.confidence:.0%} interval: {low} to {high}."
        )


def _out_of_reach(result: CurveResult, answer: SufficientSize) -> Iterator[str]:
    whose = "next model's " if _is_of_next(result) else ""
    goal = f"{result.metric} is not expected to {_reach_target(result, answer)}"
    sentence = f"The {whose}{goal} with probability {_asked(answer)}"
    sizes, (of_asked, _) = result.drawn.sizes, _probabilities(result)
    if of_asked is None:
        yield f"{sentence}."
        return
    yield (
        f"{sentence}: with {sizes[-1]:,} samples, {sizes[-1] / largest_size(result):.3g} times the largest measured "
        f"size, it is {share_in_words(of_asked[-1])}."
    )
    even = _size_for(EVEN, sizes, of_asked)
    if even is not None:
        yield f"Probability {EVEN} takes about {even:,} samples."


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
    whose = "the next model's" if _is_of_next(result) else "the"
    goal = f"{whose} {result.metric} should {_reach_target(result, answer)}"
    width = f"{100 * answer.confidence:.3g}% interval"
    if size == sizes[0]:
        sure = "" if of_asked is None else f" with probability {share_in_words(of_asked[0])}"
        end = "no upper end" if answer.high is None else f"up to {answer.high:,} samples"
        ends = "" if answer.high == size else f"; {width}: {end}"
        yield f"Already with {size:,} samples, the smallest measured size, {goal}{sure}{ends}."
    else:
        ends = f"{low:,} to {answer.high:,} samples" if answer.high else f"{low:,} samples or more, with no upper end"
        yield f"With {size:,} samples {goal} with probability {_asked(answer)}; {width}: {ends}."
    if of_other is not None and size <= sizes[-1]:
        probability = share_in_words(float(np.interp(np.log(size), np.log(sizes), of_other)))
        asked, other = ("next", "average") if _is_of_next(result) else ("average", "next")
        yield (
            f"This is about the {asked} model on so many samples; the {other} one reaches it with probability "
            f"{probability}."
        )
    surer = None if of_asked is None or answer.assurance is not None else _size_for(SURE, sizes, of_asked)
    if surer is not None and surer > size:
        yield f"Probability {SURE} takes about {surer:,} samples."
    if result.costs is not None and result.costs.at_size is not None:
        yield (
            f"A training on {size:,} samples should cost about {_cost(result.costs.at_size)}, in the unit of the given "
            "costs, which are taken as proportional to the samples."
        )
    if size > FAR * largest_size(result):
        yield (
            f"But: this is {size / largest_size(result):.3g} times the largest measured size, and beyond 8 to {FAR} "
            "times such curves were not compared with measured ones."
        )


def _reach_target(result: CurveResult, answer: SufficientSize) -> str:
    verb = "fall to" if result.metric in ("error", "loss") else "reach"
    return f"{verb} {target_in_words(result.metric, answer.tolerance)}"


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _asked(answer: SufficientSize) -> str:
    return f"{answer.assurance or EVEN:g}"


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
            f"No training on the samples at hand narrows the interval by much; the best choice, {trainings} on "
            f"{run.size:,} samples, leaves {run.interval_left:.0%} of it: more samples are needed for a surer answer."
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
