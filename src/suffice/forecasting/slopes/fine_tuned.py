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
from jaxtyping import Float64, Int64
from scipy.special import ndtr, ndtri

from suffice.errors import InputError
from suffice.forecasting.slopes.slope import standard_error

ERRORS = "fine_tuned.json"
"""Beside this module; ``benchmarks/forecast/layers_fit.py`` makes it, and its ``about`` says from what."""

QUANTILES = (np.arange(200) + 0.5) / 200
STANDARD = ndtri(QUANTILES)
"""Of a normal distribution: slopes are computed at these."""

SHARPEST = 0.05
"""Least relative error of a fall, for sums over `STANDARD` that are smooth."""

LOWEST = -3.0
"""Standard errors: with a gap below this many, the unseen samples were seen, or the own ones were not."""

Part = Literal["part", "full"]
"""What was trained: last layers or an adapter, or the whole model."""


@dataclass(frozen=True)
class PartErrors:
    r"""How far slopes and levels of one kind of training were off on the data sets at hand.

    Attributes:
        between: root mean square of log(true gain / estimated gain), besides the noise of the losses.
        falls: the same for the slope through the losses of halves and folds; None where it made nothing better.
        training: :math:`\nu`: standard deviation of the test loss between trainings on other samples and with other
            seeds, over the gain :math:`s / k` that is left.
        information: root mean square of that log for the effective-dimension slope by the tangent kernel.
    """

    between: float
    falls: float | None
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
        between: standard deviation of log s by all else, foremost between data sets, which more samples do not reduce.
        noise: standard deviation of log s by the noise of the unseen losses, which moves the level too.
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
    halves: Float64[np.ndarray, " unseen"] | None = None,
    half_samples: float | None = None,
    groups: Int64[np.ndarray, " own"] | None = None,
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

    From models of half of the samples to those of :math:`k_f` the loss falls by :math:`s (1 / k_h - 1 / k_f)`, with a
    log-normal error that is far larger than that of the gap. The posterior is the slope from the gap times the
    likelihood of the fall. This is done for whole models alone: it made nothing better for last layers and LoRA.

    Args:
        own: losses of the samples that a model was trained on.
        unseen: losses of samples by models that were trained without them; paired with ``own`` where there are as many.
        samples: k, of the model of ``own``.
        unseen_samples: k_f, of the models of ``unseen``: k for a hold-out, 0.8 k for five folds.
        directions: weights that move, over the free outputs of a sample.
        part: what was trained.
        halves: losses of the samples of ``unseen``, in their order, by models trained on half of the own samples.
        half_samples: k_h, of these models.
        groups: of the own samples; those of one count as one observation in the noise.

    Raises:
        InputError: the unseen loss is more than 3 standard errors below the training loss, or not above it at all.

    Example:
        >>> random = np.random.default_rng(0)
        >>> own, unseen = random.exponential(0.1, size=200), random.exponential(1.0, size=200)
        >>> slope = fine_tuned_slope(own, unseen, samples=200, unseen_samples=160, directions=1e5)
        >>> 60 < slope.value < 120, slope.noise < 0.15
        (True, True)
    """
    trained = float(own.mean())
    gap, error = _difference(unseen, own, groups)
    if not gap > LOWEST * error:
        raise InputError(
            f"the loss on unseen samples ({trained + gap:.3g}) is not above the training loss ({trained:.3g}): give "
            "the samples that the model was trained on, and others as unseen ones"
        )
    levels, slopes = _two_losses(trained, _positive(gap, error), samples, unseen_samples, directions)
    center, noise = _logarithm(slopes, np.ones(len(slopes)))
    errors = part_errors(part)
    between = errors.between
    if errors.falls is not None and halves is not None and half_samples is not None:
        before = math.hypot(between, noise)
        logs = center + before * STANDARD
        expected, of_own = np.exp(logs) * (1 / half_samples - 1 / unseen_samples), len(halves) == len(own)
        likelihood = _of_fall(expected, halves - unseen, errors.falls, groups if of_own else None)
        center, after = _logarithm(np.exp(logs), likelihood)
        between, noise = (error * after / before for error in (between, noise))
    return FineTunedSlope(math.exp(center), between, noise, float(np.median(levels)), float(levels.std()))


def _difference(
    unseen: Float64[np.ndarray, " unseen"],
    own: Float64[np.ndarray, " own"],
    groups: Int64[np.ndarray, " own"] | None,
) -> tuple[float, float]:
    """Of two mean losses, with its standard error; paired where there are as many."""
    if len(unseen) == len(own):
        return float((unseen - own).mean()), standard_error(unseen - own, groups)
    return float(unseen.mean() - own.mean()), math.hypot(standard_error(unseen), standard_error(own, groups))


def _positive(mean: float, error: float) -> Float64[np.ndarray, " quantiles"]:
    """Quantiles of a normal distribution of which only the positive part is possible."""
    below = float(ndtr(-mean / error)) if error > 0 else 0.0
    return np.asarray(mean + error * ndtri(below + QUANTILES * (1 - below)))


def _of_fall(
    expected: Float64[np.ndarray, " slopes"],
    falls: Float64[np.ndarray, " samples"],
    off: float,
    groups: Int64[np.ndarray, " samples"] | None,
) -> Float64[np.ndarray, " slopes"]:
    """The likelihood of the fall from halves to folds by what each slope has: log-normal, with normal noise."""
    fall = float(falls.mean())
    error = max(standard_error(falls, groups), SHARPEST * max(abs(fall), float(expected.min())))
    exponents = -np.square((fall - expected[:, None] * np.exp(off * STANDARD)) / error) / 2
    return np.asarray(np.exp(exponents - exponents.max()).mean(1))


def _logarithm(values: Float64[np.ndarray, " values"], weights: Float64[np.ndarray, " values"]) -> tuple[float, float]:
    """Of ascending values: median, and half of the distance between its quantiles at one standard deviation."""
    shares = (weights.cumsum() - weights / 2) / weights.sum()
    low, median, high = np.interp(ndtr([-1.0, 0.0, 1.0]), shares, np.log(values))
    return float(median), float(high - low) / 2


def _two_losses(
    trained: float, gaps: Float64[np.ndarray, " gaps"], samples: float, unseen_samples: float, directions: float
) -> tuple[Float64[np.ndarray, " gaps"], Float64[np.ndarray, " gaps"]]:
    """For each gap the loss at k, and the geometric mean of both slopes."""
    optimism = gaps / (1 / samples + 1 / unseen_samples)
    levels = trained + 2 * optimism / samples
    tau = 1 - np.sqrt(trained / levels)
    gcv = samples * levels * tau * np.minimum(1, tau / min(1.0, directions / samples))
    return levels, np.sqrt(optimism * gcv)
