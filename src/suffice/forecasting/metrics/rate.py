r"""The rate at which a metric rises as the loss falls.

With more samples the probabilities come nearer to the true ones: they get sharper. Of calibrated probabilities
:math:`p(\beta) = \mathrm{softmax}(\beta z / T)`, with T the temperature at which the loss of the outputs z is smallest,
both the expected metric :math:`M(\beta)` (`suffice.forecasting.metrics.values`) and the expected loss, their mean
entropy :math:`E(\beta)`, are known. Outputs that are T times as large change their loss T times as much, so

.. math:: r = \frac{\mathrm{d} m}{-\mathrm{d} L} = \frac1T \, \frac{M'(1)}{-E'(1)}

``benchmarks/forecast/metric_rates.py`` measures the error, and compares with other rates: in proportion to the loss,
:math:`(1 - m) / L`, and by the changes from halves to folds.
"""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.metrics.now import MetricNow
from suffice.forecasting.metrics.values import Metric, Outputs
from suffice.training.predictions import Predictions

STEP = 0.1
"""Of the logarithm of the sharpness, to either side."""

LEAST = 0.2
"""The rate is at least this share of :math:`(1 - m) / L`, which it would be if 1 - m fell in proportion to the loss."""

ALWAYS, FROM_NOISE = 0.45, 0.9
r"""Standard deviation of log r: :math:`\sqrt{a^2 + b^2 n}`, with n the relative noise of the loss gap.

Fitted to the tuning data sets by ``benchmarks/forecast/metric_rates.py``, all metrics together. The mean of log r is
off by less than 0.1 there, and nothing is corrected. Where a strong penalty leaves a head far too unsure, rates may be
too small by half.
"""

MOST_NOISE = 1.0
"""Largest n: a gap of which less is known tells nothing."""


class Rate(NamedTuple):
    """How much a metric rises per unit of fall of the loss.

    Attributes:
        value: r, its median; positive.
        error: standard deviation of log r.
    """

    value: float
    error: float

    def draws(self, normals: Float64[np.ndarray, " draws"]) -> Float64[np.ndarray, " draws"]:
        """Draws, from standard normal scores.

        Example:
            >>> Rate(0.5, 0.4).draws(np.array([-1.0, 0.0, 1.0])).round(2)
            array([0.34, 0.5 , 0.75])
        """
        drawn: Float64[np.ndarray, " draws"] = self.value * np.exp(self.error * normals)
        return drawn


class Rates:
    """The rates of metrics for the same unseen samples.

    Example:
        >>> from suffice.forecasting.metrics import Accuracy, metric_now
        >>> random = np.random.default_rng(0)
        >>> z = random.normal(scale=1.5, size=(1000, 3))
        >>> unseen = Predictions(900, z, (z + random.gumbel(size=z.shape)).argmax(1))
        >>> found = Rates(unseen, noise=0.1).of(Accuracy(), metric_now(unseen, Accuracy()))
        >>> round(found.value, 2), round(found.error, 2)
        (0.52, 0.53)
    """

    def __init__(self, unseen: Predictions, noise: float) -> None:
        """
        Args:
            unseen: out-of-fold predictions, or those of a hold-out.
            noise: standard error of the gap between the losses of unseen and of own samples, over the gap.
        """
        self._unseen = unseen
        self._noise = min(max(noise, 0.0), MOST_NOISE)

    def of(self, metric: Metric, now: MetricNow) -> Rate:
        """The rate of a metric, whose value now is given."""
        temperature, blunt, sharp = self._sharpened
        # outputs that are all equal cannot be made sharper
        fall = max(blunt.loss - sharp.loss, np.finfo(float).tiny)
        of_sharper = (metric(sharp.outputs, sharp.p) - metric(blunt.outputs, blunt.p)) / fall / temperature
        in_proportion = (1 - now.mean) / max(float(self._unseen.losses.mean()), np.finfo(float).eps)
        return Rate(max(of_sharper, LEAST * in_proportion), math.sqrt(ALWAYS**2 + FROM_NOISE**2 * self._noise))

    @cached_property
    def _sharpened(self) -> tuple[float, "Expected", "Expected"]:
        calibrated = Calibrated(self._unseen)
        blunt, sharp = (Expected(calibrated.predictions.outputs * math.exp(step)) for step in (-STEP, STEP))
        return calibrated.temperature, blunt, sharp


class Expected:
    """Outputs whose probabilities are true.

    Attributes:
        outputs: z.
        p: softmax(z).
        loss: that is to be expected, the mean entropy.

    Example:
        >>> round(Expected(np.log([[0.75, 0.25], [0.5, 0.5]])).loss, 3)
        0.628
    """

    def __init__(self, outputs: Outputs) -> None:
        logarithms = log_softmax(outputs, axis=1)
        self.outputs = outputs
        self.p: Outputs = np.exp(logarithms)
        self.loss = float(-(self.p * logarithms).sum(1).mean())
