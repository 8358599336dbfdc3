r"""What a hold-out has measured so far, with intervals that hold at all looks together.

A person who labels in batches looks at the score after each batch, and may stop at any look. An interval of 95% that is
made anew each time fails at some look far more often than in 5%. So the error is spent: the j-th look has

.. math:: \alpha_j = \frac{\alpha}{j (j + 1)}, \qquad \sum_{j \ge 1} \alpha_j = \alpha

and by the union bound the intervals of all looks, however many there will be, hold together with probability
:math:`1 - \alpha`. This needs no independence: the looks share the samples of the hold-out, and nested training sets.
Each look is at another model, so there is no single mean whose confidence sequence could be made narrower by waiting.

Within a look the interval is that of the mean of bounded values by betting, which holds for any number of samples:
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 2024, section 4.4, the hedged
capital). For a candidate m, capital grows where samples lie above m, and another where they lie below:

.. math::

   K^\pm_i(m) = \prod_{l \le i} \left(1 \pm \lambda^\pm_l(m) (x_l - m)\right), \qquad
   C = \{m : \max_i \tfrac12 \max(K^+_i(m), K^-_i(m)) < 1 / \alpha\}

By Ville's inequality the true mean is left out with probability :math:`\alpha` at most. Values without bounds, such as
losses, have the normal interval of their mean instead, which holds for many samples only.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from suffice.errors import InputError
from suffice.results import BOUNDS, RISES, Estimate, Metric

CONFIDENCE = 0.95
"""Probability that all intervals of all looks hold."""

CANDIDATES, BETWEEN = 65, 17
"""Means that are bet against, and around the ends of the interval those between two; it is rounded outwards to them."""

STAKE = 0.5
"""Most of the capital that is bet, as a share of what could ruin it."""

PRIOR_VARIANCE = 0.25
"""Of the values, before any is seen."""


def spent(look: int, confidence: float = CONFIDENCE) -> float:
    r"""The share :math:`\alpha_j` of the error that the j-th look may spend.

    Example:
        >>> round(spent(1), 6), round(spent(4), 6)
        (0.025, 0.0025)
        >>> round(sum(spent(look) for look in range(1, 100_000)), 4)
        0.05
    """
    return (1 - confidence) / (look * (look + 1))


def betting_interval(values: Float64[np.ndarray, " n"], alpha: float, seed: int = 0) -> tuple[float, float]:
    """The interval of the mean of independent values between 0 and 1, by betting; see this module.

    Args:
        values: (n,) in [0, 1].
        alpha: probability of an interval that leaves the mean out, at most.
        seed: of the order in which values are bet on, which must not depend on them.

    Raises:
        InputError: values that are not between 0 and 1, or none.

    Example:
        >>> low, high = betting_interval(np.repeat([0.0, 1.0], [60, 340]), alpha=0.05)
        >>> round(low, 2), round(high, 2)
        (0.79, 0.89)
    """
    if not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise InputError("values: must be between 0 and 1, and one at least")
    x = np.random.default_rng(seed).permutation(values)
    count = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (count + 1)
    variances = (PRIOR_VARIANCE + np.cumsum(np.square(x - means))) / (count + 1)
    before = np.concatenate([[PRIOR_VARIANCE], variances[:-1]])  # a bet knows the values before it alone
    bets = np.sqrt(2 * math.log(2 / alpha) / (len(x) * before))[:, None]

    def is_kept(m: Float64[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        with np.errstate(divide="ignore"):
            up, down = np.minimum(bets, STAKE / m), np.minimum(bets, STAKE / (1 - m))
        apart = x[:, None] - m
        logs = [np.cumsum(np.log1p(stake * apart), axis=0).max(0) for stake in (up, -down)]
        return np.asarray(np.maximum(*logs) < math.log(2 / alpha))

    m = np.union1d(np.linspace(0, 1, CANDIDATES), values.mean())
    kept = np.flatnonzero(is_kept(m))
    if not len(kept):  # narrower than can be told
        return float(values.mean()), float(values.mean())
    below, above = m[max(0, kept[0] - 1)], m[min(len(m) - 1, kept[-1] + 1)]
    lower, upper = np.linspace(below, m[kept[0]], BETWEEN), np.linspace(m[kept[-1]], above, BETWEEN)
    of_lower, of_upper = np.flatnonzero(is_kept(lower)), np.flatnonzero(is_kept(upper))
    return float(lower[max(0, of_lower[0] - 1)]), float(upper[min(BETWEEN - 1, of_upper[-1] + 1)])


@dataclass(frozen=True)
class Measured:
    """What one look has measured.

    Attributes:
        size: labels that the model was trained on.
        score: on the hold-out.
        low, high: ends of its interval, at all looks together; None where the hold-out's size is not known.
        since: labels of the last look at half as many labels, or fewer; None before there is one. In the recording of
            a run, at most a batch above half.
        gain: how much better the score is than there, with its interval at all looks together.
    """

    size: int
    score: float
    low: float | None
    high: float | None
    since: int | None
    gain: Estimate | None


def measured(
    sizes: Float64[np.ndarray, " looks"],
    scores: Float64[np.ndarray, " looks"],
    metric: Metric,
    errors: Float64[np.ndarray, " looks"] | None = None,
    samples: Float64[np.ndarray, "looks holdout"] | None = None,
    confidence: float = CONFIDENCE,
    slack: float = 0.0,
) -> list[Measured]:
    """The score of each look and its gain since half the labels, with intervals that hold at all looks together.

    Half of each look's error is for its score and half for its gain. Gains are paired where the scores of samples are
    given. Else their errors are taken as independent, which is too much, as looks share their hold-out.

    Args:
        sizes: labels at each look, rising.
        scores: on the hold-out.
        metric: of the scores.
        errors: their standard errors for the hold-out; the intervals are then normal.
        samples: the score of each sample of the hold-out instead.
        confidence: that all intervals hold.
        slack: samples above half at which a look still counts as half; those of a run lie at ends of its batches.

    Example:
        >>> right = np.repeat([[0.0, 1.0]], 3, axis=0).repeat([60, 340], axis=1)
        >>> first, _, last = measured(np.array([50.0, 100, 200]), right.mean(1), "accuracy", samples=right)
        >>> round(first.score, 2), first.gain is None, last.since, last.gain.value
        (0.85, True, 100, 0.0)
        >>> last.gain.low < 0 < last.gain.high
        True
    """
    found = []
    low_end, high_end = BOUNDS[metric]
    is_bounded = math.isfinite(low_end) and math.isfinite(high_end)
    sign = 1.0 if RISES[metric] else -1.0
    for look in range(len(sizes)):
        alpha = spent(look + 1, confidence) / 2
        low = high = gain = None
        if samples is not None and is_bounded:
            low, high = betting_interval(samples[look], alpha)
        elif samples is not None or errors is not None:
            error = _error(samples[look]) if samples is not None else errors[look]  # type: ignore[index]
            low, high = _normal(float(scores[look]), float(error), alpha)
            low, high = max(low, low_end), min(high, high_end)
        before = np.flatnonzero(sizes[:look] <= sizes[look] / 2 + slack)
        then = int(before[-1]) if len(before) else None
        if then is not None:
            value = sign * float(scores[look] - scores[then])
            if samples is not None:
                difference = sign * (samples[look] - samples[then])
                if is_bounded:
                    ends = betting_interval((difference + 1) / 2, alpha)
                    gain = Estimate(value=value, low=2 * ends[0] - 1, high=2 * ends[1] - 1)
                else:
                    ends = _normal(value, _error(difference), alpha)
                    gain = Estimate(value=value, low=ends[0], high=ends[1])
            elif errors is not None:
                ends = _normal(value, math.hypot(errors[look], errors[then]), alpha)
                gain = Estimate(value=value, low=ends[0], high=ends[1])
        found.append(
            Measured(
                size=round(float(sizes[look])),
                score=float(scores[look]),
                low=low,
                high=high,
                since=None if then is None else round(float(sizes[then])),
                gain=gain,
            )
        )
    return found


def _error(values: Float64[np.ndarray, " n"]) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _normal(value: float, error: float, alpha: float) -> tuple[float, float]:
    from scipy.special import ndtri  # noqa: PLC0415 - here, so that help is light

    width = -float(ndtri(alpha / 2)) * error
    return value - width, value + width
