"""Whether the samples at hand allow a forecast, and what makes one less certain: all doubts about a pilot."""

from statistics import NormalDist

import numpy as np

from suffice.checks import Finding
from suffice.forecasting.doubts import (
    about_chance,
    about_collapse,
    about_convergence,
    about_errors,
    about_fall,
    about_free_weights,
    about_gap,
    about_halves,
    about_order,
    about_smallest_class,
    by_severity,
    gap_of,
)
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.pilot import Pilot

CONFIDENCE = 0.9
WIDTH = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors on each side of an interval."""

STEP = 1e-3
"""Relative step in k of the difference quotient for a slope."""


def slope_of(estimator: Estimator) -> float:
    """The slope of the curve against 1/k at k_0."""
    ahead = (1 + STEP) * estimator.samples
    return float(estimator.gain(np.array([ahead]))[0] / (1 / estimator.samples - 1 / ahead))


def reason_against(pilot: Pilot, estimator: Estimator) -> str | None:
    """Why these samples allow no forecast; None if they do."""
    errors = [finding for finding in _findings(pilot, estimator, 0.0) if finding.severity == "error"]
    return _sentences(errors[0]) if errors else None


def doubts(pilot: Pilot, estimator: Estimator, slope_error: float) -> list[str]:
    """What makes a forecast less certain than its interval.

    Args:
        pilot: what was measured.
        estimator: of the gain.
        slope_error: the standard error of its slope.
    """
    return [
        _sentences(finding)
        for finding in by_severity(_findings(pilot, estimator, slope_error))
        if finding.severity != "error"
    ]


def _findings(pilot: Pilot, estimator: Estimator, slope_error: float) -> list[Finding]:
    unseen, own, halves = pilot.nearly_all, pilot.own, pilot.halves
    # folds and the linearised leave-one-out have both losses of each sample
    gap = gap_of(own.losses, unseen.losses, paired=halves is not None or pilot.level_off > 0)
    asked = [
        about_convergence(pilot.descent, pilot.own_loss, float(unseen.losses.mean())),
        about_collapse(own.outputs, own.losses, own.labels),
        # the folds are stratified, so one permutation of all labels does for permutations within each
        about_chance(
            unseen.outputs, unseen.labels, None if halves is None else np.zeros_like(unseen.labels), gap.value / 2
        ),
        # the slope of a head with a hold-out is from its curvature alone
        None if pilot.head is not None and halves is None else about_gap(gap, pilot.samples, unseen.samples),
        about_errors(int(unseen.wrong.sum()), len(unseen.labels)),
        about_smallest_class(own.labels),
        about_order(unseen.losses, unseen.labels),
    ]
    if pilot.head is not None and "information" in pilot.estimators:
        asked.append(about_free_weights(2 * pilot.estimators["information"].slope.value, pilot.samples))
    if halves is not None:
        less, more = estimator.gain(np.array([halves.samples, unseen.samples]))
        predicted, sizes = float(more - less), (halves.samples, unseen.samples)
        error = slope_error * (1 / halves.samples - 1 / unseen.samples)
        asked.append(about_fall(halves.losses, unseen.losses, sizes, predicted))
        asked.append(about_halves(halves.losses, unseen.losses, predicted, error))
    return [finding for finding in asked if finding is not None]


def _sentences(finding: Finding) -> str:
    """What and what to do, without the code."""
    what = finding.what[0].upper() + finding.what[1:]
    return f"{what}. {finding.remedy}."
