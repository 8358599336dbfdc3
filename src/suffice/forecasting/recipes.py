r"""Heads whose penalty changes with the number of samples: how much farther their loss falls than at a fixed penalty.

Ridge regression acts, whatever the number of samples k, as with an effective penalty :math:`\kappa`: the expected test
loss is that of :math:`\kappa` on the population times what the noise of k samples adds,

.. math::
    \lambda = \kappa \left(1 - \frac{\mathrm{df}_1(\kappa)}k\right), \qquad
    L = \frac{B(\kappa)}{1 - \mathrm{df}_2(\kappa) / k}

with the degrees of freedom of the population. So the loss of the folds and the degrees of freedom of the fit at some
penalties :math:`\lambda_j` with :math:`k_0` samples, :math:`a_j = \mathrm{df}_1 / k_0` and
:math:`q_j = \mathrm{df}_2 / k_0`, tell the loss of :math:`x k_0` samples at the penalties

.. math::
    \lambda_j(x) = \lambda_j \frac{1 - a_j / x}{1 - a_j}, \qquad L_j(x) = L_j \frac{1 - q_j}{1 - q_j / x}

What is taken from these is how much farther the loss falls than at the fixed penalty: by the smallest :math:`L_j(x)`
where the penalty is tuned, and by that at :math:`\lambda_0 / x` where it is in proportion to 1/k. That factor, measured
against retrainings on other people's data as `measured_of_recipes` has it, multiplies the calibrated curve.

Source: A. Wei, W. Hu, J. Steinhardt, "More Than a Toy", ICML 2022; T. Hastie, A. Montanari, S. Rosset, R. Tibshirani,
"Surprises in high-dimensional ridgeless least squares interpolation", Annals of Statistics 50 (2022).
"""

import json
import math
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import brentq

from suffice.errors import InputError, nearest
from suffice.forecasting.head import Head, refit
from suffice.forecasting.levels.folds import FOLDS, Groups, out_of_fold
from suffice.forecasting.slopes.calibrated import FAR
from suffice.forecasting.slopes.degrees_of_freedom import degrees_of_freedom
from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.results import Recipe, fall

IN_WORDS: dict[Recipe, str] = {
    "fixed": "",
    "tuned": ", with the penalty tuned again at each size",
    "per-sample": ", with the penalty in proportion to 1/k",
}
"""What is added to a sentence about a curve."""

DECADES = np.arange(0.5, -2.6, -0.5)
"""Of the penalties that are measured, from the one at hand."""

MEASURED = "recipes.json"
"""Beside this module; ``benchmarks/forecast/recipes.py`` makes it."""

LEAST, TIMES = 0.05, (0.25, 1.9)
"""Least relative fall that is told, and the least and largest that are believed: at 2.08 the curve has no limit."""


class AtPenalty(NamedTuple):
    """A head at one penalty, with the samples at hand.

    Attributes:
        penalty: lambda.
        loss: on unseen samples, by the folds brought to all samples.
        first, second: a and h, the degrees of freedom over the free outputs of all samples.
    """

    penalty: float
    loss: float
    first: float
    second: float

    @property
    def noise(self) -> float:
        """q: what h, of the samples, would be for the population, as `suffice.forecasting.slopes.calibrated` has it."""
        return float(np.clip((self.second - self.first**2) / (1 - 2 * self.first + self.second), 0.0, 1 - 1e-6))

    def ahead(self, ratio: float) -> tuple[float, float]:
        """lambda(x) and L(x), see the module."""
        return (
            self.penalty * (1 - self.first / ratio) / (1 - self.first),
            self.loss * (1 - self.noise) / (1 - self.noise / ratio),
        )


def along_penalties(
    head: Head, strata: Int64[np.ndarray, " samples"], free: int, samples: int, seed: int, groups: Groups | None
) -> tuple[AtPenalty, ...]:
    """The head at penalties half a decade apart, the largest first, with the same folds for all.

    Args:
        head: at its own penalty.
        strata: for stratified folds.
        free: F, free outputs of a sample.
        samples: k_0, where copies count once.
        seed: random seed of the folds and the traces.
        groups: copies.
    """
    found, at = [], head
    folds = min(FOLDS, samples)
    for decades in DECADES:
        at = refit(replace(at, penalty=head.penalty * 10**decades))
        own, unseen = (
            head.loss.values(outputs) for outputs in (at.outputs, out_of_fold(at, strata, folds, seed, groups))
        )
        trained_on = samples * (1 - 1 / folds)
        optimism = optimism_slope(own, unseen, samples, trained_on).value
        loss = float(unseen.mean()) - optimism * (1 / trained_on - 1 / samples)
        degrees = degrees_of_freedom(at, seed)
        found.append(AtPenalty(at.penalty, loss, degrees.first / (samples * free), degrees.second / (samples * free)))
    return tuple(found)


