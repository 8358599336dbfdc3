"""The calibrated slope of a head: from losses and curvature, with an error measured on many data sets."""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.head import Head
from suffice.forecasting.losses import CrossEntropy, OutputLoss
from suffice.forecasting.slopes.degrees_of_freedom import DegreesOfFreedom, degrees_of_freedom
from suffice.forecasting.slopes.optimism import optimism_slope
from suffice.forecasting.slopes.slope import Slope
from suffice.forecasting.slopes.traces import DRAWN, DRAWS
from suffice.training.predictions import Predictions

MEASURED = "heads.json"
"""Beside this module; ``benchmarks/forecast/slope_priors.py`` makes it, and its ``about`` says from what."""

WEIGHTS = (0.1, 0.9)
"""Least and largest weight of generalised cross-validation."""

TOO_NOISY = 0.6
"""Relative standard error of the gap from which on a pilot cannot tell the slope."""

FAR = 8.0
"""Ratio of sizes to which the gain has the same error for all exponents: the slope is that of the whole way there."""

LEAST_TAU, LEAST_RATIO = 0.001, 0.02
"""Where losses hardly differ their noise would make the slope vanish."""


@dataclass(frozen=True)
class MeasuredOfHeads:
    r"""What was measured on other people's data sets, for linear heads with a penalty that is the same at all sizes.

    Attributes:
        per_temperature: by how much the weight of generalised cross-validation grows with log T.
        between: standard deviation of log s between data sets.
        per_noise: that from pilot to pilot, over the relative standard error of the gap and the root of tau.
        correlation: between the errors of log s and of the level, over the standard errors of both.
        exponent, exponent_deviation: median, and standard deviation of the logarithm, of the exponent c in
            `share_of_slope`.
        trainings: the standard deviation between trainings, over that of `between_trainings` at this slope.
    """

    per_temperature: float
    between: float
    per_noise: float
    correlation: float
    exponent: float
    exponent_deviation: float
    trainings: float


@cache
def measured_of_heads() -> MeasuredOfHeads:
    """What comes with suffice.

    Example:
        >>> 0.1 < measured_of_heads().between < 0.5
        True
    """
    stored = json.loads(files("suffice.forecasting.slopes").joinpath(MEASURED).read_text())
    return MeasuredOfHeads(**stored["heads"])


def share_of_slope(
    ratios: Float64[np.ndarray, "*shape"] | float, exponents: Float64[np.ndarray, "*shape"] | float
) -> Float64[np.ndarray, "*shape"]:
    r"""What is gained from k_0 to :math:`x k_0` samples, in units of :math:`s / k_0`.

    .. math:: \left(1 - \tfrac18\right) \frac{1 - x^{-c}}{1 - 8^{-c}}

    With c = 1 this is 1 - 1/x. The slope s is that of the line from k_0 to 8 times as many samples: its error is
    uncorrelated with that of the exponent there, which is not so at k_0.

    Args:
        ratios: x > 0.
        exponents: c > 0, of a shape that broadcasts with that of x.

    Example:
        >>> share_of_slope(np.array([0.5, 2.0, 8.0]), 1.0).round(3), share_of_slope(np.array([2.0, 8.0]), 0.5).round(3)
        (array([-1.   ,  0.5  ,  0.875]), array([0.396, 0.875]))
    """
    c = np.asarray(exponents, dtype=np.float64)
    return np.asarray((1 - 1 / FAR) * (1 - np.asarray(ratios, dtype=np.float64) ** -c) / (1 - FAR**-c))


@dataclass(frozen=True)
class CalibratedSlope:
    r"""s, log-normal, with what it comes from.

    Attributes:
        value: the median of s.
        between: standard deviation of log s between data sets.
        noise: that from pilot to pilot.
        gap_noise: n, the relative standard error of the gap between the losses; infinite where there is no gap.
        tau: :math:`1 - \sqrt{L_{train} / L_{test}}`, 1 for a fit that interpolates.
        first, second: df_1 and df_2 over the free outputs of all samples.
        traces: relative standard error of df_2 by the random vectors, for heads of more than 2,500 weights, which have
            the fewest vectors; of others 0, since it is in ``between``, which was measured with theirs.
        temperature: T, of the unseen outputs.
        weight: of generalised cross-validation.
        gcv, information: the two slopes.
    """

    value: float
    between: float
    noise: float
    gap_noise: float
    tau: float
    first: float
    second: float
    traces: float
    temperature: float
    weight: float
    gcv: float
    information: float

    @property
    def log_error(self) -> float:
        """The standard deviation of log s."""
        return math.hypot(self.between, self.noise, self.traces)

    @property
    def tells(self) -> bool:
        """Whether the losses differ by enough to tell a slope."""
        return self.gap_noise <= TOO_NOISY

    @property
    def slope(self) -> Slope:
        """The median, and the standard error to first order."""
        return Slope(self.value, self.value * self.log_error)


