r"""Heads whose penalty changes with the number of samples: how much farther their loss falls than at a fixed penalty.

Ridge regression acts, whatever the number of samples k, as with an effective penalty :math:`\kappa`: with the degrees
of freedom of the population, and a loss B that does not depend on k,

.. math::
    \lambda = \kappa \left(1 - \frac{\mathrm{df}_1(\kappa)}k\right), \qquad
    L = \frac{B(\kappa)}{1 - \mathrm{df}_2(\kappa) / k}, \qquad
    \tau = \frac{\mathrm{df}_1(\kappa)}k = 1 - \sqrt{\frac{L_{train}}{L_{test}}}

So the losses at a penalty :math:`\lambda_j` with the :math:`k_0` samples at hand tell the loss of :math:`x k_0` samples
at another one,

.. math::
    \lambda_j(x) = \lambda_j \frac{1 - \tau_j / x}{1 - \tau_j}, \qquad L_j(x) = L_j \frac{1 - q_j}{1 - q_j / x}, \qquad
    q_j = \frac{\mathrm{df}_2(\kappa_j)}{k_0}

The leverage :math:`\tau` is that of the losses also for other losses, where the curvature of a head that is too sure
has too few degrees of freedom; q is in proportion to it. Between penalties L is linear in :math:`\log \lambda`. What is
taken from L is the distance of the recipes with x times the samples: to the smallest :math:`L_j(x)` where the penalty
is tuned, less that distance at hand, and to :math:`L(x; \lambda_0 / x)` where it is in proportion to 1/k. It is added
to the calibrated fall at the fixed penalty. Where the penalty at hand is not too small already, the sum is at least
what was common on other people's data (`measured_of_recipes`), whose error the answer has.

Source: A. Wei, W. Hu, J. Steinhardt, "More Than a Toy", ICML 2022; T. Hastie, A. Montanari, S. Rosset, R. Tibshirani,
"Surprises in high-dimensional ridgeless least squares interpolation", Annals of Statistics 50 (2022).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from scipy.optimize import brentq

from suffice.errors import InputError, nearest
from suffice.forecasting.head import Head, refit
from suffice.forecasting.levels.folds import Groups, out_of_fold
from suffice.forecasting.losses import Outputs
from suffice.forecasting.slopes.calibrated import FAR, LEAST_TAU, share_of_slope
from suffice.forecasting.slopes.degrees_of_freedom import degrees_of_freedom
from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.results import Recipe

IN_WORDS: dict[Recipe, str] = {
    "fixed": "",
    "tuned": ", with the penalty tuned again at each size",
    "per-sample": ", with the penalty in proportion to 1/k",
}
"""What is added to a sentence about a curve."""

TENFOLD = (10.0, 1.0, 0.1)
"""The penalties that are measured, over the one at hand."""

MEASURED = "recipes.json"
"""Beside this module; ``benchmarks/forecast/recipes.py`` makes it, and its ``about`` says from what."""

LEAST, MOST = 0.3, 6.0
"""Fall to `FAR` times the samples, over that at the fixed penalty: below the least there is no forecast."""

BENT, MOST_BENT = 0.5, 1.6
"""Part of the logarithm of that ratio which the exponent makes, not the slope at hand; and the most that it makes."""

SHARPER = 0.25
"""Part of the logarithm of that ratio by which errors fall farther as well, fitted to the tuning part. The rest of the
loss is that outputs are no longer too unsure, which moves no class to the top."""

CLEARLY = 0.02
"""Part of the loss by which a larger penalty is better at hand where the one at hand is too small."""


class AtPenalty(NamedTuple):
    """A head at one penalty, with the samples at hand.

    Attributes:
        penalty: lambda.
        loss: on unseen samples, by the folds brought to all samples.
        own_loss: on its own samples.
        first, second: its degrees of freedom over the free outputs of all samples.
    """

    penalty: float
    loss: float
    own_loss: float
    first: float
    second: float

    def ahead(self, ratio: float) -> tuple[float, float]:
        """lambda(x) and L(x)."""
        tau = min(max(1 - math.sqrt(max(self.own_loss, 0.0) / self.loss), LEAST_TAU), 1 - LEAST_TAU)
        population = (self.second - self.first**2) / (1 - 2 * self.first + self.second)
        q = float(np.clip(population / self.first * tau, 0.0, 1 - LEAST_TAU))
        return self.penalty * (1 - tau / ratio) / (1 - tau), self.loss * (1 - q) / (1 - q / ratio)


def along_penalties(
    head: Head,
    left_out: Outputs,
    folds: int,
    strata: Int64[np.ndarray, " samples"],
    free: int,
    samples: int,
    seed: int,
    groups: Groups | None,
) -> tuple[AtPenalty, ...]:
    """The head at its penalty, ten times that and a tenth, with the same folds.

    Args:
        head: at its own penalty.
        left_out: its outputs out of the folds.
        folds: their number.
        strata: classes, for the folds.
        free: F, free outputs of a sample.
        samples: k_0, where copies count once.
        seed: random seed of the folds and the traces.
        groups: copies.
    """
    found = []
    for times in TENFOLD:
        at, outputs = head, left_out
        if times != 1:
            at = refit(replace(head, penalty=head.penalty * times))
            outputs = out_of_fold(at, strata, folds, seed, groups)
        own, unseen = head.loss.values(at.outputs), head.loss.values(outputs)
        trained_on = samples * (1 - 1 / folds)
        optimism = optimism_slope(own, unseen, samples, trained_on).value
        loss = float(unseen.mean()) - optimism * (1 / trained_on - 1 / samples)
        degrees = degrees_of_freedom(at, seed)
        shares = (degree / (samples * free) for degree in (degrees.first, degrees.second))
        found.append(AtPenalty(at.penalty, loss, float(own.mean()), *shares))
    return tuple(found)


def farther(penalties: Sequence[AtPenalty], recipe: Recipe, ratio: float) -> float:
    """How much farther the loss falls to x times the samples than at the fixed penalty, as the losses tell it.

    Args:
        penalties: at `TENFOLD`, as `along_penalties` measures them.
        recipe: of the penalty.
        ratio: x, above 1.

    Example:
        >>> too_large = [AtPenalty(10.0, 0.9, 0.89, 0.01, 0.01), AtPenalty(1.0, 0.7, 0.65, 0.05, 0.03)]
        >>> found = [*too_large, AtPenalty(0.1, 0.65, 0.5, 0.2, 0.15)]
        >>> [round(farther(found, recipe, 8.0), 2) for recipe in ("fixed", "tuned", "per-sample")]
        [0.0, 0.04, 0.08]
    """
    at_hand = penalties[TENFOLD.index(1.0)]
    lambdas, losses = np.array(sorted(at.ahead(ratio) for at in penalties)).T
    fixed, per_sample = np.interp(np.log([at_hand.penalty, at_hand.penalty / ratio]), np.log(lambdas), losses)
    if recipe == "tuned":
        return max(float(fixed - losses.min()) - (at_hand.loss - min(at.loss for at in penalties)), 0.0)
    return 0.0 if recipe == "fixed" else float(fixed - per_sample)


@dataclass(frozen=True)
class MeasuredOfRecipe:
    """What was measured on other people's data sets of a recipe.

    Attributes:
        exponent: with which the loss falls at least as far to `FAR` times the samples, from the same slope at hand.
        deviation: standard deviation of the logarithm of the fall, besides that of the slope.
    """

    exponent: float
    deviation: float


@cache
def measured_of_recipes() -> dict[str, MeasuredOfRecipe]:
    """What comes with suffice, for each recipe but the fixed one.

    Example:
        >>> all(0.3 < of.exponent < 1 for of in measured_of_recipes().values())
        True
    """
    stored = json.loads(files("suffice.forecasting").joinpath(MEASURED).read_text())
    return {recipe: MeasuredOfRecipe(**of) for recipe, of in stored["recipes"].items()}


class Bend(NamedTuple):
    """How the curve of a recipe differs from the one at the fixed penalty.

    Attributes:
        times: the fall to `FAR` times the samples, over that at the fixed penalty.
        exponent: c, over that at the fixed penalty.
        deviation: standard deviation of the logarithm of ``times``.
    """

    times: float
    exponent: float
    deviation: float

    @property
    def of_metrics(self) -> "Bend":
        """The part of it that metrics of a classifier follow.

        Example:
            >>> round(Bend(times=4.0, exponent=0.5, deviation=0.2).of_metrics.times, 3)
            1.414
        """
        return _bent(self.times**SHARPER, self.deviation)


STRAIGHT = Bend(1.0, 1.0, 0.0)
"""Of the fixed penalty."""


def bend_of(penalties: Sequence[AtPenalty], recipe: Recipe, fall: float) -> Bend | None:
    """How much farther the loss falls, and with which exponent; None where it hardly falls.

    Args:
        penalties: as `along_penalties` measures them.
        recipe: of the penalty.
        fall: to `FAR` times the samples at the fixed penalty.
    """
    if recipe == "fixed":
        return STRAIGHT
    measured = measured_of_recipes()[recipe]
    times = 1 + farther(penalties, recipe, FAR) / fall
    larger, at_hand = penalties[0], penalties[TENFOLD.index(1.0)]
    if larger.loss > (1 - CLEARLY) * at_hand.loss or recipe == "tuned":
        times = max(times, _fall_of(measured.exponent))
    if times < LEAST:
        return None
    return _bent(min(times, MOST), measured.deviation)


def _bent(times: float, deviation: float) -> Bend:
    bent = min(times**BENT, MOST_BENT)
    return Bend(times, float(brentq(lambda c: _fall_of(c) - bent, 0.1, 50.0)), deviation)


def _fall_of(exponent: float) -> float:
    """To `FAR` times the samples, over that with exponent 1 from the same slope at hand."""
    return (1 - math.pow(FAR, -exponent)) / exponent / float(share_of_slope(FAR, 1.0))


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
