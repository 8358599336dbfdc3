"""Learning curves from the cells of a study."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64
from scipy.stats import t as student

from suffice.results import Band, Cell, LearningCurve

CONFIDENCE = 0.9

NORMAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors on each side of a normal interval."""


def learning_curve(cells: Sequence[Cell], test_samples: int) -> LearningCurve:
    """Test loss and accuracy against size, the mean over seeds.

    Intervals are Student's t over seeds, which differ in their samples, initial values and order of training. With one
    seed this variance is unknown; the intervals are then normal ones over test samples alone, which are narrower.

    Args:
        cells: of one task and one method. Diverged trainings are left out.
        test_samples: size of the test part.
    """
    finished = [cell for cell in cells if cell.status == "finished"]
    sizes = sorted({cell.size for cell in finished})
    by_size = [[cell for cell in finished if cell.size == size] for size in sizes]

    def band(values: Callable[[Cell], float], error: Callable[[Cell], float]) -> Band:
        of_sizes = [np.array([values(cell) for cell in of_size]) for of_size in by_size]
        means = np.array([of_size.mean() for of_size in of_sizes])
        widths = np.array(
            [
                _half_width(of_values) if len(of_values) > 1 else NORMAL * error(of_size[0])
                for of_values, of_size in zip(of_sizes, by_size, strict=True)
            ]
        )
        return Band(mean=means, low=means - widths, high=means + widths)

    def accuracy(cell: Cell) -> float:
        return cell.test_accuracy or 0.0

    return LearningCurve(
        sizes=sizes,
        loss=band(lambda cell: cell.test_loss or 0.0, lambda cell: cell.test_loss_error or 0.0),
        accuracy=band(accuracy, lambda cell: math.sqrt(accuracy(cell) * (1 - accuracy(cell)) / test_samples)),
    )


def _half_width(values: Float64[np.ndarray, " seeds"]) -> float:
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
