"""Learning curves from the cells of a study."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64
from scipy.stats import t as student

from suffice.results import Band, Cell, LearningCurve

CONFIDENCE = 0.9


def learning_curve(cells: Sequence[Cell], test_samples: int) -> LearningCurve:
    """Test loss and accuracy against size, the mean over seeds.

    The intervals are Student's t over seeds, which differ in their samples, initial values and order of training. With
    one seed that cannot be known: then an accuracy has the normal interval of its test samples, and a loss has none.

    Args:
        cells: of one task and one method. Those that diverged are left out, and sizes with no others.
        test_samples: in the test part.
    """
    finished = [cell for cell in cells if cell.status == "finished"]
    sizes = sorted({cell.size for cell in finished})

    def band(name: str) -> Band:
        values = [np.array([getattr(cell, name) for cell in finished if cell.size == size]) for size in sizes]
        means = np.array([of_size.mean() for of_size in values])
        errors = np.array([_half_width(of_size, name, test_samples) for of_size in values])
        return Band(mean=means, low=means - errors, high=means + errors)

    return LearningCurve(sizes=sizes, loss=band("test_loss"), accuracy=band("test_accuracy"))


def _half_width(values: Float64[np.ndarray, " seeds"], name: str, test_samples: int) -> float:
    if len(values) > 1:
        quantile = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
        return quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    if name == "test_loss":
        return 0.0
    share = float(values[0])
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(share * (1 - share) / test_samples)
