"""Which method to use from which size on, in plain sentences and in the rows of a table."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from suffice.report.answers.answer import MOST_STEPS, Answer, remedies
from suffice.report.answers.forecast import doubts_in_words
from suffice.report.answers.words import in_words, listed, rounded, share_in_words, target_in_words
from suffice.results import (
    Comparison,
    Curve,
    Fewest,
    FindingValue,
    MethodsResult,
    Metric,
    OfMethod,
    SufficientSize,
    Takeover,
    Trust,
    Word,
    interval_in_words,
)

SURE = 0.8
"""The probability from which on a method is taken to be the better one."""

WORDS: tuple[Word, ...] = ("high", "medium", "low", "cannot tell")


def methods_answer(result: MethodsResult) -> Answer:
    """The method to use for each stretch of sizes."""
    comparison, trust, findings = result.comparison, trust_of(result), _findings(result)
    silent = [
        f"{of.method}: no forecast. {of.forecast.explanation}"
        for of in result.methods
        if of.forecast.status == "cannot_tell"
    ]
    doubts = [f"{of.method}: {doubt}" for of in result.methods for doubt in doubts_in_words(of.forecast)]
    asides = [*silent, *_confidences(result), *doubts]
    if comparison is None:
        told = ", ".join(of.method for of in result.methods if of.forecast.status != "cannot_tell")
        what = f"only {told} has a forecast" if told else "none of them has a forecast"
        sentence = f"The methods cannot be compared: {what}."
        return Answer(sentence, trust.word, trust.reason, asides, remedies(findings)[:MOST_STEPS], findings)
    more = [
        *([] if _is_undecided(comparison) else _details(comparison, result.confidence)),
        *(sentence for fewest in comparison.fewest for sentence in _fewest(result, fewest)),
        _chances(comparison),
        *asides,
    ]
    steps = [*_next_steps(result, comparison), *remedies(findings)][:MOST_STEPS]
    return Answer(_advice(comparison), trust.word, trust.reason, more, steps, findings)


def trust_of(result: MethodsResult) -> Trust:
    """High where each stretch of sizes has a method that is surely the best, low where no size has one.

    It is not above the least of the methods that are compared, and where some sizes have no surely best method, one
    step below that. In files of earlier versions, whose methods were not judged, a serious finding counts as low, and
    a warning as medium.
    """
    comparison = result.comparison
    if comparison is None:
        return Trust(word="cannot tell", reason="fewer than two methods have a forecast")
    if _is_undecided(comparison):
        names = listed(comparison.undecided[0].methods)
        return Trust(word="low", reason=f"no size has a method that is better with probability {SURE:.0%} ({names})")
    least = _least([of for of in result.methods if curve_of(of, comparison) is not None])
    if least is not None and least.word != "high":
        return Trust(
            word="medium" if least.word == "medium" and not comparison.undecided else "low", reason=least.reason
        )
    if comparison.undecided:
        return Trust(word="medium", reason=f"at some sizes no method is better with probability {SURE:.0%}")
    return Trust(word="high", reason=f"at every size one method is better with probability {SURE:.0%} or more")


def _least(compared: Sequence[OfMethod]) -> Trust | None:
    """The trust in the forecast of the method that can be trusted least, and whose it is; None if none was judged."""
    judged = [(of.method, trust) for of in compared if (trust := of.trust or _by_findings(of)) is not None]
    if not judged:
        return None
    worst = max((trust for _, trust in judged), key=lambda trust: WORDS.index(trust.word))
    names = [method for method, trust in judged if trust == worst]
    whose = "" if len(names) == len(compared) else f"{listed(names)}: "
    return Trust(word=worst.word, reason=f"{whose}{worst.reason}")


def _by_findings(of: OfMethod) -> Trust | None:
    words: dict[str, Word] = {"serious": "low", "warning": "medium"}
    for severity, word in words.items():
        for finding in of.forecast.findings:
            if finding.severity == severity:
                return Trust(word=word, reason=f"{finding.what} ({finding.code})")
    return None


def _findings(result: MethodsResult) -> list[FindingValue]:
    """Of all methods, each once, with the methods that have it."""
    found: dict[str, tuple[FindingValue, list[str]]] = {}
    for of in result.methods:
        for finding in of.forecast.findings:
            found.setdefault(finding.model_dump_json(), (finding, []))[1].append(of.method)
    return [
        finding.model_copy(update={"what": f"{listed(names)}: {finding.what}"}) for finding, names in found.values()
    ]


def _next_steps(result: MethodsResult, comparison: Comparison) -> Iterator[str]:
    """What to train now, where to change, and the cheapest way to the target."""
    now = max((index for index, size in enumerate(comparison.drawn.sizes) if size <= result.samples), default=0)
    used = comparison.drawn.use[now]
    yield f"With the {result.samples:,} samples you have, train {used}."
    for stretch in comparison.advice[1:]:
        if stretch.first > result.samples:
            yield f"From about {rounded(stretch.first):,} samples on, train {stretch.methods[0]}."
            break
    for fewest in comparison.fewest:
        answer = next(
            (
                answer
                for of in result.methods
                for answer in of.answers
                if of.method == fewest.method and answer.criterion == fewest.criterion
            ),
            None,
        )
        if answer is None or answer.size is None or answer.size <= result.samples:
            continue
        metric: Metric = "accuracy" if fewest.criterion == "target_accuracy" else "loss"
        more = rounded(answer.size - result.samples)
        yield (
            f"For {target_in_words(metric, fewest.tolerance)}, collect {more:,} more samples and train {fewest.method}."
        )


def _confidences(result: MethodsResult) -> Iterator[str]:
    """How much the forecast of each method can be trusted."""
    told = [
        f"{of.method} {of.trust.word} – {of.trust.reason}"
        for of in result.methods
        if of.trust is not None and of.forecast.status != "cannot_tell"
    ]
    if told:
        yield f"Confidence by method: {'; '.join(told)}."


def curve_of(of: OfMethod, comparison: Comparison) -> Curve | None:
    """The curve by which a method is compared; None without a forecast."""
    curve = of.forecast.accuracy if comparison.metric == "accuracy" else of.forecast.loss
    return curve if isinstance(curve, Curve) else None


class Entry(NamedTuple):
    """Of the table of sizes and methods."""

    score: str
    interval: str
    chance: str
    is_used: bool


def table_of(result: MethodsResult) -> tuple[list[str], list[tuple[str, list[Entry]]]]:
    """The methods with a forecast, and for each size what they reach and how likely each is the best."""
    comparison = result.comparison
    if comparison is None:
        return [], []
    told = comparison.told
    curves = {of.method: curve for of in result.methods if (curve := curve_of(of, comparison)) is not None}
    rows = []
    for index, size in enumerate(told.sizes):
        entries = []
        for method, curve in curves.items():
            there = curve.at([size])
            mean, low, high = (in_words(curve.metric, float(end[0])) for end in (there.mean, there.low, there.high))
            chance = share_in_words(told.best[method][index])
            entries.append(Entry(mean, f"{low} to {high}", chance, told.use[index] == method))
        rows.append((f"{size:,}", entries))
    return list(curves), rows


def _advice(comparison: Comparison) -> str:
    """The headline: a method for each stretch of sizes."""
    first, *others = comparison.advice
    method, largest = first.methods[0], f"{rounded(comparison.drawn.sizes[-1]):,}"
    if others:
        parts = [f"{stretch.methods[0]} up to {rounded(stretch.last + 1):,}" for stretch in (first, *others[:-1])]
        return f"Use {', '.join(parts)} samples, and {others[-1].methods[0]} beyond."
    if not comparison.undecided:
        rest = [name for name in comparison.told.best if name != method]
        than = rest[0] if len(rest) == 1 else "each other one"
        return f"Use {method}: up to {largest} samples it is better than {than} with probability {SURE:.0%} or more."
    if _is_undecided(comparison):
        methods = listed(comparison.undecided[0].methods)
        return f"{methods} are indistinguishable up to {largest} samples: use {method}, the cheapest."
    return f"Use {method} at every size up to {largest} samples."


def _is_undecided(comparison: Comparison) -> bool:
    """Whether the same methods are indistinguishable at all sizes."""
    sizes = comparison.drawn.sizes
    return [(stretch.first, stretch.last) for stretch in comparison.undecided] == [(sizes[0], sizes[-1])]


def _details(comparison: Comparison, confidence: float) -> Iterator[str]:
    """Where the lead changes, and where that is not sure."""
    yield from (_takeover(comparison, takeover, confidence) for takeover in comparison.takeovers)
    yield from _undecided(comparison)


def _undecided(comparison: Comparison) -> Iterator[str]:
    """Where no method is surely the best: the cheapest is to be used there."""
    smallest, largest = comparison.drawn.sizes[0], comparison.drawn.sizes[-1]
    for stretch in comparison.undecided:
        first, last = f"{rounded(stretch.first):,}", f"{rounded(stretch.last + 1):,}"
        where = f"From {first} to {last} samples"
        if stretch.first == smallest:
            where = f"Up to {last} samples"
        elif stretch.last == largest:
            where = f"From {first} samples on"
        end = max(index for index, size in enumerate(comparison.drawn.sizes) if size <= stretch.last)
        used = comparison.drawn.use[end]
        reason = "leads" if used == comparison.drawn.lead[end] else "is cheaper"
        yield f"{where} {_none_of(stretch.methods)} with probability {SURE:.0%}; {used} {reason}."


def _none_of(methods: Sequence[str]) -> str:
    if len(methods) == 2:
        return f"neither {methods[0]} nor {methods[1]} is better than the other"
    return f"none of {listed(methods)} is better than all others"


def _takeover(comparison: Comparison, takeover: Takeover, confidence: float) -> str:
    low, high = (None if end is None else f"{rounded(end):,}" for end in (takeover.low, takeover.high))
    smallest, largest = (f"{rounded(comparison.drawn.sizes[end]):,}" for end in (0, -1))
    ends = f"{low or f'below {smallest}'} to {high or f'beyond {largest}'}"
    return (
        f"{takeover.after} overtakes {takeover.before} at about {rounded(takeover.size):,} samples ({confidence:.0%} "
        f"interval: {ends})."
    )


def _chances(comparison: Comparison) -> str:
    """Of the smallest and the largest size that were asked for."""
    told = comparison.told
    of_sizes = []
    for index in dict.fromkeys((0, len(told.sizes) - 1)):
        shares = ", ".join(f"{method} {share_in_words(best[index])}" for method, best in told.best.items())
        of_sizes.append(f"with {told.sizes[index]:,} samples {shares}")
    return f"Probability to be the best one: {'; '.join(of_sizes)}."


def _fewest(result: MethodsResult, fewest: Fewest) -> Iterator[str]:
    metric: Metric = "accuracy" if fewest.criterion == "target_accuracy" else "loss"
    goal = f"{'An accuracy' if metric == 'accuracy' else 'A loss'} of {target_in_words(metric, fewest.tolerance)}"
    answers = {
        of.method: answer for of in result.methods for answer in of.answers if answer.criterion == fewest.criterion
    }
    if fewest.method is None:
        yield f"{goal} is out of reach for each of these methods."
        return
    others = [
        f"{method} {_size(answer, result.samples)}"
        for method, answer in answers.items()
        if method != fewest.method and answer.status != "cannot_tell"
    ]
    first = answers[fewest.method]
    sure = "" if first.assurance is None else f" with probability {100 * first.assurance:.3g}%"
    sizes = "; ".join([_size(first, result.samples), *others])
    yield f"{goal}{sure} takes the fewest samples with {fewest.method}: {sizes}."
    shares = [f"than {method} with probability {share_in_words(share)}" for method, share in fewest.fewer.items()]
    yield f"{fewest.method} needs fewer {listed(shares)}."


def _size(answer: SufficientSize, at_hand: int) -> str:
    if answer.size is None or answer.low is None:
        return "does not reach it"
    if answer.size <= at_hand:
        return f"at most the {at_hand:,} at hand"
    return f"{answer.size:,} ({interval_in_words(answer.low, answer.high)})"
