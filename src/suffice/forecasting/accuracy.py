"""How fast the accuracy rises with the fall of the loss."""

from suffice.forecasting.calibration import Calibrated
from suffice.forecasting.evidence import Evidence

SHARPER = 1.1
"""Factor of the outputs at which loss and error rate are related."""

OFF = 0.5
"""Standard error of the logarithm of the rate."""


def accuracy_rate(evidence: Evidence) -> tuple[float, float]:
    r"""By how much the error rate falls for each unit that the loss falls, and the standard error of its logarithm.

    As the loss of calibrated probabilities falls, all of them become sharper by one factor, and the error rate falls in
    proportion to its expectation, the mean of :math:`1 - \max_c p_c`.
    """
    now = Calibrated(evidence.unseen)
    (loss, rate), (sharper_loss, sharper_rate) = now.sharpened(1.0), now.sharpened(SHARPER)
    wrong = float(evidence.unseen.wrong.mean())
    return (wrong / max(rate, 1e-12)) * (rate - sharper_rate) / max(loss - sharper_loss, 1e-12), OFF
