"""What each result says in sentences, the answer first: the words of reports."""

from suffice.report.answers import Answer, finding_in_words
from suffice.report.answers.forecast import doubts_in_words
from suffice.report.answers.words import in_words
from suffice.results import Curve, LearningCurve


def of_answer(answer: Answer) -> list[str]:
    """The answer, how much it can be trusted, and what belongs to it."""
    return [answer.sentence, answer.trust, *answer.more]


def of_curve(curve: Curve) -> list[str]:
    """The largest size, and the limit."""
    name, unit = curve.name or curve.metric, curve.metric
    mean, low, high = (in_words(unit, float(end[-1])) for end in (curve.mean, curve.low, curve.high))
    limit = [in_words(unit, end) for end in (curve.limit.mean, curve.limit.low, curve.limit.high)]
    return [
        f"With {curve.sizes[-1]:,.0f} samples the {name} should be {mean} ({curve.confidence:.0%} interval: {low} to "
        f"{high}).",
        f"With unlimited samples it approaches {limit[0]} ({limit[1]} to {limit[2]}).",
    ]


def of_learning_curve(curve: LearningCurve) -> list[str]:
    """What the largest size brings, measured or predicted."""
    if curve.status == "cannot_tell" or not curve.sizes:
        return [curve.explanation]
    if isinstance(curve.accuracy, Curve):
        return [*of_curve(curve.accuracy), curve.explanation]
    parts = []
    for name, band in (("accuracy", curve.accuracy), ("loss", curve.loss)):
        mean, low, high = (
            in_words("accuracy" if name == "accuracy" else "loss", float(end[-1]))
            for end in (band.mean, band.low, band.high)
        )
        parts.append(f"{name} {mean} ({low} to {high})")
    return [f"Trained on {curve.sizes[-1]:,} samples: {' and '.join(parts)}, with {curve.confidence:.0%} intervals."]


def findings_of(curve: LearningCurve) -> list[str]:
    """What was found that makes a forecast less certain."""
    return [*map(finding_in_words, curve.findings), *doubts_in_words(curve)]