def relative_falls(
    penalties: tuple[AtPenalty, ...], recipe: Recipe, ratios: Float64[np.ndarray, " ratios"]
) -> Float64[np.ndarray, " ratios"]:
    """The fall to x times the samples over that at the fixed penalty, as the folds and the degrees of freedom tell it.

    Args:
        penalties: as `along_penalties` measures them.
        recipe: "tuned" or "per-sample".
        ratios: x, above 1.
    """
    at_hand = penalties[int(np.flatnonzero(DECADES == 0)[0])]
    found = []
    for ratio in ratios:
        lambdas, losses = np.array([at.ahead(float(ratio)) for at in penalties[::-1]]).T
        order = np.argsort(lambdas)
        fixed, per_sample = (
            float(np.interp(math.log(penalty), np.log(lambdas[order]), losses[order]))
            for penalty in (at_hand.penalty, at_hand.penalty / ratio)
        )
        falls = {
            "fixed": at_hand.loss - fixed,
            "tuned": min(at.loss for at in penalties) - losses.min(),
            "per-sample": at_hand.loss - per_sample,
        }
        found.append(falls[recipe] / falls["fixed"])
    return np.array(found)


@dataclass(frozen=True)
class MeasuredOfRecipe:
    """What was measured of a recipe on other people's data sets.

    Attributes:
        share: of the logarithm of `relative_falls` to 8 times the samples that is believed.
        deviation: standard deviation of what that leaves, between data sets and pilots.
    """

    share: float
    deviation: float


@cache
def measured_of_recipes() -> dict[str, MeasuredOfRecipe]:
    """What comes with suffice, for each recipe but the fixed one.

    Example:
        >>> all(0 < of.share < 1.5 for of in measured_of_recipes().values())
        True
    """
    stored = json.loads(files("suffice.forecasting").joinpath(MEASURED).read_text())
    return {recipe: MeasuredOfRecipe(**of) for recipe, of in stored["recipes"].items()}


@dataclass(frozen=True)
class Bend:
    r"""How the curve of a recipe differs from the one at the fixed penalty.

    Attributes:
        times: the fall to 8 times the samples, over that at the fixed penalty.
        exponent: c, over that at the fixed penalty.
        deviation: standard deviation of the logarithm of ``times``.
    """

    times: float
    exponent: float
    deviation: float


STRAIGHT = Bend(1.0, 1.0, 0.0)
"""Of the fixed penalty."""


def bend_of(penalties: tuple[AtPenalty, ...], recipe: Recipe) -> Bend:
    r"""How much farther the loss falls, and with which exponent.

    The curves of all recipes begin with the same slope where the penalty at hand is the best one there, since the loss
    is then stationary in the penalty. So the exponent is that with which a curve of this slope falls as far:
    :math:`(1 - 8^{-c}) / c = (1 - \tfrac18)\,R`.

    Args:
        penalties: as `along_penalties` measures them.
        recipe: of the penalty.
    """
    if recipe == "fixed":
        return STRAIGHT
    measured = measured_of_recipes()[recipe]
    farther = float(relative_falls(penalties, recipe, np.array([FAR]))[0])
    if recipe == "tuned":
        farther = max(farther, 1.0)  # where the fixed penalty is best it is kept
    times = float(np.clip(max(farther, LEAST) ** measured.share, *TIMES))
    exponent = brentq(lambda c: float(fall(FAR, c, 0.0)) - times * float(fall(FAR, 1.0, 0.0)), 1e-3, 50.0)
    return Bend(times, float(exponent), measured.deviation)


def check_recipe(recipe: str, l2: float | None, estimator: object) -> None:
    """
    Raises:
        InputError: an unknown recipe, a penalty beside one that is tuned, or an estimator that is not a slope.
    """
    if recipe not in IN_WORDS:
        raise InputError(f'recipe = "{recipe}": must be one of {", ".join(IN_WORDS)}{nearest(recipe, list(IN_WORDS))}')
    if recipe == "tuned" and l2 is not None:
        raise InputError("the recipe tuned chooses the penalty at each size: leave l2 out")
    if recipe != "fixed" and not isinstance(estimator, str):
        raise InputError(f"the recipe {recipe} goes with the name of an estimator: a curve of your own has its recipe")
