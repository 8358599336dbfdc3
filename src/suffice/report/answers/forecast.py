"""What a forecast says, in plain sentences."""

from collections.abc import Iterator

import numpy as np

from suffice.report.answers.words import in_words, share_in_words, target_in_words
from suffice.results import Curve, Estimate, ForecastResult, Gain, LearningCurve, Limit, Metric, SufficientSize

CLEARLY = 1.2
"""How many times the average the next sample of a class has to bring for the class to be named."""

SURE = 0.8
"""Probability whose size is named beside that of 0.5, where no assurance was asked for."""


def forecast_answer(result: ForecastResult) -> list[str]:
    """Plain sentences, the most important first."""
    if result.forecast.status == "cannot_tell":
        return [f"No forecast: {result.forecast.explanation}"]
    targets = [sentence for answer in result.answers for sentence in _of_answer(result, answer)]
    gains = [_gain(result, gain) for gain in result.gains]
    return [*targets, *gains, *_next_class(result), *_limits(result), *_recipe(result)]


def findings_in_words(forecast: LearningCurve) -> list[str]:
    """What was found that makes the forecast less certain, and what to do; doubts of files of earlier versions."""
    found = [f"{finding.code}: {finding.what}. {finding.remedy}." for finding in forecast.findings]
    return found or [f"But: {doubt[0].lower()}{doubt[1:]}" for doubt in forecast.doubts]


def curve_of_answer(result: ForecastResult, answer: SufficientSize) -> Curve | None:
    """The curve that a target is of; None for a result of an earlier version, which has no draws, and for costs."""
    curves = {"target_accuracy": result.forecast.accuracy, "target_loss": result.forecast.loss}
    curve = curves.get(answer.criterion)
    return curve if isinstance(curve, Curve) else None


def _of_answer(result: ForecastResult, answer: SufficientSize) -> Iterator[str]:
    if answer.criterion not in ("target_accuracy", "target_loss"):
        yield answer.explanation
        return
    metric: Metric = "accuracy" if answer.criterion == "target_accuracy" else "loss"
    name = "mean squared error" if result.task == "regression" else metric
    goal, curve = target_in_words(metric, answer.tolerance), curve_of_answer(result, answer)
    verb = "reach" if metric == "accuracy" else "fall to"
    band, now = getattr(result.forecast, metric), result.forecast.sizes.index(result.samples)
    mean, low, high = (in_words(metric, end[now]) for end in (band.mean, band.low, band.high))
    at_hand = f"With the {result.samples:,} at hand the {name} is about {mean} ({low} to {high})."
    if answer.size is None or answer.low is None:
        yield from _out_of_reach(result, answer, f"{'An' if metric == 'accuracy' else 'A'} {name} of {goal}")
        yield at_hand
        return
    whose = "the next model's" if answer.of == "next" else "the"
    sure = "" if answer.assurance is None else f" with probability {answer.assurance:g}"
    ends = f"{answer.low:,} to {answer.high:,}" if answer.high else f"no upper end, at least {answer.low:,}"
    if curve is not None and answer.high is not None and answer.high <= curve.draws.smallest:
        ends = f"{answer.high:,} or fewer"
    if answer.size <= result.samples:
        yield f"The {result.samples:,} samples at hand should be enough for {whose} {name} to {verb} {goal}{sure}."
    else:
        more = answer.size - result.samples
        yield (f"With {answer.size:,} samples, {more:,} more than at hand, {whose} {name} should {verb} {goal}{sure}.")
    yield f"{100 * answer.confidence:.3g}% interval: {ends} samples. {at_hand}"
    if curve is None:
        return
    size = max(answer.size, result.samples)
    there = curve.at([size])
    shares = [share_in_words(float(there.probability(answer.tolerance, of)[0])) for of in ("mean", "next")]
    yield (
        f"The average model on {size:,} samples reaches it with probability {shares[0]}, a single one with "
        f"probability {shares[1]}."
    )
    surer = curve.sufficient_size(answer.tolerance, SURE, answer.of).size if answer.assurance is None else None
    if surer is not None and surer > size:
        yield f"Probability {SURE} takes about {surer:,} samples."


def _out_of_reach(result: ForecastResult, answer: SufficientSize, what: str) -> Iterator[str]:
    curve = curve_of_answer(result, answer)
    if curve is None:
        yield answer.explanation
        return
    mean, low, high = (in_words(curve.metric, end) for end in (curve.limit.mean, curve.limit.low, curve.limit.high))
    far = np.array([1024 * result.samples])
    most = share_in_words(float(curve.at(far).probability(answer.tolerance, answer.of)[0]))
    whose = "the next model's" if answer.of == "next" else "the"
    if answer.assurance is None:
        found = f"is probably out of reach: it is reached with probability {most}"
    else:
        found = f"is not reached with the probability of {answer.assurance:g} that was asked for: it is {most} at most"
    name = "mean squared error" if result.task == "regression" else curve.metric
    yield (f"{what} {found}. With unlimited samples {whose} {name} approaches {mean} ({low} to {high}).")


def _gain(result: ForecastResult, gain: Gain) -> str:
    if result.task == "regression":
        return (
            f"{gain.more:,} more samples should raise R² by {_three(gain.accuracy)} and lower the mean squared error "
            f"by {_significant(gain.loss)}."
        )
    sentence = (
        f"{gain.more:,} more samples should raise the accuracy by {_points(gain.accuracy)} points and lower the loss "
        f"by {_three(gain.loss)}."
    )
    if gain.worth is None:
        return sentence
    return f"{sentence} They are worth their cost with probability {share_in_words(gain.worth)}."


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


def _next_class(result: ForecastResult) -> list[str]:
    """Which class to collect, where there are more than two and one brings clearly more than the average."""
    best = max(result.class_gains, key=lambda gain: gain.times.value, default=None)
    if best is None or len(result.classes) < 3 or best.times.value < CLEARLY or best.times.low <= 1:
        return []
    return [
        f'Collect "{best.name}" first: each new one lowers the loss {best.times.value:.1f} times as much as a random '
        f"sample, up to {best.up_to:,} of it ({best.samples:,} are at hand)."
    ]


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
