"""Approximately the outputs of the best head, at which the gradients of the sandwich are taken."""

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head

ENOUGH = 24
"""Samples per class from which on the best outputs are estimated half-way between a head's in-sample and left-out ones.
With fewer samples the estimate moves towards the left-out ones in proportion: the loss between is not quadratic.

Chosen on the tuning tasks of `benchmarks/forecast`.
"""


def best_outputs(
    head: Head, left_out: Float64[np.ndarray, "samples classes"]
) -> Float64[np.ndarray, "samples classes"]:
    """Approximately the outputs of the best head: between a head's in-sample and its left-out outputs.

    In-sample residuals are too small, since the head has fitted each sample; left-out residuals are too large, since
    they contain the noise of the head. To first order the best ones are half-way, as the best loss is
    (`optimism_slope`).

    Args:
        head: fitted to its samples.
        left_out: outputs of each sample by heads that were fitted without it.
    """
    samples, classes = head.outputs.shape
    share = 1 - min(1.0, samples / classes / ENOUGH) / 2
    between: Float64[np.ndarray, "samples classes"] = (1 - share) * head.outputs + share * left_out
    return between
