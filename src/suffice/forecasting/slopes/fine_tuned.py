r"""The slope of last layers, LoRA and whole models, with an error that was measured on other data sets.

Such models mostly fit their own samples, and no formula in their curvature held: `tangent_kernel` slopes of LoRA are
three times too large. What holds is two losses, that of the model's own samples and that of unseen ones.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, ndtri

from suffice.errors import InputError
from suffice.forecasting.slopes.slope import standard_error

ERRORS = "fine_tuned.json"
"""Beside this module; ``benchmarks/forecast/layers_fit.py`` makes it, and its ``about`` says from what."""

QUANTILES = (np.arange(200) + 0.5) / 200
"""Of the gap, at which the slope is computed."""

LOWEST = -3.0
"""Standard errors: with a gap below this many, the unseen samples were seen, or the own ones were not."""

Part = Literal["part", "full"]
"""What was trained: last layers or an adapter, or the whole model."""


@dataclass(frozen=True)
class PartErrors:
    r"""How far slopes and levels of one kind of training were off on the data sets at hand.

    Attributes:
        between: root mean square of log(true gain / estimated gain), besides the noise of the losses.
        training: :math:`\nu`: standard deviation of the test loss between trainings on other samples and with other
            seeds, over the gain :math:`s / k` that is left.
        information: root mean square of that log for the effective-dimension slope by the tangent kernel.
    """

    between: float
    training: float
    information: float


@dataclass(frozen=True)
class FineTunedSlope:
    r"""The posterior of the slope s, :math:`L(k) = L_\infty + s / k`, and of the loss :math:`L(k)` of this training.

    With independent standard normal :math:`z_1, z_2` it is

    .. math:: L(k) = \mathrm{level} + z_1\, \mathrm{level\_error}, \qquad
        s = \mathrm{value} \cdot e^{z_1 \mathrm{noise} + z_2 \mathrm{between}}

    The noise of the unseen losses moves both at once. So at 8 times the samples it moves the loss by less than half of
    what it moves the level by, where the model interpolates its samples.

    Attributes:
        value: the median of s.
        between: standard deviation of log s between data sets, which more samples do not reduce.
        noise: standard deviation of log s by the noise of the losses.
        level: L(k), extended from :math:`k_f` to k by the optimism slope.
        level_error: its standard error by the noise of the losses.
    """

    value: float
    between: float
    noise: float
    level: float
    level_error: float

    @property
    def log_error(self) -> float:
        """Standard deviation of log s."""
        return math.hypot(self.between, self.noise)


@cache
def part_errors(part: Part) -> PartErrors:
    """What comes with suffice.

    Example:
        >>> 0.1 < part_errors("part").between < 0.5
        True
    """
    stored = json.loads(files("suffice.forecasting.slopes").joinpath(ERRORS).read_text())
    return PartErrors(**stored["parts"][part])


def fine_tuned_slope(
    own: Float64[np.ndarray, " own"],
    unseen: Float64[np.ndarray, " unseen"],
    samples: float,
    unseen_samples: float,
    directions: float,
    part: Part = "part",
) -> FineTunedSlope:
    r"""The slope from the losses of own and of unseen samples, with its error.

    With the gap :math:`\Delta = L_{unseen} - L_{own}`, of a model of k samples and of models of :math:`k_f`, the
    optimism slope and the loss at k are

    .. math:: s_{opt} = \frac{\Delta}{1/k + 1/k_f}, \qquad L(k) = L_{own} + \frac2k s_{opt}

    Generalised cross-validation has, see `suffice.forecasting.slopes.gcv_slope`,
    :math:`s_{gcv} = k L(k)\, \tau \min(1, \tau / \rho)` with :math:`\tau = 1 - \sqrt{L_{own} / L(k)}`. The first is
    too small where a model interpolates its samples and too large where it does not, the second the other way round:
    the slope is :math:`\sqrt{s_{opt} s_{gcv}}`. It had no bias over data sets; `part_errors` has how far it was off.

    The gap has normal noise and is positive: its noise goes through the formula at the quantiles of the truncated
    normal distribution. So a gap that is small or negative by chance gives a small slope with a large error.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of samples by models that were trained without them; paired with ``own`` where there are as many.
        samples: k, of the model of ``own``.
        unseen_samples: k_f, of the models of ``unseen``: k for a hold-out, 0.8 k for five folds.
        directions: weights that move, over the free outputs of a sample.
        part: what was trained.

    Raises:
        InputError: the unseen loss is more than 3 standard errors below the training loss, or is zero.

    Example:
        >>> random = np.random.default_rng(0)
        >>> own, unseen = random.exponential(0.1, size=200), random.exponential(1.0, size=200)
        >>> slope = fine_tuned_slope(own, unseen, samples=200, unseen_samples=160, directions=1e5)
        >>> 60 < slope.value < 120, slope.noise < 0.15
        (True, True)
    """
    trained, gap = float(own.mean()), float(unseen.mean() - own.mean())
    paired = len(own) == len(unseen)
    error = standard_error(unseen - own) if paired else math.hypot(standard_error(unseen), standard_error(own))
    if gap < LOWEST * error or (gap <= 0 and error == 0):
        raise InputError(
            f"the loss on unseen samples ({trained + gap:.3g}) is not above the training loss ({trained:.3g}): give "
            "the samples that the model was trained on, and others as unseen ones"
        )
    below = float(ndtr(-gap / error)) if error > 0 else 0.0
    gaps = gap + error * ndtri(below + QUANTILES * (1 - below))
    levels, slopes = _two_losses(trained, gaps, samples, unseen_samples, directions)
    low, median, high = np.log(np.quantile(slopes, ndtr([-1.0, 0.0, 1.0])))
    return FineTunedSlope(
        value=math.exp(median),
        between=part_errors(part).between,
        noise=float(high - low) / 2,
        level=float(np.median(levels)),
        level_error=float(levels.std()),
    )


def _two_losses(
    trained: float, gaps: Float64[np.ndarray, " gaps"], samples: float, unseen_samples: float, directions: float
) -> tuple[Float64[np.ndarray, " gaps"], Float64[np.ndarray, " gaps"]]:
    """For each gap the loss at k, and the geometric mean of both slopes."""
    optimism = gaps / (1 / samples + 1 / unseen_samples)
    levels = trained + 2 * optimism / samples
    tau = 1 - np.sqrt(trained / levels)
    gcv = samples * levels * tau * np.minimum(1, tau / min(1.0, directions / samples))
    return levels, np.sqrt(optimism * gcv)