def calibrated_slope(
    head: Head,
    unseen: Float64[np.ndarray, "unseen outputs"],
    unseen_samples: float,
    unseen_loss: OutputLoss | None = None,
    seed: int = 0,
    samples: float | None = None,
    groups: Int64[np.ndarray, " samples"] | None = None,
    design: float = 1.0,
) -> CalibratedSlope:
    r"""The geometric mean of generalised cross-validation and the effective dimension, weighted by the temperature.

    With the degrees of freedom :math:`\mathrm{df}_1 = \mathrm{Tr}(H_0 H^{-1})` and
    :math:`\mathrm{df}_2 = \mathrm{Tr}[(H_0 H^{-1})^2]`, :math:`a = \mathrm{df}_1 / k F` and
    :math:`h = \mathrm{df}_2 / k F`, F the number of free outputs of a sample (K - 1 for K logits),

    .. math::
        \tau = 1 - \sqrt{L_{train} / L_{test}}, \qquad q = \frac{h - a^2}{1 - 2 a + h}, \qquad
        G = k L_{test}\, \tau\, \frac qa, \qquad I = \tfrac12 \mathrm{df}_2

    .. math:: \log s = w \log G + (1 - w) \log I, \qquad w = \tfrac12 + c \log T

    G is generalised cross-validation: the losses give the leverage :math:`\tau` in place of a, and q is what h, of the
    samples, would be for the population, by the deterministic equivalent of ridge regression. I takes the probabilities
    of the head as true. G needs no such trust but is noisy; so it counts for more where the outputs are too sure,
    T > 1. For other losses than cross-entropy T = 1, and I is multiplied by the mean squared residual over the mean
    trace of the loss Hessian, which the information identity has equal.

    The test loss of models for k_f samples is brought to k by the optimism slope. The error of log s has three
    parts: that between data sets, one from pilot to pilot that is in proportion to :math:`n \sqrt\tau`, n being the
    relative standard error of the gap between the losses (under a strong penalty their noise counts for less), and for
    large heads that of the random traces.

    Source: P. Craven, G. Wahba, "Smoothing noisy data with spline functions", Numerische Mathematik 31 (1979); A. Wei,
    W. Hu, J. Steinhardt, "More Than a Toy", ICML 2022, for the equivalent; c and the errors were measured, see
    `suffice.forecasting.slopes.calibrated.measured_of_heads`.

    Args:
        head: fitted to its samples.
        unseen: outputs for samples by heads that were fitted without them: of the same samples, or of others.
        unseen_samples: k_f, of these heads.
        unseen_loss: of the others; None if they are the same samples.
        seed: random seed of the traces.
        samples: k, where it is not the number of the head's samples, some of which are copies.
        groups: of the head's samples; those of one count as one observation in the noise.
        design: of these groups, see `suffice.forecasting.slopes.design_effect`; the losses of G have it in them, and I
            is multiplied by it.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.levels import out_of_fold
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(400, 8))
        >>> y = (x[:, 0] + random.logistic(size=400) > 0).astype(int)
        >>> head = fit_head(x, CrossEntropy(y, 2), 2, penalty=1e-3)
        >>> found = calibrated_slope(head, out_of_fold(head, y), 360)
        >>> 2 < found.value < 8  # half of the eight free weights
        True
    """
    loss = head.loss if unseen_loss is None else unseen_loss
    losses, own = loss.values(unseen), head.loss.values(head.outputs)
    samples = len(own) if samples is None else samples
    optimism = optimism_slope(own, losses, samples, unseen_samples, groups)
    test_loss = float(losses.mean()) - optimism.value * (1 / unseen_samples - 1 / samples)
    degrees = degrees_of_freedom(head, seed)
    if isinstance(loss, CrossEntropy):
        free, identity = unseen.shape[1] - 1, 1.0
        temperature = Calibrated(Predictions(unseen_samples, unseen, loss.labels)).temperature
    else:
        free, temperature = unseen.shape[1], 1.0
        identity = _squared_residual_over_trace(loss, unseen)
    measured = measured_of_heads()
    own_loss = float(own.mean())
    tells = optimism.value > 0
    information = design * identity * degrees.second / 2
    tau, gcv = gcv_of_head(samples, own_loss, test_loss, degrees, free) if tells else (0.0, information)
    weight = weight_of_gcv(measured.per_temperature, temperature)
    noise = optimism.error / optimism.value if tells else math.inf
    return CalibratedSlope(
        value=math.exp(weight * math.log(gcv) + (1 - weight) * math.log(information)),
        between=measured.between,
        noise=measured.per_noise * noise * math.sqrt(tau) if tells else math.inf,
        gap_noise=noise,
        tau=tau,
        first=degrees.first / (samples * free),
        second=degrees.second / (samples * free),
        traces=degrees.error if head.weights.size > DRAWN / DRAWS[0] else 0.0,
        temperature=temperature,
        weight=weight,
        gcv=gcv,
        information=information,
    )


def gcv_of_head(
    samples: float, own_loss: float, test_loss: float, degrees: DegreesOfFreedom, free: int
) -> tuple[float, float]:
    """Tau, and the slope G, see `calibrated_slope`."""
    tau = max(1 - math.sqrt(max(own_loss, 0.0) / test_loss), LEAST_TAU)
    a, h = degrees.first / (samples * free), degrees.second / (samples * free)
    population = (h - a**2) / (1 - 2 * a + h)
    return tau, samples * test_loss * tau * float(np.clip(population / a, LEAST_RATIO, 1))


def weight_of_gcv(per_temperature: float, temperature: float) -> float:
    """The weight w, see `calibrated_slope`."""
    return float(np.clip(0.5 + per_temperature * math.log(temperature), *WEIGHTS))


def _squared_residual_over_trace(loss: OutputLoss, outputs: Float64[np.ndarray, "samples outputs"]) -> float:
    derivatives = loss.at(outputs)
    trace = np.trace(derivatives.mean_curvature)
    return float(np.square(derivatives.residuals).sum(-1).mean() / trace)
