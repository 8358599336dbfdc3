"""The slope of the evidence by each estimator that it allows, by name, the default first."""

from suffice.errors import InputError, nearest
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.head import Head
from suffice.forecasting.slopes import (
    FirstOrder,
    Slope,
    effective_dimension_slope,
    gcv_slope,
    geometric_mean,
    optimism_slope,
    sandwich_slope,
)
from suffice.forecasting.slopes.best import best_outputs

AUTO = "auto"
"""The default estimator."""

OF_HEADS = 0.5
"""Error of the mean of two slopes of a head, relative to its distance from each; somewhat less on the tuning tasks."""

OF_OTHERS = 1.0
"""The same of other models."""

UNKNOWN = 2.0
"""Times as large is the error where nothing is known of the training."""


def estimators_of(evidence: Evidence, seed: int = 0) -> dict[str, FirstOrder]:
    r"""The slope by several estimators.

    - ``combined``: the geometric mean of two of the others, whose errors mostly have opposite signs: of ``noise`` and
      ``information`` for heads, and of ``symmetric`` and ``gcv`` for other models.
    - ``noise``: the sandwich of a head, with residuals of approximately the best head.
    - ``information``: the effective dimension, C = H_0; too large for an underconfident model.
    - ``symmetric``: the optimism; too large where a penalty restrains the fit.
    - ``gcv``: generalised cross-validation.
    """
    own, unseen = evidence.own, evidence.apart
    slopes = {"symmetric": optimism_slope(own.losses, unseen.losses, own.samples, unseen.samples)}
    if evidence.head is not None:
        slopes = _of_head(evidence, evidence.head, seed) | slopes
        pair, off = ("noise", "information"), OF_HEADS
    else:
        slopes["gcv"] = gcv_slope(own.losses, unseen.losses, own.samples, unseen.samples, evidence.directions)
        if evidence.information is not None:
            slopes["information"] = evidence.information
        pair, off = ("symmetric", "gcv"), OF_OTHERS
    if min(slopes[name].value for name in pair) > 0:
        combined = geometric_mean(slopes[pair[0]], slopes[pair[1]], off)
        if not evidence.recipe_known:
            combined = combined._replace(error=UNKNOWN * combined.error)
        slopes = {"combined": combined} | slopes
    return {name: FirstOrder(name, evidence.samples, slope) for name, slope in slopes.items()}


def _of_head(evidence: Evidence, head: Head, seed: int) -> dict[str, Slope]:
    return {
        "noise": sandwich_slope(head, best_outputs(head, evidence.apart.outputs), seed),
        "information": effective_dimension_slope(head, seed),
    }


def chosen(estimators: dict[str, FirstOrder], name: str) -> FirstOrder:
    """The estimator of a name; "auto" is the first.

    Raises:
        InputError: a name that there is not.
    """
    if name == AUTO:
        return next(iter(estimators.values()))
    if name not in estimators:
        names = list(dict.fromkeys([AUTO, *estimators, "information"]))
        raise InputError(f'estimator "{name}": must be one of {", ".join(names)}{nearest(name, names)}')
    return estimators[name]
