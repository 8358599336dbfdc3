"""The slope of the evidence by each estimator that it allows, by name, the default first."""

import math

from suffice.errors import InputError, nearest
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.head import Head
from suffice.forecasting.slopes import (
    FirstOrder,
    Slope,
    calibrated_slope,
    design_effect,
    fine_tuned_slope,
    gcv_slope,
    geometric_mean,
    measured_of_heads,
    optimism_slope,
    part_errors,
    sandwich_slope,
)
from suffice.forecasting.slopes.best import best_outputs
from suffice.forecasting.slopes.fine_tuned import Part

AUTO = "auto"
"""The default estimator."""

OF_HEADS = ("calibrated", "combined", "symmetric", "information", "noise")
OF_OTHERS = ("combined", "symmetric", "information", "gcv")
"""Names, of heads and of other models."""

UNKNOWN = 2.0
"""Times as large is the error where nothing is known of the training."""


def estimators_of(evidence: Evidence, seed: int = 0) -> dict[str, FirstOrder]:
    r"""The slope by several estimators.

    - ``calibrated``, the default for heads: see `suffice.forecasting.slopes.calibrated_slope`.
    - ``combined``: the geometric mean of two of the others, whose errors mostly have opposite signs: of ``noise`` and
      ``information`` for heads, and of ``symmetric`` and ``gcv`` for other models, where it is the default, see
      `suffice.forecasting.slopes.fine_tuned_slope`.
    - ``noise``: the sandwich of a head, with residuals of approximately the best head.
    - ``information``: the effective dimension, C = H_0; too large for an underconfident model.
    - ``symmetric``: the optimism; too large where a penalty restrains the fit.
    - ``gcv``: generalised cross-validation.

    The error of the default was measured on other data sets; that of another is at least as large, and as the two are
    apart.
    """
    slopes = _of_model(evidence) if evidence.head is None else _of_head(evidence, evidence.head, seed)
    (default, slope), *others = slopes.items()
    found = {default: slope} | {name: _besides(other, slope) for name, other in others}
    return {name: FirstOrder(name, evidence.samples, slope) for name, slope in found.items()}


def _of_head(evidence: Evidence, head: Head, seed: int) -> dict[str, Slope]:
    own, apart = evidence.own, evidence.apart
    best, groups, design = best_outputs(head, apart.outputs), evidence.groups, 1.0
    if evidence.grouped is not None and groups is not None:
        contents = None if evidence.copies is None else evidence.copies.together
        design = design_effect(head, best, groups, contents, seed)
    calibrated = calibrated_slope(
        head, apart.outputs, apart.samples, seed=seed, samples=own.samples, groups=groups, design=design
    )
    noise = sandwich_slope(head, best, seed)
    noise = Slope(design * noise.value, design * noise.error)
    information = Slope(calibrated.information, 0.0)
    slopes = {
        "calibrated": calibrated.slope._replace(with_level=measured_of_heads().correlation),
        "noise": noise,
        "information": information,
        "symmetric": optimism_slope(own.losses, apart.losses, own.samples, apart.samples, evidence.groups),
    }
    if noise.value > 0:
        slopes["combined"] = geometric_mean(noise, information, 1.0)
    return slopes


def _of_model(evidence: Evidence) -> dict[str, Slope]:
    own, apart = evidence.own, evidence.apart
    kind: Part = "full" if evidence.is_whole else "part"
    halves = evidence.halves
    combined = fine_tuned_slope(
        own.losses,
        apart.losses,
        own.samples,
        apart.samples,
        evidence.directions,
        kind,
        halves=None if halves is None else halves.losses,
        half_samples=None if halves is None else halves.samples,
        groups=evidence.groups,
    )
    log_error = combined.log_error * (1.0 if evidence.recipe_known else UNKNOWN)
    slopes = {
        "combined": Slope(combined.value, combined.value * log_error, combined.noise / log_error),
        "symmetric": optimism_slope(own.losses, apart.losses, own.samples, apart.samples, evidence.groups),
        "gcv": gcv_slope(own.losses, apart.losses, own.samples, apart.samples, evidence.directions),
    }
    if evidence.information is not None:
        value = evidence.information.value
        slopes["information"] = Slope(value, value * part_errors(kind).information)
    return slopes


def _besides(other: Slope, default: Slope) -> Slope:
    if other.value <= 0:
        return other
    apart = math.log(other.value / default.value)
    off = math.hypot(other.error / other.value, default.error / default.value, apart)
    return Slope(other.value, other.value * off, default.with_level)


def check_name(evidence: Evidence, name: str) -> None:
    """Whether there is an estimator of that name, before any is computed; "auto" is the default.

    Raises:
        InputError: there is none.
    """
    names = (AUTO, *(OF_OTHERS if evidence.head is None else OF_HEADS))
    if name not in names:
        raise InputError(f'estimator "{name}": must be one of {", ".join(names)}{nearest(name, names)}')
