r"""Stop labelling, or label more: the decision after each batch.

Two things are kept apart. What was measured so far is in `suffice.forecasting.looks`, and holds at all looks together.
What is to come is a forecast (`suffice.forecasting.labelling`), and every number of it here is one.

With a gain :math:`\delta`, labelling stops at the first look at which doubling the t labels is unlikely to bring as
much, by both ways of looking ahead:

.. math:: \min\bigl(P_\text{curve}(G < \delta),\ P_\text{last doubling}(G < \delta)\bigr) \ge a,
          \qquad G = m(2t) - m(t)

with a the assurance. With a target it stops when the measured lower end is at the target, when the curve, which looks
at all scores, has reached it with the assurance, or when the whole pool is unlikely to reach it; else the answer is the
number of labels that should reach it with the assurance.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError
from suffice.forecasting.labelling import gains_ahead, labelling_curve, share_errors
from suffice.forecasting.looks import Measured, measured
from suffice.forecasting.scores import FAMILY, refuse_out_of_range
from suffice.forecasting.shapes import shape_prior
from suffice.results import (
    BOUNDS,
    HORIZON,
    RISES,
    Curve,
    Decision,
    Estimate,
    Metric,
    Reason,
    Total,
    refuse_target,
    sample_counts,
)
from suffice.results import CONFIDENCE as OF_FORECAST

ASSURANCE = 0.95
"""Probability that is enough to stop, by default; chosen on the development tasks of ``benchmarks/stopping.py``."""

FEWEST_LOOKS = 4
"""Different numbers of labels before the curve is looked at."""

SEARCHED = 48
"""Numbers of labels ahead at which the end of labelling is looked for."""


@dataclass(frozen=True)
class Monitored:
    """What the looks so far say.

    Attributes:
        looks: what was measured at each.
        decision: stop, or label more.
        curve: the forecast; None where there is none.
    """

    looks: list[Measured]
    decision: Decision
    curve: Curve | None


@dataclass(frozen=True)
class Wanted:
    """What labelling is for.

    Attributes:
        gain: stop when doubling the labels brings less than this.
        target: or the score to reach.
        batch: labels of a batch.
        pool: how many samples could be labelled at all; None where that is not known.
        assurance: probability that is enough to stop.
        metric: of the scores, which says in which direction the target lies.

    Raises:
        InputError: not one of gain and target, or a number out of range.
    """

    gain: float | None = None
    target: float | None = None
    batch: int = 1
    pool: int | None = None
    assurance: float = ASSURANCE
    metric: Metric = "accuracy"

    def __post_init__(self) -> None:
        if (self.gain is None) == (self.target is None):
            raise InputError(
                "give a gain or a target: gain 0.01 stops when twice the labels bring less, target 0.9 at that score"
            )
        if self.gain is not None and not 0 < self.gain < math.inf:
            raise InputError(f"gain = {self.gain:g}: must be above 0, such as 0.01 for a point of accuracy")
        if self.gain is not None and BOUNDS[self.metric][1] == 1 and self.gain >= 1:
            percent = f"; in percent? Then give {self.gain / 100:g}" if self.gain <= 100 else ""
            raise InputError(f"gain = {self.gain:g}: must be below 1 for metric {self.metric}{percent}")
        if self.target is not None:
            refuse_target(self.target, self.metric)
        if self.batch < 1 or (self.pool is not None and self.pool < 1):
            raise InputError(f"batch = {self.batch}, pool = {self.pool}: must be at least 1")
        if not 0.5 <= self.assurance < 1:
            raise InputError(f"assurance = {self.assurance:g}: must be at least 0.5 and below 1, such as {ASSURANCE:g}")


class _Looks(NamedTuple):
    """Different sizes, rising; scores of one size are averaged, and their errors too, as the hold-out is the same."""

    sizes: Float64[np.ndarray, " looks"]
    scores: Float64[np.ndarray, " looks"]
    samples: Float64[np.ndarray, "looks holdout"] | None
    errors: Float64[np.ndarray, " looks"] | None


def monitor_scores(
    sizes: Any,
    scores: Any,
    gain: float | None = None,
    target: float | None = None,
    metric: Metric = "accuracy",
    errors: Any = None,
    holdout: int | None = None,
    batch: int | None = None,
    pool: int | None = None,
    assurance: float = ASSURANCE,
    seed: int = 0,
    kind: str = "any",
) -> Monitored:
    """Stop, or label more, from the scores after each batch; see this module for the rule.

    The scores are those of models trained on all labels so far, on one hold-out of random samples that no model was
    trained on. Batches may be chosen in any way, the hold-out may not.

    Args:
        sizes: (looks,) labels at each look.
        scores: (looks,) scores; or (looks, holdout), the score of each sample of the hold-out, in one order: 0 or 1 for
            an accuracy. With these the intervals are narrower, and the rule stops earlier.
        gain: stop when doubling the labels brings less than this, in units of the score; or
        target: the score to reach.
        metric: "accuracy", "error", "loss" or "score", as in `suffice.forecasting.forecast_scores`.
        errors: (looks,) standard errors of the scores for the hold-out.
        holdout: number of its samples, from which the errors of an accuracy or error follow.
        batch: labels of a batch; by default the last difference of sizes.
        pool: how many samples could be labelled at all.
        assurance: probability that is enough to stop.
        seed: of the draws.
        kind: of learner whose curves are the prior.

    Raises:
        InputError: scores or sizes that are none, an error of 0, what is given twice, a gain, target, pool or assurance
            out of range, or a kind that the metric has not.

    Example:
        >>> t = np.arange(1, 13) * 100
        >>> flat = monitor_scores(t, 0.9 - 20 / t**1.2, gain=0.02, holdout=2000, pool=5000)
        >>> flat.decision.action, flat.decision.reason
        ('stop', 'little gain')
        >>> rising = monitor_scores(t, 0.6 + 0.05 * np.log2(t / 100), gain=0.01, holdout=2000, pool=5000)
        >>> rising.decision.action, rising.decision.labels, round(rising.decision.doubling.value, 2)
        ('label', 100, 0.03)
    """
    shape_prior(FAMILY[metric], kind)  # a kind that is none is told before there are looks enough for a curve
    given = _checked(sizes, scores, metric, errors, holdout)
    counts = given.sizes
    step = int(counts[-1] - counts[-2]) if len(counts) > 1 else int(counts[-1])
    wanted = Wanted(gain, target, batch or step, pool, assurance, metric)
    looks = measured(counts, given.scores, metric, given.errors, given.samples)
    curve, why = None, ""
    if len(counts) < FEWEST_LOOKS:
        missing = FEWEST_LOOKS - len(counts)
        why = f"{len(counts)} {'look' if len(counts) == 1 else 'looks'}: the curve is told from {FEWEST_LOOKS} on"
        reason: Reason = "few looks"
        labels = missing * wanted.batch
    else:
        reason, labels = "no curve", wanted.batch
        try:
            curve = labelling_curve(counts, given.scores, metric, given.errors, given.samples, seed, kind)
        except InputError as error:
            why = str(error)
    decision = decide(curve, looks, wanted, reason, labels, why, seed)
    return Monitored(looks, decision, curve)


def decide(
    curve: Curve | None, looks: list[Measured], wanted: Wanted, reason: Reason, labels: int, why: str, seed: int = 0
) -> Decision:
    """The decision at the last look.

    Args:
        curve: the forecast; None where there is none.
        looks: what was measured.
        wanted: what labelling is for.
        reason, labels, why: what to say, and how many labels more to ask for, where there is no curve.
        seed: of the ratios between gains.

    Raises:
        InputError: a pool smaller than the labels at hand.
    """
    last = looks[-1]
    if wanted.pool is not None and wanted.pool < last.size:
        raise InputError(
            f"pool = {wanted.pool:,}: less than the {last.size:,} labels at hand; count all samples that could be "
            "labelled, those with labels too"
        )
    left = None if wanted.pool is None else wanted.pool - last.size
    ahead = _ahead(curve, last.size, wanted.batch, left, seed)
    if wanted.target is not None and _is_reached(last, wanted.metric, wanted.target):
        return Decision(
            action="stop",
            labels=0,
            reason="target measured",
            probability=None,
            total=None,
            explanation=f"The hold-out has measured that {wanted.target:g} is reached with {last.size:,} labels.",
            **ahead,
        )
    if left == 0:
        return Decision(
            action="stop",
            labels=0,
            reason="pool",
            probability=None,
            total=None,
            explanation=f"All {last.size:,} samples of the pool are labelled.",
            **ahead,
        )
    if curve is None:
        more = labels if left is None else min(labels, left)
        return Decision(
            action="cannot tell", labels=more, reason=reason, probability=None, total=None, explanation=why, **ahead
        )
    if wanted.gain is not None:
        return _by_gain(curve, last.size, wanted, wanted.gain, left, ahead, seed)
    return _by_target(curve, last.size, wanted, float(wanted.target or 0.0), left, ahead)


def probability_of_less(curve: Curve, size: float, gain: float, seed: int = 0) -> float:
    """How likely doubling the labels brings less than a gain: the lesser of the two ways of looking ahead."""
    by_curve, by_last = gains_ahead(curve, size, seed)
    return float(min((by_curve < gain).mean(), (by_last < gain).mean()))


def _by_gain(
    curve: Curve, size: int, wanted: Wanted, gain: float, left: int | None, ahead: dict[str, Any], seed: int
) -> Decision:
    probability = probability_of_less(curve, size, gain, seed)
    if probability >= wanted.assurance:
        return Decision(
            action="stop",
            labels=0,
            reason="little gain",
            probability=probability,
            total=None,
            explanation=f"Doubling the {size:,} labels brings less than {gain:g} with probability {probability:.3f}.",
            **ahead,
        )
    more = wanted.batch if left is None else min(wanted.batch, left)
    later = np.geomspace(size, HORIZON / 2 * size, SEARCHED)
    chances = np.array([_chance_of_less(curve, at, gain, seed) for at in later])
    shares = ((1 - OF_FORECAST) / 2, 0.5, (1 + OF_FORECAST) / 2)
    low, middle, high = (_first(later, chances, share) for share in shares)
    return Decision(
        action="label",
        labels=more,
        reason="gain",
        probability=probability,
        total=Total(size=middle, low=low, high=high),
        explanation=f"Doubling the {size:,} labels brings less than {gain:g} with probability {probability:.3f} only.",
        **ahead,
    )


def _by_target(
    curve: Curve, size: int, wanted: Wanted, target: float, left: int | None, ahead: dict[str, Any]
) -> Decision:
    reached = float(curve.at([size]).probability(target)[0])
    if reached >= wanted.assurance:
        return Decision(
            action="stop",
            labels=0,
            reason="target by curve",
            probability=reached,
            total=None,
            explanation=f"By the curve, {target:g} is reached with {size:,} labels, with probability {reached:.3f}.",
            **ahead,
        )
    most = HORIZON * float(curve.draws.largest) if left is None else float(size + left)
    at_most = float(curve.at([round(most)]).probability(target)[0])
    planned = curve.sufficient_size(target)
    if at_most <= 1 - wanted.assurance:
        return Decision(
            action="stop",
            labels=0,
            reason="out of reach",
            probability=at_most,
            total=None,
            explanation=f"With {most:,.0f} labels, {target:g} is reached with probability {at_most:.3f}.",
            **ahead,
        )
    rounds = np.unique(np.geomspace(1, max(1.0, (most - size) / wanted.batch), 400).round())
    sizes = np.minimum(size + wanted.batch * rounds, most).round()
    chances = curve.at(sizes).probability(target)
    enough = np.flatnonzero(chances >= wanted.assurance)
    at = int(enough[0]) if len(enough) else int(chances.argmax()) if left is not None else 0
    return Decision(
        action="label",
        labels=int(sizes[at]) - size,
        reason="target ahead",
        probability=float(chances[at]),
        total=Total(size=planned.size, low=planned.low, high=planned.high),
        explanation=f"With {sizes[at]:,.0f} labels, {target:g} is reached with probability {chances[at]:.3f}.",
        **ahead,
    )


def _chance_of_less(curve: Curve, size: float, gain: float, seed: int) -> float:
    """The mean of the two ways, which tells when they should both agree, give or take."""
    by_curve, by_last = gains_ahead(curve, size, seed)
    return float(((by_curve < gain).mean() + (by_last < gain).mean()) / 2)


def _first(sizes: Float64[np.ndarray, " sizes"], chances: Float64[np.ndarray, " sizes"], share: float) -> int | None:
    enough = np.flatnonzero(chances >= share)
    return round(float(sizes[int(enough[0])])) if len(enough) else None


def _ahead(curve: Curve | None, size: int, batch: int, left: int | None, seed: int) -> dict[str, Estimate | None]:
    """What a batch, twice the labels, and the rest of the pool should bring."""
    if curve is None:
        return {"next": None, "doubling": None, "rest": None}
    more = batch if left is None else min(batch, left)

    def to(later: int) -> Estimate:
        now, then = curve.draws.means(np.array([float(size), float(later)])).T
        return _estimate(now - then)

    return {
        "next": to(size + more) if more else None,
        "doubling": _estimate(np.concatenate(gains_ahead(curve, size, seed))),
        "rest": to(size + left) if left else None,
    }


def _estimate(gains: Float64[np.ndarray, " draws"]) -> Estimate:
    low, middle, high = np.quantile(gains, [(1 - OF_FORECAST) / 2, 0.5, (1 + OF_FORECAST) / 2])
    return Estimate(value=float(middle), low=float(low), high=float(high))


def _is_reached(last: Measured, metric: Metric, target: float) -> bool:
    if last.low is None or last.high is None:
        return False
    return last.low >= target if RISES[metric] else last.high <= target


def _checked(sizes: Any, scores: Any, metric: Metric, errors: Any, holdout: int | None) -> _Looks:
    counts = sample_counts(sizes, "sizes")
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("scores: must be numbers, (looks,) or (looks, holdout)") from None
    if values.ndim not in (1, 2) or len(values) != len(counts) or not values.size:
        raise InputError(
            f"scores of shape {values.shape} for {len(counts)} sizes: give (looks,) or (looks, holdout), finite numbers"
        )
    if not np.isfinite(values).all():
        at = tuple(np.argwhere(~np.isfinite(values))[0])
        raise InputError(f"scores[{', '.join(map(str, at))}] is {values[at]:g}, and has to be a finite number")
    refuse_out_of_range(values.ravel(), metric)
    known = None
    given = [name for name, of in (("errors", errors), ("holdout", holdout)) if of is not None]
    if len(given) + (values.ndim == 2) > 1:
        names = [*given, *["the score of each sample"] * (values.ndim == 2)]
        raise InputError(f"{' and '.join(names)}: give one of them, as each tells the errors of the scores")
    if values.ndim == 2:
        if values.shape[1] < 2:
            raise InputError("scores: a hold-out of one sample tells nothing; give (looks, holdout)")
    elif errors is not None:
        known = np.asarray(errors, dtype=np.float64)
        if known.shape != values.shape or not (known >= 0).all():
            raise InputError(f"errors of shape {known.shape}: give a standard error, above 0, for each score")
        if not known.all():
            instead = "give its size instead (holdout)" if metric in ("accuracy", "error") else "leave the errors out"
            raise InputError(
                f"errors[{int(known.argmin())}] is 0, and no hold-out measures without an error: {instead}"
            )
    elif holdout is not None:
        if metric not in ("accuracy", "error"):
            raise InputError(f"holdout: tells the errors of accuracies and errors only; give those of a {metric}")
        if holdout < 2:
            raise InputError(f"holdout = {holdout}: must be at least 2")
        known = share_errors(values, holdout)
    different = np.unique(counts)
    rows = [counts == size for size in different]
    means = np.stack([values[row].mean(0) for row in rows])
    return _Looks(
        different,
        means if means.ndim == 1 else means.mean(1),
        None if means.ndim == 1 else means,
        None if known is None else np.array([known[row].mean() for row in rows]),
    )
