"""What a look after a batch of labels says: stop, or label more; what was measured, and what is forecast."""

from collections.abc import Iterator

from suffice.report.answers.answer import MOST_STEPS, Answer
from suffice.report.answers.words import ended, goal_in_words, in_words, rounded, share_in_words, target_in_words
from suffice.results import RISES, Decision, Estimate, Look, Metric, MonitorResult, Word

WORDS: tuple[Word, ...] = ("high", "medium", "low")

SURE, EVEN = 0.98, 0.5
"""Probabilities of the decision from which on to stop, and up to which to go on, has high confidence."""

FAR = 4
"""Times the labels at hand, beyond which a target ahead is doubted."""


def monitor_answer(result: MonitorResult) -> Answer:
    """The decision in one sentence, then what was measured, apart from what is forecast."""
    word, why = _trust(result)
    more = [measured_in_words(result), *_against_the_gain(result), *_forecast(result)]
    return Answer(_sentence(result), word, why, more, list(_next_steps(result))[:MOST_STEPS])


def gain_in_words(metric: Metric, gain: float, with_unit: bool = True) -> str:
    """A difference of scores: points for accuracies and errors.

    Example:
        >>> gain_in_words("accuracy", 0.0112), gain_in_words("loss", 0.1234), gain_in_words("error", 0.01)
        ('1.1 points', '0.123', '1.0 point')
    """
    if metric not in ("accuracy", "error"):
        return f"{gain:.3g}"
    points = 100 * gain
    digits = f"{points:.1f}" if abs(points) >= 0.1 or points == 0 else f"{points:.1g}"
    return digits if not with_unit else f"{digits} {'point' if digits == '1.0' else 'points'}"


def _sentence(result: MonitorResult) -> str:  # noqa: PLR0911 - one for each reason
    decision, metric, now = result.decision, result.metric, result.looks[-1].size
    more = f"Label {decision.labels:,} more"
    match decision.reason:
        case "little gain":
            wanted = gain_in_words(metric, result.gain or 0.0)
            return (
                f"Stop: twice the labels would bring less than {wanted} with probability "
                f"{share_in_words(decision.probability or 0.0)}."
            )
        case "gain":
            return f"{more}: they should bring {_brought(metric, decision.next)}."
        case "target measured":
            return f"Stop: {_goal_with_direction(result)} is reached with {now:,} labels, as measured."
        case "target by curve":
            chance = share_in_words(decision.probability or 0.0)
            return f"Stop: {_goal(result)} is reached with {now:,} labels, with probability {chance} by the curve."
        case "target ahead":
            total, chance = now + decision.labels, share_in_words(decision.probability or 0.0)
            whole = ", the rest of the pool" if result.pool == total else ""
            if (decision.probability or 0.0) < result.assurance:
                chance += "" if chance.startswith("below") else " only"
                return f"{more}{whole}: with {total:,} labels {_goal(result)} is reached with probability {chance}."
            return f"{more}{whole}: {_goal(result)} should be reached with {total:,} labels, with probability {chance}."
        case "out of reach":
            whole = f"all {result.pool:,} samples of the pool reach" if result.pool else "any number of labels reaches"
            return f"Stop: {whole} {_goal(result)} with probability {share_in_words(decision.probability or 0.0)} only."
        case "pool":
            return f"Stop: all {result.pool:,} samples of the pool are labelled."
        case "few looks" | "no curve":
            # a score that is measured to fall is no reason to label more
            return f"Cannot tell yet: {ended(decision.explanation)}" + ("" if _gets_worse(result) else f" {more}.")


def _goal(result: MonitorResult) -> str:
    return goal_in_words(result.metric, result.target or 0.0)


def _goal_with_direction(result: MonitorResult) -> str:
    most = "at least" if RISES[result.metric] else "at most"
    target = target_in_words(result.metric, result.target or 0.0)
    article = "an" if result.metric in ("accuracy", "error") else "a"
    return f"{article} {result.metric} of {most} {target}"


def _gets_worse(result: MonitorResult) -> bool:
    """Whether the score is measured to be worse than with half the labels."""
    gain = result.looks[-1].gain
    return gain is not None and gain.high < 0


def _brought(metric: Metric, gain: Estimate | None) -> str:
    if gain is None:
        return "a gain that is not known"
    low, high = gain_in_words(metric, gain.low, with_unit=False), gain_in_words(metric, gain.high, with_unit=False)
    return f"{gain_in_words(metric, gain.value)} ({low} to {high})"


def _trust(result: MonitorResult) -> tuple[Word, str]:
    decision = result.decision
    chance = decision.probability or 0.0
    if decision.action == "cannot tell":
        return "cannot tell", decision.explanation.rstrip(".")
    if decision.reason == "target measured":
        return "high", "the interval of the measured score lies beyond the target, at all looks together"
    if decision.reason == "pool":
        return "high", "nothing is left to label"
    if decision.reason == "little gain":
        step, why = (0 if chance >= SURE else 1), f"a forecast, from {len(result.looks)} looks"
    elif decision.reason == "gain":
        step = 0 if chance <= EVEN else 1 if chance <= (1 + EVEN) / 2 else 2
        less = gain_in_words(result.metric, result.gain or 0.0)
        why = f"twice the labels bring less than {less} with probability {share_in_words(chance)}, a forecast"
    elif decision.reason == "target by curve":
        step, why = 1, "a curve through all looks says so; what was measured at this one alone does not"
    elif decision.reason == "out of reach":
        step, why = (0 if chance <= 1 - SURE else 1), f"a forecast, from {len(result.looks)} looks"
    else:
        far = decision.labels > (FAR - 1) * result.looks[-1].size
        step = 2 if chance < result.assurance else 1 if far else 0
        why = f"a forecast to {(result.looks[-1].size + decision.labels) / result.looks[-1].size:.2g} times the labels"
    if result.looks[-1].low is None and step < len(WORDS) - 1:
        return WORDS[step + 1], f"{why}; the error of the hold-out is not known"
    return WORDS[step], why


