r"""The spread of the per-sample losses, and what is known of it from m samples.

.. math:: \bar S^2 = \frac1q \sum_j S^2(w_j), \qquad S^2(w) = \frac1{m-1} \sum_i (l_i(w) - L_m(w))^2
"""

import math
from functools import cached_property
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError

NORMAL = NormalDist()

BLOCK = 64
"""Bootstrap draws that are held at a time."""


class Spread:
    """Mean loss at the first probe, variances at all, and their bootstrap distribution over samples.

    Attributes:
        losses: (m, q), the first column at w*.
        means: L_m at each probe, (q,).
        center_loss: the first of them: the mean loss at w*.
        variances: S^2 at each probe, (q,).
        variance: their mean.

    Raises:
        InputError: fewer than 3 samples.
    """

    def __init__(self, losses: Float64[np.ndarray, "samples probes"], resamples: int, seed: int) -> None:
        if len(losses) < 3:
            raise InputError(f"{len(losses)} samples: at least 3 are needed to estimate a variance")
        self.losses = losses
        self.size = len(losses)
        self.means: Float64[np.ndarray, " probes"] = losses.mean(0)
        self.center_loss = float(self.means[0])
        self._deviations = losses - self.means
        squares = np.square(self._deviations)
        self._squares = squares.mean(1)
        self.variances: Float64[np.ndarray, " probes"] = squares.sum(0) / (self.size - 1)
        self.variance = float(self.variances.mean())
        self._resamples = resamples
        self._seed = seed

    @property
    def coefficient_of_variation(self) -> float | None:
        """CV = S(w*) / L(w*); None where the mean loss is not positive."""
        return math.sqrt(self.variances[0]) / self.center_loss if self.center_loss > 0 else None

    def scale(self, relative: bool) -> float:
        """What a tolerance is multiplied with: the mean loss at w*, or 1."""
        return self.center_loss if relative else 1.0

    def unusable_scale(self, confidence: float) -> str | None:
        """Why a tolerance relative to the mean loss at w* has no meaning, or None if it has."""
        error = NORMAL.inv_cdf((1 + confidence) / 2) * math.sqrt(self.variances[0] / self.size)
        if self.center_loss > error and math.isfinite(self.interval(confidence, relative=True)[1]):
            return None
        return (
            f"the mean loss at w* is {self.center_loss:.3g} with an error of {error:.3g}, so it may be zero, and a "
            "tolerance relative to it has no meaning; give an absolute one"
        )

    def interval(self, confidence: float, relative: bool) -> tuple[float, float]:
        r"""The interval of :math:`\bar S^2`, or of :math:`\bar S^2 / L(w^*)^2` if relative.

        The BCa bootstrap over samples: percentiles, corrected for the bias and the skewness of the estimate (B. Efron,
        "Better Bootstrap Confidence Intervals", JASA 1987, section 4). It always holds the estimate itself.
        """
        means, variances = self._resampled
        estimate, drawn = self.variance, variances
        influence = self._squares - self._squares.mean()
        if relative:
            estimate = estimate / self.center_loss**2
            # a draw whose mean loss vanishes says that the ratio may be anything
            drawn = np.divide(variances, means**2, out=np.full_like(means, np.inf), where=means > 0)
            influence = influence - 2 * self.variance / self.center_loss * self._deviations[:, 0]
        total = float((influence**2).sum())
        skewness = float((influence**3).sum()) / (6 * total**1.5) if total > 0 else 0.0
        below = (np.count_nonzero(drawn < estimate) + 0.5 * np.count_nonzero(drawn == estimate)) / len(drawn)
        bias = NORMAL.inv_cdf(min(max(below, 1 / len(drawn)), 1 - 1 / len(drawn)))
        ends = []
        for level in ((1 - confidence) / 2, (1 + confidence) / 2):
            shifted = bias + NORMAL.inv_cdf(level)
            share = NORMAL.cdf(bias + shifted / (1 - skewness * shifted))
            with np.errstate(invalid="ignore"):  # between two infinite draws lies nan
                ends.append(float(np.quantile(drawn, share)))
        return min(ends[0], estimate), max(ends[1], estimate)

    @cached_property
    def _resampled(self) -> tuple[Float64[np.ndarray, " draws"], Float64[np.ndarray, " draws"]]:
        """Mean loss at w* and mean variance of each bootstrap draw, as products with the counts of the samples."""
        draw = np.random.default_rng(self._seed)
        columns = np.column_stack([self._deviations, self._squares])
        sums = np.empty((self._resamples, columns.shape[1]))
        for start in range(0, self._resamples, BLOCK):
            counts = np.stack(
                [
                    np.bincount(draw.integers(self.size, size=self.size), minlength=self.size)
                    for _ in range(start, min(start + BLOCK, self._resamples))
                ]
            )
            sums[start : start + BLOCK] = counts.astype(np.float64) @ columns
        shifts = sums[:, :-1] / self.size
        variances = (sums[:, -1] - self.size * np.square(shifts).mean(1)) / (self.size - 1)
        return self.center_loss + shifts[:, 0], np.maximum(variances, 0.0)
