"""What a forecast says, in plain sentences."""

import math
from statistics import NormalDist

from suffice.results import ForecastResult, LearningCurve, SufficientSize, interval_in_words

CLEARLY = 1.2
"""How many times the average the next sample of a class has to bring for the class to be named."""


def forecast_answer(result: ForecastResult) -> list[str]:
    """Plain sentences, the most important first."""
    curve = result.forecast
    if curve.status == "cannot_tell":
        return [f"No forecast: {curve.explanation}"]
    now = curve.sizes.index(result.samples)
    targets = [
        _target_sentence(curve, result.samples, curve.accuracy.mean[now], curve.loss.mean[now], answer)
        for answer in result.answers
    ]
    gains = [
        f"{gain.more:,} more should bring {100 * gain.accuracy:.1f} points of accuracy and {gain.loss:.3f} of loss"
        for gain in result.gains
    ]
    doubts = [f"But: {doubt[0].lower()}{doubt[1:]}" for doubt in curve.doubts]
    return [*targets, f"{'; '.join(gains)}.", *_next_class(result), *_limits(result), *doubts]


def _target_sentence(curve: LearningCurve, samples: int, accuracy: float, loss: float, answer: SufficientSize) -> str:
    if answer.size is None or answer.low is None or answer.criterion == "cost_per_sample":
        return answer.explanation
    more, fewest = max(0, answer.size - samples), max(0, answer.low - samples)
    ends = interval_in_words(fewest, None if answer.high is None else max(0, answer.high - samples))
    target = answer.tolerance
    if answer.criterion == "excess":
        return (
            f"{more:,} more samples ({ends}) should bring the loss from {loss:.3f} to within {target:.3f} of its limit."
        )
    what, now = ("accuracy", accuracy) if answer.criterion == "target_accuracy" else ("loss", loss)
    if more == 0:
        return f"The samples at hand should be enough for a test {what} of {target:.3f}: they give about {now:.3f}."
    given = _given_the_level(curve, samples, answer.size)
    return (
        f"{more:,} more samples ({ends}; if it is {now:.3f} now, {given}) should bring the {what} from {now:.3f} to "
        f"{target:.3f}."
    )


def _given_the_level(curve: LearningCurve, samples: int, size: int) -> str:
    """Between which numbers of more samples the loss falls by as much as it should at a size, by the slope's error.

    Example:
        >>> from suffice.results import Band
        >>> band = Band(mean=[0.7], low=[0.6], high=[0.8])
        >>> curve = LearningCurve(
        ...     sizes=[100], loss=band, accuracy=band, slope=40.0, slope_error=5.0, status="extrapolated"
        ... )
        >>> _given_the_level(curve, 100, 200)
        '71 to 170'
    """
    # a curve without numbers has no sufficient size, and none is asked for here
    width = NormalDist().inv_cdf((1 + curve.confidence) / 2) * (curve.slope_error or 0.0) / (curve.slope or 1.0)

    def more(times: float) -> float:
        left = 1 / samples - (1 / samples - 1 / size) / times if times > 0 else 0.0
        return 1 / left - samples if left > 0 else math.inf

    fewest, most = more(1 + width), more(1 - width)
    return interval_in_words(round(fewest), None if math.isinf(most) else round(most))


def _next_class(result: ForecastResult) -> list[str]:
    """Which class to collect, where there are more than two and one brings clearly more than the average."""
    best = max(result.class_gains, key=lambda gain: gain.times.value, default=None)
    if best is None or len(result.classes) < 3 or best.times.value < CLEARLY or best.times.low <= 1:
        return []
    return [
        f"Collect {best.name} next: one more of it alone brings {best.times.value:.1f} times the fall in loss of one "
        f"drawn like those at hand, and more than that one up to {best.up_to:,} of it ({best.samples:,} are at hand)."
    ]


def _limits(result: ForecastResult) -> list[str]:
    accuracy, loss = result.forecast.accuracy_limit, result.forecast.loss_limit
    if accuracy is None or loss is None:
        return []
    return [
        f"Ever more should bring the accuracy to {accuracy.mean:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f}) and "
        f"the loss to {loss.mean:.3f} ({loss.low:.3f} to {loss.high:.3f})."
    ]
