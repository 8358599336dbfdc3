r"""The spread of the per-sample losses, and its interval from m samples.

.. math:: \bar S^2 = \frac1q \sum_j S^2(w_j), \qquad S^2(w) = \frac1{m-1} \sum_i (l_i(w) - L_m(w))^2

Of samples with weights n_i, :math:`L_m = \sum n_i l_i / \sum n_i` is a ratio of two means, and its variance to first
order is :math:`S^2 / m` with the deviations :math:`(n_i / \bar n) (l_i - L_m)` (W. G. Cochran, "Sampling techniques",
3rd edition, 1977, section 6.3). That of :math:`n_i l_i / \bar n` would be several times as large, as it also has the
variance of the weights.
"""

import math
from functools import cached_property
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError

ROUNDING = 1e-12
"""A variance below this share of the estimate means equal losses."""

BLOCK = 64
"""Bootstrap samples that are held in memory at a time."""


class Spread:
    """Mean loss at the first probe, variances at all, and their bootstrap distribution over samples.

    Attributes:
        losses: (m, q), the first column at w*.
        relative_weights: n_i over their mean, (m,); ones by default.
        size: m.
        means: L_m at each probe, (q,).
        center_loss: the first of them: the mean loss at w*.
        variances: S^2 at each probe, (q,).
        variance: their mean.

    Raises:
        InputError: fewer than 3 samples.
    """

    def __init__(
        self,
        losses: Float64[np.ndarray, "samples probes"],
        resamples: int,
        seed: int,
        weights: Float64[np.ndarray, " samples"] | None = None,
    ) -> None:
        if len(losses) < 3:
            raise InputError(f"{len(losses)} samples: at least 3 are needed to estimate a variance")
        self.losses = losses
        self.size = len(losses)
        self.relative_weights = np.ones(self.size) if weights is None else weights / weights.mean()
        self._is_weighted = bool((self.relative_weights != 1).any())
        from_first = losses - losses[0]  # so that equal losses have a variance of exactly zero
        mean = (self.relative_weights[:, None] * from_first).mean(0)
        self.means: Float64[np.ndarray, " probes"] = losses[0] + mean
        self.center_loss = float(self.means[0])
        self._deviations = self.relative_weights[:, None] * (from_first - mean)
        self.variances: Float64[np.ndarray, " probes"] = np.square(self._deviations).sum(0) / (self.size - 1)
        self.variance = float(self.variances.mean())
        self._resamples = resamples
        self._seed = seed

    @property
    def coefficient_of_variation(self) -> float | None:
        """CV = S(w*) / L(w*); None where the mean loss is not positive."""
        return math.sqrt(self.variances[0]) / self.center_loss if self.center_loss > 0 else None

    def scale(self, relative: bool) -> float:
        """The factor of a tolerance: the mean loss at w*, or 1."""
        return self.center_loss if relative else 1.0

    def unusable_scale(self, confidence: float) -> str | None:
        """Why a tolerance relative to the mean loss at w* is undefined; None if it is defined."""
        error = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(self.variances[0] / self.size)
        if self.center_loss > error:
            return None
        return (
            f"the mean loss at w* is {self.center_loss:.3g} ± {error:.3g}, indistinguishable from zero; give an "
            "absolute tolerance, since one relative to it is undefined"
        )

    def open_end(self, confidence: float, relative: bool) -> str | None:
        """Why the interval has no upper end; None if it has one."""
        if math.isfinite(self.interval(confidence, relative)[1]):
            return None
        return "too few samples differ in their loss to bound its spread; give more samples"

    def interval(self, confidence: float, relative: bool) -> tuple[float, float]:
        r"""The interval of :math:`\bar S^2`, or of :math:`\bar S^2 / L(w^*)^2` if relative; it contains the estimate.

        The upper end is infinite where so few samples differ in their loss that many bootstrap samples miss them.

        The bootstrap-t interval of the logarithm: each bootstrap sample is studentised by its own standard error, since
        with heavy tails a sample that misses them also underestimates its error (B. Efron, R. Tibshirani, "An
        Introduction to the Bootstrap", 1993, section 12.5). benchmarks/coverage.py measures its coverage.
        """
        estimate = self.variance / self.scale(relative) ** 2
        if estimate == 0:
            return 0.0, 0.0
        error = float(self._log_error(self._moments(np.ones((1, self.size))), relative)[0])
        drawn = self._resampled
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.log(drawn.variance) - (2 * np.log(drawn.mean) if relative else 0)
            t = shift / self._log_error(drawn, relative)
        # where a draw has equal losses only, the samples may have missed all that differ: the upper end is open
        t = np.where(drawn.variance < ROUNDING, -np.inf, t)
        t = t[~np.isnan(t)]
        if error == 0 or len(t) == 0:
            return estimate, estimate
        tail = (1 - confidence) / 2
        high, low = np.exp(-error * np.quantile(t, [tail, 1 - tail], method="inverted_cdf")).tolist()
        return estimate * min(low, 1.0), estimate * max(high, 1.0)

    @cached_property
    def _resampled(self) -> "_Moments":
        """The moments of the bootstrap draws of m samples with replacement."""
        draw = np.random.default_rng(self._seed)
        counts = np.empty((BLOCK, self.size))
        blocks = []
        for start in range(0, self._resamples, BLOCK):
            block = counts[: self._resamples - start]
            for row in block:
                row[:] = np.bincount(draw.integers(self.size, size=self.size), minlength=self.size)
            blocks.append(self._moments(block))
        return _Moments(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _moments(self, counts: Float64[np.ndarray, "draws samples"]) -> "_Moments":
        """The moments of draws in which each sample comes so many times: one product of matrices."""
        means = counts @ self._columns / self.size
        centers, (square, fourth, cubic, center_square) = means[:, :-4], means[:, -4:].T
        shifts, squares = centers, square - np.square(centers).mean(1)
        if self._is_weighted:
            shifts, squares = self._of_ratios(counts, centers)
        variance = squares * self.size / (self.size - 1)
        return _Moments(
            mean=1 + shifts[:, 0] * math.sqrt(self.variance) / self.center_loss if self.center_loss else shifts[:, 0],
            # one sample drawn m times has no variance
            variance=np.where(counts.max(1) < self.size, np.maximum(variance, 0.0), np.nan),
            of_squares=fourth - square**2,
            of_both=cubic - square * centers[:, 0],
            of_losses=center_square - centers[:, 0] ** 2,
        )

    def _of_ratios(
        self, counts: Float64[np.ndarray, "draws samples"], centers: Float64[np.ndarray, "draws probes"]
    ) -> tuple[Float64[np.ndarray, "draws probes"], Float64[np.ndarray, " draws"]]:
        r"""By how much each draw moves L, and its mean square of :math:`(n_i / \bar n) (l_i - L)`, both its own.

        With e the standardised deviations, a the relative weights and :math:`\langle\cdot\rangle` means over the draw,
        they are :math:`\delta = \langle e \rangle / \langle a \rangle` and
        :math:`\langle (e - a \delta)^2 \rangle / \langle a \rangle^2`.
        """
        probes = centers.shape[1]
        means = counts @ self._weighted_columns / self.size
        products, (weight, weight_square, square) = means[:, :probes], means[:, probes:].T
        shifts = centers / weight[:, None]
        squares = square - (2 * shifts * products - shifts**2 * weight_square[:, None]).mean(1)
        return shifts, squares / weight**2

    @cached_property
    def _weighted_columns(self) -> Float64[np.ndarray, "samples columns"]:
        """a e at each probe, a, a^2, and the mean over probes of e^2."""
        deviations, relative = self._deviations / math.sqrt(self.variance), self.relative_weights
        own = relative[:, None] * deviations
        return np.column_stack([own, relative, relative**2, np.square(deviations).mean(1)])

    @cached_property
    def _columns(self) -> Float64[np.ndarray, "samples columns"]:
        r"""The standardised deviations e at each probe; their mean square s; then s^2, s e and e^2 with e those at w*.

        Of samples with weights, s is what each adds to :math:`\bar S^2`, to first order: L and the mean weight move
        with it as well, which adds :math:`-2 \langle a e \rangle e - 2 (a - 1)` with a the relative weights.
        """
        deviations = self._deviations / math.sqrt(self.variance)
        center, square = deviations[:, 0], np.square(deviations).mean(1)
        if self._is_weighted:
            products = (self.relative_weights[:, None] * deviations).mean(0)
            square = square - 2 * (deviations * products).mean(1) - 2 * (self.relative_weights - 1) * square.mean()
        return np.column_stack([deviations, square, square**2, square * center, center**2])

    def _log_error(self, drawn: "_Moments", relative: bool) -> Float64[np.ndarray, " draws"]:
        r"""The standard error of :math:`\log \bar S^2`, or of :math:`\log \bar S^2 - 2 \log L` if relative.

        By the delta method: m times its square is the variance over samples of s/V, or of s/V - 2 l/L.
        """
        total = drawn.of_squares / drawn.variance**2
        if relative:
            slope = 2 * math.sqrt(self.variance) / (self.center_loss * drawn.mean)
            total = total - 2 * slope * drawn.of_both / drawn.variance + slope**2 * drawn.of_losses
        return np.asarray(np.sqrt(np.maximum(total, 0.0) / self.size))


class _Moments(NamedTuple):
    """Of draws of samples, (draws,) each, in units of those of the samples themselves.

    With l the loss at w* and s the mean over probes of the squared deviations: the mean of l, the spread V, and the
    variances and the covariance of s and l.
    """

    mean: Float64[np.ndarray, " draws"]
    variance: Float64[np.ndarray, " draws"]
    of_squares: Float64[np.ndarray, " draws"]
    of_both: Float64[np.ndarray, " draws"]
    of_losses: Float64[np.ndarray, " draws"]
