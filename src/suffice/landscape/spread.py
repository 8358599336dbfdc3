r"""The spread of the per-sample losses, and its interval from m samples.

.. math:: \bar S^2 = \frac1q \sum_j S^2(w_j), \qquad S^2(w) = \frac1{m-1} \sum_i (l_i(w) - L_m(w))^2
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
        size: m.
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
        from_first = losses - losses[0]  # so that equal losses have a variance of exactly zero
        self.means: Float64[np.ndarray, " probes"] = losses[0] + from_first.mean(0)
        self.center_loss = float(self.means[0])
        self._deviations = from_first - from_first.mean(0)
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
        shifts, (square, fourth, cubic, center_square) = means[:, :-4], means[:, -4:].T
        variance = (square - np.square(shifts).mean(1)) * self.size / (self.size - 1)
        return _Moments(
            mean=1 + shifts[:, 0] * math.sqrt(self.variance) / self.center_loss if self.center_loss else shifts[:, 0],
            # one sample drawn m times has no variance
            variance=np.where(counts.max(1) < self.size, np.maximum(variance, 0.0), np.nan),
            of_squares=fourth - square**2,
            of_both=cubic - square * shifts[:, 0],
            of_losses=center_square - shifts[:, 0] ** 2,
        )

    @cached_property
    def _columns(self) -> Float64[np.ndarray, "samples columns"]:
        """The standardised deviations at each probe; their mean square s; then s^2, s l and l^2 with l those at w*."""
        deviations = self._deviations / math.sqrt(self.variance)
        center, square = deviations[:, 0], np.square(deviations).mean(1)
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
