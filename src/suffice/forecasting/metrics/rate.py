r"""The rate at which a metric rises as the loss falls.

With more samples the probabilities come nearer to the true ones: they get sharper. Of calibrated probabilities
:math:`p(\beta) = \mathrm{softmax}(\beta z / T)`, with T the temperature at which the loss of the outputs z is smallest,
both the expected metric :math:`M(\beta)` (`suffice.forecasting.metrics.values`) and the expected loss, their mean
entropy :math:`E(\beta)`, are known. The loss of outputs that are T times as large changes T times as much, so

.. math:: r = \frac{\mathrm{d} m}{-\mathrm{d} L} = \frac1T \, \frac{M'(1)}{-E'(1)}

On data sets that it was not made on a metric so is within a factor of :math:`e^{\pm 0.3}` or so of the truth, given
that of the loss; see `benchmarks/forecast/metrics.py`.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.metrics.values import Metric, Outputs
from suffice.training.predictions import Predictions

STEP = 0.1
"""Of the logarithm of the sharpness, to either side: the expected error rate is not smooth in small steps."""


class Rate(NamedTuple):
    """How much a metric rises per unit of fall of the loss.

    Attributes:
        value: r, its median; 0 or more.
        error: standard deviation of log r.
    """

    value: float
    error: float


def sharpening(unseen: Predictions, metric: Metric) -> float:
    """r, or the proportional rate (1 - m) / L where sharper probabilities are not expected to raise the metric."""
    calibrated = Calibrated(unseen)
    (blunt_metric, blunt_loss), (sharp_metric, sharp_loss) = (
        _expected(calibrated.predictions.outputs * np.exp(step), metric) for step in (-STEP, STEP)
    )
    rise, fall = sharp_metric - blunt_metric, blunt_loss - sharp_loss
    return rise / fall / calibrated.temperature


def _expected(outputs: Outputs, metric: Metric) -> tuple[float, float]:
    """A metric and the loss to be expected of outputs whose probabilities are true."""
    logarithms = log_softmax(outputs, axis=1)
    p = np.exp(logarithms)
    return metric(outputs, p), float(-(p * logarithms).sum(1).mean())


def rate(unseen: Predictions, metric: Metric) -> Rate:
    return Rate(sharpening(unseen, metric), 0.3)
