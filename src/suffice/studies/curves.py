"""Learning curves from the cells of a study, and what their last step gained."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import t as student

from suffice.forecasting.slopes import standard_error
from suffice.results import Band, Cell, Estimate, LearningCurve

CONFIDENCE = 0.9

NORMAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors on each side of a normal interval."""

Groups = Int64[np.ndarray, " samples"]
"""Of the test samples, such as patients."""

Tested = Mapping[tuple[int, int], Float64[np.ndarray, "quantities samples"]]
"""By size and seed of finished trainings: loss and, of a classifier, 1 where right, of each test sample."""


def learning_curve(cells: Sequence[Cell], tested: Tested, groups: Groups | None = None) -> LearningCurve:
    """Test loss and accuracy against size, the mean over seeds, with intervals, see `over_seeds`.

    Args:
        cells: of one task and one method. Diverged trainings are left out.
        tested: of these cells.
        groups: of the test samples.
    """
    finished = [cell for cell in cells if cell.status == "finished"]
    sizes = sorted({cell.size for cell in finished})

    def band(quantity: int) -> Band:
        values = [
            np.stack([tested[cell.size, cell.seed][quantity] for cell in finished if cell.size == size])
            for size in sizes
        ]
        return band_over_seeds(values, groups, is_share=quantity == 1)

    return LearningCurve(sizes=sizes, loss=band(0), accuracy=band(1))


def band_over_seeds(
    values: Sequence[Float64[np.ndarray, "_ samples"]], groups: Groups | None = None, is_share: bool = False
) -> Band:
    """The mean at each size with its interval, see `over_seeds`.

    Args:
        values: of each size, a row for each seed that has it.
        groups: of the test samples.
        is_share: they are 0 or 1.
    """
    found = [over_seeds(of_size, groups, is_share) for of_size in values]
    mean, low, high = (np.array([getattr(one, end) for one in found]) for end in ("value", "low", "high"))
    return Band(mean=mean, low=low, high=high)


def last_gain(cells: Sequence[Cell], tested: Tested, groups: Groups | None = None) -> Estimate | None:
    """What the last step of size gained in accuracy, over the seeds that have both; None where none has.

    Trainings of one seed are compared on the same test samples, so that the interval is that of the difference.

    Args:
        cells: of one task and one method.
        tested: of these cells.
        groups: of the test samples.
    """
    finished = {(cell.size, cell.seed) for cell in cells if cell.status == "finished"}
    return by_last_step({key: values for key, values in tested.items() if key in finished}, 1, groups)


def by_last_step(tested: Tested, quantity: int, groups: Groups | None = None) -> Estimate | None:
    """How much the last step of size raised a quantity, over the seeds that have both sizes; None where none has."""
    sizes = sorted({size for size, _ in tested})
    if len(sizes) < 2:
        return None
    before, largest = sizes[-2:]
    seeds = sorted(seed for size, seed in tested if size == largest and (before, seed) in tested)
    if not seeds:
        return None
    return over_seeds(
        np.stack([tested[largest, seed][quantity] - tested[before, seed][quantity] for seed in seeds]), groups
    )


def over_seeds(
    values: Float64[np.ndarray, "seeds samples"], groups: Groups | None = None, is_share: bool = False
) -> Estimate:
    r"""The mean over seeds and test samples, with an interval for other seeds and other test samples.

    All seeds are tested on the same S x n values. With the means :math:`a_s` of the seeds and :math:`m_i` of the
    samples, and the variance :math:`\sigma^2` of what neither explains, the half width is

    .. math::
        \sqrt{z^2\, \mathrm{SE}(m)^2
            + t^2 \max\Big( \frac{\mathrm{Var}(a)}{S} - \frac{\sigma^2}{S n}, 0 \Big)}

    with t of Student's distribution and z of the normal one; :math:`\mathrm{SE}(m)` counts those of a group as one
    observation. What neither explains is in the first term already. With one seed the second is unknown and left out,
    so that the interval is too narrow.

    Source: the two-way layout with random effects, S. Searle, G. Casella, C. McCulloch, "Variance Components", 1992,
    chapter 4.

    Args:
        values: of each seed and test sample.
        groups: of the test samples.
        is_share: they are 0 or 1. Where all are equal there is an error too, as with one more of each (A. Agresti, B.
            Coull, The American Statistician 52, 1998).

    Example:
        >>> found = over_seeds(np.array([[0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]]))
        >>> found.value, 0.4 < found.low < 0.75 < found.high
        (0.75, True)
    """
    seeds, samples = values.shape
    of_seeds, of_samples = values.mean(1), values.mean(0)
    mean = float(values.mean())
    sampling = standard_error(of_samples, groups) ** 2
    if is_share and mean in (0, 1):
        sampling = (samples + 1) / (samples + 2) ** 3
    between, t = 0.0, 0.0
    if seeds > 1:
        t = float(student.ppf((1 + CONFIDENCE) / 2, seeds - 1))
        rest = values - of_seeds[:, None] - of_samples + mean
        unexplained = float(np.square(rest).sum()) / ((seeds - 1) * (samples - 1))
        between = max(0.0, float(of_seeds.var(ddof=1)) / seeds - unexplained / (seeds * samples))
    half = math.sqrt(NORMAL**2 * sampling + t**2 * between)
    return Estimate(value=mean, low=mean - half, high=mean + half)