def measured_in_words(result: MonitorResult) -> str:
    """The score of the last look and its gain since half the labels."""
    last, metric = result.looks[-1], result.metric
    name = "" if metric == "score" else f"{metric} "
    said = f"Measured: {in_words(metric, last.score)} {name}with {last.size:,} labels"
    if last.low is None or last.high is None:
        what = "the size of the hold-out" if metric in ("accuracy", "error") else "standard errors"
        return f"{said}; without {what} there is no interval."
    said += f" ({in_words(metric, last.low)} to {in_words(metric, last.high)})"
    if last.gain is not None and last.since is not None:
        said += f", {_gained(metric, last)}"
    return f"{said}. With probability {result.measured_confidence:.0%} these intervals hold at all looks, however many."


def _against_the_gain(result: MonitorResult) -> Iterator[str]:
    """What the interval of the measured gain rules out; the rule to stop does not know of it."""
    last = result.looks[-1]
    if last.gain is None or last.since is None:
        return
    if _gets_worse(result):
        yield f"Measured: the score with {last.size:,} labels is worse than with {last.since:,}, beyond its error."
    elif result.gain is not None and last.gain.high < result.gain:
        wanted = gain_in_words(result.metric, result.gain)
        yield f"Measured: from {last.since:,} to {last.size:,} labels the gain was below the {wanted} asked for."


def _gained(metric: Metric, look: Look) -> str:
    gain = look.gain
    if gain is None:
        return ""
    low, high = (gain_in_words(metric, end, with_unit=False) for end in (gain.low, gain.high))
    better = "better" if gain.value >= 0 else "worse"
    size = gain_in_words(metric, abs(gain.value))
    return f"{size} {better} than with {look.since:,} (gain {low} to {high})"


def _forecast(result: MonitorResult) -> Iterator[str]:
    decision, metric = result.decision, result.metric
    if decision.doubling is None:
        return
    rest = ""
    if decision.rest is not None and decision.rest != decision.next:
        rest = f"; the rest of the pool {_brought(metric, decision.rest)}"
    yield f"Forecast: twice the labels should bring {_brought(metric, decision.doubling)}{rest}."
    yield from _end(result, decision)


def _end(result: MonitorResult, decision: Decision) -> Iterator[str]:
    total = decision.total
    if total is None:
        return
    if total.size is None:
        yield "Forecast: no number of labels is told after which to stop."
        return
    now = result.looks[-1].size
    if total.size <= now and result.target is not None:
        yield "Forecast: the target is probably reached already; another look or a larger hold-out can tell."
        return
    if total.size <= now:
        yield "Forecast: twice the labels probably bring less already; another look or a larger hold-out can tell."
        return
    low = "" if total.low is None else "those at hand" if total.low <= now else f"{max(now, rounded(total.low)):,}"
    high = "no upper end" if total.high is None else f"{rounded(total.high):,}"
    beyond = " That is more than the pool." if result.pool is not None and total.size > result.pool else ""
    what = "the target is reached with" if result.target is not None else "it is time to stop at"
    yield f"Forecast: {what} about {max(now, rounded(total.size)):,} labels in all ({low} to {high}).{beyond}"


def _next_steps(result: MonitorResult) -> Iterator[str]:
    decision, last = result.decision, result.looks[-1]
    if decision.action == "cannot tell" and _gets_worse(result):
        yield "Find out why more labels made the score worse: the metric, the labels of the last batches, the training."
    elif decision.action != "stop":
        total = last.size + decision.labels
        yield f"Label {decision.labels:,} more, train on all {total:,}, add the score on the same hold-out, ask again."
    elif decision.reason == "out of reach":
        yield "Change the model, its inputs or how it is trained, or ask for less: labels alone do not get there."
    elif decision.reason == "pool":
        yield "Find more samples, or stay with this model."
    else:
        yield "Stop labelling. To get further, change the model, its inputs or how it is trained."
    if (
        decision.action == "cannot tell"
        and result.gain is not None
        and last.gain is not None
        and 0 <= last.gain.high < result.gain
    ):
        yield "Or stop here: the last doubling brought less than asked for. That the next one does too is not forecast."
    if last.low is None and result.metric not in ("accuracy", "error"):
        yield (
            "Give the standard error of each score (column `error`), or the score of each sample of the hold-out: what "
            "was measured then has an interval."
        )
    elif last.low is None:
        yield "Say how large the hold-out is (`--holdout 500`): what was measured then has an interval."
    elif decision.action != "stop" and result.gain is not None and last.gain is not None:
        half = (last.gain.high - last.gain.low) / 2
        if half > result.gain:
            yield (
                "Label more random samples for the hold-out: the gain of the last doubling is measured to within "
                f"{gain_in_words(result.metric, half)} only."
            )


def title_of(result: MonitorResult) -> str:
    """What is asked for, in few words."""
    if result.gain is not None:
        return f"stop below {gain_in_words(result.metric, result.gain)} a doubling"
    return f"stop at {_goal(result)}"
