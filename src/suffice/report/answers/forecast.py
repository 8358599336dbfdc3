"""What a forecast says, in plain sentences."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from suffice.report.answers.answer import MOST_STEPS, Answer, lowered, remedies
from suffice.report.answers.words import (
    capitalized,
    goal_in_words,
    in_words,
    rounded,
    share_in_words,
    target_in_words,
)
from suffice.results import (
    ClassGain,
    Curve,
    Estimate,
    ForecastResult,
    Gain,
    LearningCurve,
    Limit,
    Metric,
    SufficientSize,
    Trust,
)

CLEARLY = 1.2
"""How many times the average the next sample of a class has to bring for the class to be named."""

SURE = 0.8
"""Probability whose size is named beside that of 0.5, where no assurance was asked for."""

UNLIKELY, DOUBTFUL = 0.05, 0.2
"""Probabilities up to which a target is out of reach, and probably so."""


def forecast_answer(result: ForecastResult) -> Answer:
    """The first target, or what about as many samples again would bring."""
    trust = trust_of(result)
    findings = result.forecast.findings
    if result.forecast.status == "cannot_tell" and result.answers and result.answers[0].status == "reached":
        goal = _goal(result, result.answers[0])
        sentence = f"The {result.samples:,} samples you have should be enough for {goal}."
        untold = "How much more samples would bring cannot be told, as there are no errors yet."
        return Answer(sentence, trust.word, trust.reason, [untold], remedies(findings)[:MOST_STEPS], findings)
    if result.forecast.status == "cannot_tell":
        sentence = f"Cannot tell yet: {lowered(result.forecast.explanation)}"
        return Answer(sentence, trust.word, trust.reason, (), remedies(findings)[:MOST_STEPS], findings)
    first, others = (result.answers[0], result.answers[1:]) if result.answers else (None, [])
    more: list[str]
    if first is None:
        gain, *rest = _by_usefulness(result)
        sentence, more = _first_gain(result, gain), [gain_in_words(result, other) for other in rest]
    else:
        sentence, *more = _of_answer(result, first)
        more += [words for other in others for words in _of_answer(result, other)]
        more += [gain_in_words(result, gain) for gain in result.gains]
    more += [*_groups(result, first), *_limits(result), *_recipe(result)]
    steps = list(_next_steps(result, first))[:MOST_STEPS]
    return Answer(sentence, trust.word, trust.reason, more, steps, findings)


def trust_of(result: ForecastResult) -> Trust:
    """How much the first answer can be trusted; by its status in a file of an earlier version."""
    curve, trust = result.forecast, result.trust
    if curve.status == "cannot_tell":
        return trust or Trust(word="cannot tell", reason="there is no forecast")
    if trust is not None:
        return trust
    unknown = "it was not judged in this version of the file"
    first = result.answers[0] if result.answers else None
    if first is not None and first.status == "cannot_tell":
        return Trust(word="cannot tell", reason=first.explanation)
    if first is not None and first.high is None:
        return Trust(word="low", reason=f"the interval has no upper end, and {unknown}")
    return Trust(word="medium", reason=unknown)


def doubts_in_words(forecast: LearningCurve) -> list[str]:
    """Doubts of files of earlier versions, which have no findings."""
    return [] if forecast.findings else [f"But: {lowered(doubt)}" for doubt in forecast.doubts]


def curve_of_answer(result: ForecastResult, answer: SufficientSize) -> Curve | None:
    """The curve that a target is of; None for a result of an earlier version, which has no draws, and for costs."""
    curves = {"target_accuracy": result.forecast.accuracy, "target_loss": result.forecast.loss}
    curve = curves.get(answer.criterion)
    return curve if isinstance(curve, Curve) else None


def metric_of(answer: SufficientSize) -> Metric:
    """What the target of an answer is measured in."""
    return "accuracy" if answer.criterion == "target_accuracy" else "loss"


def name_of(result: ForecastResult, metric: Metric) -> str:
    """What a metric is called: the loss of numbers is their mean squared error, and the accuracy is R²."""
    names = {"accuracy": "R²", "loss": "mean squared error"} if result.task == "regression" else {}
    return names.get(metric, metric)


def _goal(result: ForecastResult, answer: SufficientSize) -> str:
    metric = metric_of(answer)
    if metric == "loss":
        return f"a {name_of(result, metric)} of {target_in_words(metric, answer.tolerance)}"
    return goal_in_words(metric, answer.tolerance)


def _of_answer(result: ForecastResult, answer: SufficientSize) -> Iterator[str]:
    if answer.criterion not in ("target_accuracy", "target_loss"):
        yield answer.explanation
        return
    metric = metric_of(answer)
    goal, curve = _goal(result, answer), curve_of_answer(result, answer)
    if answer.size is None or answer.low is None:
        yield from _out_of_reach(result, answer, goal)
        yield _at_hand(result, metric)
        return
    sure = "" if answer.assurance is None else f" with probability {100 * answer.assurance:.3g}%"
    next_model = " of the next model" if answer.of == "next" else ""
    if answer.size <= result.samples:
        yield f"The {result.samples:,} samples you have should be enough for {goal}{next_model}{sure}."
    else:
        size, more = rounded(answer.size), rounded(answer.size - result.samples)
        yield f"About {size:,} samples reach {goal}{next_model}{sure}: {more:,} more than you have."
    yield f"{_interval(answer, curve)} {_at_hand(result, metric)}"
    if curve is None:
        return
    size = max(answer.size, result.samples)
    there = curve.at([size])
    shares = [share_in_words(float(there.probability(answer.tolerance, of)[0])) for of in ("mean", "next")]
    surer = surer_size(curve, answer)
    plan = (
        "" if surer is None or surer <= size else f" It takes about {rounded(surer):,} for a probability of {SURE:.0%}."
    )
    yield (
        f"With {rounded(size) if size > result.samples else size:,} samples the average model reaches it with "
        f"probability {shares[0]}, a single one with {shares[1]}.{plan}"
    )


def _groups(result: ForecastResult, answer: SufficientSize | None) -> Iterator[str]:
    """The sizes counted in groups, such as patients."""
    if result.groups is None:
        return
    each = result.samples / result.groups
    if answer is None or answer.size is None or answer.size <= result.samples:
        size = 2 * result.samples
    else:
        size = rounded(answer.size)
    yield (
        f"Your samples are of {result.groups:,} groups, {each:.3g} a group. {size:,} samples are about "
        f"{rounded(size / each):,} groups of that size: collect more groups; more samples of the same ones bring less."
    )


def _interval(answer: SufficientSize, curve: Curve | None) -> str:
    share = f"{100 * answer.confidence:.3g}% interval"
    if answer.low is None:
        return ""
    if answer.high is None:
        return f"{share}: at least {rounded(answer.low):,} samples; an upper end is not known."
    if curve is not None and answer.high <= curve.draws.smallest:
        return f"{share}: {answer.high:,} samples or fewer."
    return f"{share}: {rounded(answer.low):,} to {rounded(answer.high):,} samples."


def _at_hand(result: ForecastResult, metric: Metric) -> str:
    band, now = getattr(result.forecast, metric), result.forecast.sizes.index(result.samples)
    mean, low, high = (in_words(metric, end[now]) for end in (band.mean, band.low, band.high))
    return f"With the {result.samples:,} at hand the {name_of(result, metric)} is about {mean} ({low} to {high})."


def surer_size(curve: Curve, answer: SufficientSize) -> int | None:
    """The size that reaches a target with probability 0.8, where none was asked for."""
    return None if answer.assurance is not None else curve.sufficient_size(answer.tolerance, SURE, answer.of).size


def _out_of_reach(result: ForecastResult, answer: SufficientSize, goal: str) -> Iterator[str]:
    curve = curve_of_answer(result, answer)
    if curve is None:
        yield answer.explanation
        return
    mean, low, high = (in_words(curve.metric, end) for end in (curve.limit.mean, curve.limit.low, curve.limit.high))
    far = np.array([1024 * result.samples])
    most = float(curve.at(far).probability(answer.tolerance, answer.of)[0])
    next_model = " of the next model" if answer.of == "next" else ""
    levels = f"the curve levels off at {mean} ({low} to {high})"
    if answer.assurance is None:
        judged = "is out of reach" if most <= UNLIKELY else "is probably out of reach"
        judged = "may be out of reach" if most > DOUBTFUL else judged
    else:
        judged = f"cannot be promised with probability {100 * answer.assurance:.3g}%"
    yield f"{capitalized(goal)}{next_model} {judged}: {levels}."
    yield f"However many samples there are, it is reached with probability {share_in_words(most)} at most."


def _by_usefulness(result: ForecastResult) -> list[Gain]:
    """The gains, that of about as many samples as are at hand first."""
    return sorted(result.gains, key=lambda gain: abs(math.log(gain.more / result.samples)))


def _first_gain(result: ForecastResult, gain: Gain) -> str:
    if result.task == "regression":
        return gain_in_words(result, gain)
    band, now = result.forecast.accuracy, result.forecast.sizes.index(result.samples)
    before = float(band.mean[now])
    worth = "" if gain.worth is None else f"; they are worth their cost with probability {share_in_words(gain.worth)}"
    return (
        f"{gain.more:,} more samples should raise the accuracy from {in_words('accuracy', before)} to "
        f"{in_words('accuracy', min(1.0, before + gain.accuracy.value))}, by {_points(gain.accuracy)} points{worth}."
    )


def gain_in_words(result: ForecastResult, gain: Gain) -> str:
    """What more samples bring."""
    if result.task == "regression":
        return (
            f"{gain.more:,} more samples should raise R² by {_three(gain.accuracy)} and lower the mean squared error "
            f"by {_significant(gain.loss)}."
        )
    worth = "" if gain.worth is None else f" They are worth their cost with probability {share_in_words(gain.worth)}."
    return (
        f"{gain.more:,} more samples should raise the accuracy by {_points(gain.accuracy)} points and lower the loss "
        f"by {_three(gain.loss)}.{worth}"
    )


def _points(of: Estimate) -> str:
    if of.low == of.high:
        return f"{100 * of.value:.1f}"
    return f"{100 * of.value:.1f} ({100 * of.low:.1f} to {100 * of.high:.1f})"


def _three(of: Estimate) -> str:
    return f"{of.value:.3f}" if of.low == of.high else f"{of.value:.3f} ({of.low:.3f} to {of.high:.3f})"


def _significant(of: Estimate | Limit) -> str:
    """In the units of the targets, squared, of which nothing is known."""
    value = of.value if isinstance(of, Estimate) else of.mean
    return f"{value:.3g} ({of.low:.3g} to {of.high:.3g})"


def _next_steps(result: ForecastResult, answer: SufficientSize | None) -> Iterator[str]:
    """What to do: collect how many of what, mend what lowers the confidence, try another method."""
    classes, fixes = _classes_first(result.class_gains, len(result.classes)), remedies(result.forecast.findings)
    if answer is None or answer.criterion not in ("target_accuracy", "target_loss"):
        if classes:
            yield f"Collect {classes}"
        yield from fixes
        if answer is None:
            flag = "`--target-loss`" if result.task == "regression" else "`--target-accuracy 0.9`"
            metric = name_of(result, "loss" if result.task == "regression" else "accuracy")
            yield f"Name the {metric} you need ({flag}), and the answer is a number of samples."
        return
    goal = target_in_words(metric_of(answer), answer.tolerance)
    if answer.size is None:
        other = 'methods that train more of the model: `--method "head,lora(4),full"`'
        if result.task == "regression":
            other = "other models"
        yield f"Do not collect for {goal} with this training. Compare it with {other}."
        yield from fixes
        if classes:
            yield f"If you collect, take {classes}"
        return
    if answer.size <= result.samples:
        yield f"Stop collecting for {goal}: train on the {result.samples:,} samples you have, and test on unseen ones."
        yield from fixes
        return
    more = rounded(answer.size - result.samples)
    curve = curve_of_answer(result, answer)
    surer = None if curve is None else surer_size(curve, answer)
    plan = ""
    if surer is not None and surer > answer.size:
        plan = f" For a probability of {SURE:.0%} in place of 50%, collect {rounded(surer - result.samples):,}."
    yield f"Collect {more:,} more samples{', ' + classes if classes else '.'}{plan}"
    yield from fixes
    part = rounded(max(1.0, (answer.size - result.samples) / 4))
    if answer.low is not None and (answer.high is None or answer.high > 2 * answer.low):
        yield f"Collect in parts: after the first {part:,}, run this again, and the interval gets narrower."


def _classes_first(gains: Sequence[ClassGain], classes: int) -> str:
    """The classes to collect first, where there are more than two and one brings clearly more than the average."""
    better = sorted((gain for gain in gains if gain.times.low > 1), key=lambda gain: -gain.times.value)[:2]
    if classes < 3 or not better or better[0].times.value < CLEARLY:
        return ""
    best = better[0]
    return (
        f'"{best.name}" first: each new one lowers the loss {best.times.value:.1f} times as much as a random sample, '
        f"up to {best.up_to:,} of it ({best.samples:,} are at hand)."
    )


def _limits(result: ForecastResult) -> list[str]:
    accuracy, loss = result.forecast.accuracy_limit, result.forecast.loss_limit
    if accuracy is None or loss is None:
        return []
    if result.task == "regression":
        return [
            f"With unlimited samples R² approaches {accuracy.mean:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f}) and "
            f"the mean squared error {_significant(loss)}."
        ]
    return [
        f"With unlimited samples the accuracy approaches {accuracy.mean:.1%} ({accuracy.low:.1%} to "
        f"{accuracy.high:.1%}) and the loss {loss.mean:.3f} ({loss.low:.3f} to {loss.high:.3f})."
    ]


def _recipe(result: ForecastResult) -> list[str]:
    """Which penalty heads of other sizes have, where it is not the one at hand."""
    how = {"tuned": "tuned again at each size", "per-sample": "in proportion to 1/k (one C of scikit-learn)"}
    if result.forecast.recipe == "fixed" or result.l2 is None:
        return []
    return [
        f"This is with the penalty {how[result.forecast.recipe]}; with the {result.samples:,} at hand it is "
        f"{result.l2:.3g}."
    ]
