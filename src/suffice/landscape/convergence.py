r"""How the loss surface settles: all curves in k from one ledger, by cumulative sums and exact expectations.

With :math:`L_k(w)` the mean loss of the first k of m samples at w, :math:`S^2(w)` the unbiased variance of the
per-sample losses, and expectations over all orders of the samples, at any w:

- difference: :math:`\mathbb E (L_{k+1} - L_k)^2 = S^2 / (k (k+1))`
- remaining within the samples: :math:`\mathbb E (L_k - L_m)^2 = S^2 (1/k - 1/m)`
- remaining against the population: :math:`\mathbb E (L_k - L_\infty)^2 = S^2 / k`, where w does not depend on the
samples

Averaged over the probes, all of them follow from one number, the spread :math:`\bar S^2`, the mean over probes of
S^2(w).

Of samples with weights n_i, such as the tokens of answers, :math:`L_k = \sum_{i \le k} n_i l_i / N_k` with
:math:`N_k = \sum_{i \le k} n_i`, and exactly

.. math:: L_{k+1} - L_k = \frac{n_{k+1}}{N_{k+1}} (l_{k+1} - L_k)

The three expectations then hold to first order only, with the variance of :math:`(n_i / \bar n) (l_i - L_m)` as
:math:`S^2(w)` (see `Spread`), and are refused for k below 20.
"""

import math
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from suffice.curvature import Gaps, Spreads
from suffice.errors import InputError
from suffice.landscape.bound import Bound, bound, typical_bound
from suffice.landscape.ledger import Ledger
from suffice.landscape.spread import Spread
from suffice.results import Criterion, SettlingCurves, SufficientSize
from suffice.shown import Shown

Curve: TypeAlias = Float64[np.ndarray, " sizes"]

CRITERIA: tuple[Criterion, ...] = ("remaining", "difference")
"""The headline first."""

TOLERANCE = 0.05
"""Share of the loss at w* for which the sizes are shown where nobody asks for another."""

LEAST_WEIGHTED = 20
"""k from which on the mean of samples with weights, a ratio of two sums, behaves as its expansion to first order."""

LARGEST_EXACT = 2**52
"""Above this, float64 does not separate consecutive integers."""


class Convergence(Shown):
    """The curves of one ledger, their intervals, and the sufficient sizes.

    Args:
        ledger: losses of the m samples in the order that k counts; the first probe is w*.
        held_out: losses at the same probes of samples that w* was not fitted to. Where given, S^2 against the
            population comes from them, since S^2 over the training samples of w* is too small.
        confidence: confidence of the intervals and bands.
        resamples: number of bootstrap samples for the intervals.
        seed: random seed of the bootstrap and the orders.

    Raises:
        InputError: ledgers with different probes, or of which one has samples with weights; weights and no more than
            20 samples; or a confidence outside (0, 1).

    Example:
        >>> import numpy as np, torch, suffice
        >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
        >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
        >>> curves = suffice.Convergence(suffice.record(problem, suffice.Probes.sphere(problem)))
        >>> curves.difference([10, 20]).shape, curves.in_order([10, 20]).shape
        ((2,), (2, 9))
        >>> curves.sufficient_size(0.05).status in ("reached", "extrapolated", "cannot_tell")
        True
    """

    def __init__(
        self,
        ledger: Ledger,
        held_out: Ledger | None = None,
        confidence: float = 0.9,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        if not 0 < confidence < 1:
            raise InputError(f"confidence = {confidence}: must lie between 0 and 1")
        if held_out is not None and not np.array_equal(held_out.distance, ledger.distance):
            raise InputError("the two ledgers have different probes")
        if resamples < 2:
            raise InputError(f"resamples = {resamples}: at least 2 are needed for an interval")
        self._is_weighted = _has_weights(ledger)
        if held_out is not None and _has_weights(held_out) != self._is_weighted:
            raise InputError("samples of one ledger have weights and those of the other none: measure both alike")
        if self._is_weighted:
            check_enough(len(ledger.index))
        self.ledger = ledger
        self.confidence = confidence
        self.seed = seed
        self.sample = Spread(ledger.losses, resamples, seed, ledger.sample_weights)
        self.population = (
            self.sample if held_out is None else Spread(held_out.losses, resamples, seed, held_out.sample_weights)
        )

    def plain(self) -> SettlingCurves:
        """The curves at `log_sizes` with their intervals, and the sizes to 5% of the loss at w* by both criteria.

        Example:
            >>> import torch, suffice
            >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
            >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
            >>> curves = suffice.Convergence(suffice.record(problem, suffice.Probes.sphere(problem)))
            >>> curves.to_dataframe()["samples k"].max()
            np.int64(49)
        """
        sizes = self.log_sizes()
        difference, population = self.difference(sizes), self.remaining(sizes, population=True)
        return SettlingCurves(
            samples=self.sample.size,
            sizes=sizes.tolist(),
            difference=difference.tolist(),
            difference_interval=bounded(self.interval(difference)),
            remaining=self.remaining(sizes).tolist(),
            remaining_population=population.tolist(),
            remaining_population_interval=bounded(self.interval(population, population=True)),
            null=self.null(sizes).tolist(),
            sufficient_sizes=[self.sufficient_size(TOLERANCE, criterion) for criterion in CRITERIA],
            confidence=self.confidence,
        )

    def difference(self, sizes: ArrayLike) -> Curve:
        r"""Typical change by one more sample: :math:`\sqrt{\bar S^2 / (k (k+1))}`."""
        return np.sqrt(self.sample.variance / _pairs(self._checked(sizes)))

    def remaining(self, sizes: ArrayLike, population: bool = False) -> Curve:
        r"""Distance to the end: :math:`\sqrt{\bar S^2 (1/k - 1/m)}`, or :math:`\sqrt{\bar S^2/k}` (population)."""
        k = self._checked(sizes)
        if population:
            return np.sqrt(self.population.variance / k)
        return np.sqrt(self.sample.variance * (1 / k - 1 / self.sample.size))

    def null(self, sizes: ArrayLike) -> Curve:
        r"""The difference at w* alone: :math:`S(w^*) / \sqrt{k (k+1)}`. Deviations from it are geometry."""
        center: float = self.sample.variances[0]
        return np.sqrt(center / _pairs(self._checked(sizes)))

    def in_order(
        self, sizes: ArrayLike, order: Int64[np.ndarray, " samples"] | None = None
    ) -> Float64[np.ndarray, "sizes probes"]:
        """``|L_{k+1} - L_k|`` at each probe along one order of the samples: by default the ledger's."""
        k = self._checked(sizes, least=1)
        if order is not None and not np.array_equal(np.sort(order), np.arange(self.sample.size)):
            raise InputError(f"order must be a permutation of 0 ... {self.sample.size - 1}")
        rows = np.arange(self.sample.size) if order is None else order
        return _steps(self.sample.losses, self.ledger.sample_weights, rows, k)

    def bound(self, gaps: Gaps, radius: float) -> Bound:
        """The bound on `in_order` at a distance from w*, term by term, from gaps measured at w*.

        Args:
            gaps: by `suffice.curvature.gaps` of the same problem.
            radius: distance from w* relative to its norm.

        Raises:
            InputError: gaps of other samples, weights or another order than the ledger's; a radius below 0.

        Example:
            >>> import torch, suffice
            >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
            >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
            >>> curves = suffice.Convergence(suffice.record(problem, suffice.Probes.sphere(problem, radius=0.05)))
            >>> gaps = suffice.curvature.gaps(problem, [10, 20, 49])
            >>> bool((curves.bound(gaps, 0.05).total >= curves.in_order(gaps.sizes).max(1)).all())
            True
        """
        measured = self.in_order(gaps.sizes)[:, 0] * gaps.ratio
        are_same = np.allclose(gaps.loss, measured, rtol=1e-3, atol=1e-4 * self.sample.center_loss)
        if not (are_same and self._is_around(gaps.center_norm)):
            raise InputError("the gaps are not those of the ledger: measure both on one problem, at the same weights")
        return bound(gaps, radius)

    def typical_bound(self, spreads: Spreads, radius: float, sizes: ArrayLike) -> Bound:
        """The bound on `difference` at a distance from w*, term by term, from spreads measured at w*.

        Args:
            spreads: by `suffice.curvature.spreads` of the same problem.
            radius: distance from w* relative to its norm.
            sizes: k.

        Raises:
            InputError: spreads of other samples or weights than the ledger's; samples with weights; a radius below 0.
        """
        self._check(spreads)
        return typical_bound(spreads, radius, self._checked(sizes))

    def size_by_bound(self, spreads: Spreads, radius: float, tolerance: float, relative: bool = True) -> int:
        r"""k* by the bound: the smallest k from which on `typical_bound` stays within a tolerance.

        .. math:: k (k+1) \ge \left( \frac{S_l + \rho S_g + \tfrac12 \rho^2 S_h}{\varepsilon} \right)^2

        It may lie beyond the samples. Within the range of the expansion to second order it is at least k* by
        "difference" at the same distance.

        Args:
            spreads: by `suffice.curvature.spreads` of the same problem.
            radius: distance from w* relative to its norm.
            tolerance: :math:`\varepsilon`; times the mean loss at w* if ``relative``.
            relative: the tolerance is a share of that loss.

        Raises:
            InputError: as `typical_bound`; a tolerance that is not positive, or so small that no k is finite; a
                relative one where the mean loss at w* is not clearly positive.

        Example:
            >>> import torch, suffice
            >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
            >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
            >>> curves = suffice.Convergence(suffice.record(problem, suffice.Probes.sphere(problem, radius=0.05)))
            >>> size = curves.size_by_bound(suffice.curvature.spreads(problem), 0.05, 0.05)
            >>> size >= curves.sufficient_size(0.05, "difference").size
            True
        """
        _check_tolerance(tolerance)
        self._check(spreads)
        reason = self.sample.unusable_scale(self.confidence) if relative else None
        if reason:
            raise InputError(f"no sufficient size: {reason}")
        one = typical_bound(spreads, radius, np.array([1])).total[0]
        size = _smallest("difference", 2 * one**2, tolerance * self.sample.scale(relative))
        if size is None:
            raise InputError(f"tolerance = {tolerance}: too small for these losses")
        return size

    def _check(self, spreads: Spreads) -> None:
        if self._is_weighted:
            raise InputError("there is no typical bound for samples with weights: take bound, with gaps")
        are_same = np.isclose(spreads.loss, np.sqrt(self.sample.variances[0]), rtol=1e-3)
        if not (are_same and self._is_around(spreads.center_norm)):
            raise InputError("the spreads are not those of the ledger: measure both on one problem, at one w*")

    def _is_around(self, center_norm: float) -> bool:
        """Of other moving parameters w* has another norm."""
        return bool(np.isclose(center_norm, self.ledger.center_norm, rtol=1e-3))

    def log_sizes(self, count: int = 30) -> Int64[np.ndarray, " sizes"]:
        """At most ``count`` sizes from 1 to m - 1, evenly spaced on a log axis, without repetition.

        Of samples with weights they begin at 20.
        """
        return np.unique(np.geomspace(self.least, self.sample.size - 1, count).round().astype(np.int64))

    def source_order(self) -> Int64[np.ndarray, " samples"]:
        """The permutation of the ledger's rows that restores the order of the data set, for `in_order`."""
        return np.argsort(self.ledger.index)

    def interval(self, curve: Curve, population: bool = False) -> Float64[np.ndarray, "2 sizes"]:
        """The bootstrap interval of one of the curves, over samples.

        All curves are proportional to the spread, so its bootstrap distribution gives the intervals of all.
        """
        spread = self.population if population else self.sample
        low, high = spread.interval(self.confidence, relative=False)
        return np.sqrt(np.stack([curve**2 * low, curve**2 * high]) / (spread.variance or 1.0))

    def band(self, sizes: ArrayLike, orders: int = 200) -> Float64[np.ndarray, "2 sizes"]:
        """Quantiles over random orders of the samples of `in_order`, as root mean square over probes, at each size."""
        k = self._checked(sizes, least=1)
        draw = np.random.default_rng(self.seed)
        curves, weights = np.empty((orders, len(k))), self.ledger.sample_weights
        for curve in curves:
            curve[:] = root_mean_square(_steps(self.sample.losses, weights, draw.permutation(self.sample.size), k))
        tail = (1 - self.confidence) / 2
        return np.quantile(curves, [tail, 1 - tail], axis=0)

    def exchangeability(self, orders: int = 199) -> float:
        r"""The p-value of a permutation test of exchangeability: the data set's own order against random ones.

        The statistic is the largest :math:`|\sum_{i \le k} n_i (l_i - L_m)|` over k at w*, which is
        large for sorted or drifting data (the cumulative sum test of E. S. Page, "Continuous Inspection Schemes",
        Biometrika 1954).
        """
        centered = self.sample.relative_weights * (self.sample.losses[:, 0] - self.sample.center_loss)
        centered = centered[self.source_order()]
        draw = np.random.default_rng(self.seed)
        drawn = [_largest_sum(draw.permutation(centered)) for _ in range(orders)]
        # equal sums in another order differ by rounding
        observed = _largest_sum(centered) - 1e-9 * np.abs(centered).sum()
        return (1 + sum(bool(value >= observed) for value in drawn)) / (1 + orders)

    def sufficient_size(
        self, tolerance: float, criterion: Criterion = "remaining", relative: bool = True
    ) -> SufficientSize:
        r"""The smallest k from which on a criterion stays within a tolerance.

        "remaining", against the population: :math:`\lceil \bar S^2/\varepsilon^2 \rceil`; "difference": the smallest k
        with :math:`k (k+1) \ge \bar S^2/\varepsilon^2`. Both curves fall, so the first k within the tolerance is k*.

        Args:
            tolerance: positive; times the mean loss at w* if ``relative``.
            criterion: "remaining" or "difference".
            relative: the status is ``cannot_tell`` if the mean loss at w* is not clearly positive.

        Raises:
            InputError: a tolerance that is not positive, or another criterion.
        """
        if criterion not in ("remaining", "difference"):
            raise InputError(f"criterion is 'remaining' or 'difference', not {criterion!r}")
        _check_tolerance(tolerance)
        spread = self.population if criterion == "remaining" else self.sample
        asked = {"criterion": criterion, "tolerance": tolerance, "relative": relative, "confidence": self.confidence}
        reason = spread.unusable_scale(self.confidence) if relative else None
        sizes = None if reason else self._sizes(spread, criterion, tolerance, relative)
        if sizes is not None and sizes[1] < self.least:
            sizes = None
            reason = (
                f"fewer than {LEAST_WEIGHTED} by the formula, which holds from there on for samples with weights; give "
                "a smaller tolerance, or leave the weights out (--unit sample)"
            )
        if sizes is None:
            reason = reason or spread.open_end(self.confidence, relative)
            reason = reason or "the tolerance is too small for these losses"
            return SufficientSize(
                **asked,
                size=None,
                low=None,
                high=None,
                status="cannot_tell",
                explanation=f"Cannot tell how many samples are enough: {reason}.",
            )
        low, size, high = sizes
        return SufficientSize(
            **asked,
            size=size,
            low=low,
            high=high,
            status="reached" if size <= self.sample.size else "extrapolated",
            explanation=self._explain(criterion, tolerance, relative, sizes),
        )

    def _sizes(
        self, spread: Spread, criterion: Criterion, tolerance: float, relative: bool
    ) -> tuple[int, int, int] | None:
        """The interval and k* in between; None where one of them is not finite."""
        size = _smallest(criterion, spread.variance, tolerance * spread.scale(relative))
        low, high = (_smallest(criterion, end, tolerance) for end in spread.interval(self.confidence, relative))
        if low is None or size is None or high is None:
            return None
        # the interval holds the estimate, but for rounding
        return min(low, size), size, max(high, size)

    def _explain(self, criterion: Criterion, tolerance: float, relative: bool, sizes: tuple[int, int, int]) -> str:
        low, size, high = sizes
        within = f"{tolerance:.4g}"
        if relative:
            of_held_out = criterion == "remaining" and self.population is not self.sample
            within = f"{100 * tolerance:.4g}% of the {'held-out loss' if of_held_out else 'loss'} at w*"
        if criterion == "remaining":
            what = f"the mean loss typically differs from its value over unlimited data by less than {within}"
        else:
            what = f"one more sample typically moves the mean loss by less than {within}"
        held_out = "" if self.population is self.sample else f" and {self.population.size:,} set aside"
        beyond = "" if size <= self.sample.size else ", so this is extrapolated"
        start = (
            f"From {size:,} sample{'' if size == 1 else 's'} on ({self.confidence:.0%} interval {low:,} to {high:,})"
        )
        return f"{start}, {what}; you have {self.sample.size:,}{held_out}{beyond}."

    @property
    def least(self) -> int:
        """The smallest size of the curves: 1, or 20 for samples with weights."""
        return LEAST_WEIGHTED if self._is_weighted else 1

    def _checked(self, sizes: ArrayLike, least: int | None = None) -> Int64[np.ndarray, " sizes"]:
        least = self.least if least is None else least
        k = np.atleast_1d(np.asarray(sizes))
        if k.ndim != 1 or k.size == 0 or not np.issubdtype(k.dtype, np.integer):
            raise InputError("sizes must be a list of integers")
        if k.min() < least or k.max() >= self.sample.size:
            why = ", as of samples with weights the formulas hold to first order only" if least > 1 else ""
            raise InputError(
                f"sizes must be {least} to {self.sample.size - 1}, less than the {self.sample.size} samples{why}"
            )
        return k.astype(np.int64)


def check_enough(samples: int) -> None:
    """Refuses samples with weights that are too few for curves.

    Raises:
        InputError: there are not more than 20.
    """
    if samples <= LEAST_WEIGHTED:
        raise InputError(
            f"{samples} samples with weights: curves begin at {LEAST_WEIGHTED}, as the formulas hold to first order; "
            "give more samples, or leave the weights out (--unit sample)"
        )


def bounded(interval: Float64[np.ndarray, "2 sizes"]) -> tuple[list[float], list[float]] | None:
    """An interval as lists, low and high; None if it has no upper end."""
    return (interval[0].tolist(), interval[1].tolist()) if np.isfinite(interval).all() else None


def root_mean_square(steps: Float64[np.ndarray, "sizes probes"]) -> Curve:
    """Root mean square over the probes."""
    curve: Curve = np.sqrt(np.square(steps).mean(1))
    return curve


def _check_tolerance(tolerance: float) -> None:
    if not (tolerance > 0 and math.isfinite(tolerance)):
        raise InputError(f"tolerance = {tolerance}: must be positive and finite")


def _has_weights(ledger: Ledger) -> bool:
    return bool((ledger.sample_weights != 1).any())


def _largest_sum(centered: Float64[np.ndarray, " samples"]) -> float:
    return float(np.abs(np.cumsum(centered)).max())


def _pairs(k: Int64[np.ndarray, " sizes"]) -> Curve:
    return k * (k + 1.0)


def _steps(
    losses: Float64[np.ndarray, "samples probes"],
    weights: Float64[np.ndarray, " samples"],
    order: Int64[np.ndarray, " samples"],
    k: Int64[np.ndarray, " sizes"],
) -> Float64[np.ndarray, "sizes probes"]:
    """|L_{k+1} - L_k| in an order, as |l_{k+1} - L_k| n_{k+1} / N_{k+1}: no difference of nearly equal means."""
    ends, index = np.unique(k, return_inverse=True)
    ordered = weights[order]
    # sums from one size to the next, as a product with a sparse matrix, which needs no copy of the losses in order
    segments = csr_array(
        (ordered[: ends[-1]], order[: ends[-1]], np.concatenate([[0], ends])), (len(ends), len(losses))
    )
    sums, totals = (segments @ losses).cumsum(0), ordered.cumsum()
    gaps = np.abs(losses[order[ends]] - sums / totals[ends - 1, None])
    steps: Float64[np.ndarray, "ends probes"] = gaps * ordered[ends, None] / totals[ends, None]
    return np.take(steps, index, axis=0)


def _settles(criterion: Criterion, variance: float, k: int, tolerance: float) -> bool:
    return math.sqrt(variance / (k if criterion == "remaining" else k * (k + 1.0))) <= tolerance


def _smallest(criterion: Criterion, variance: float, tolerance: float) -> int | None:
    """The smallest k at which a criterion is within the tolerance; None if it is not finite."""
    ratio = math.sqrt(variance) / tolerance if tolerance > 0 else math.inf
    if not math.isfinite(ratio * ratio):
        return None
    least = math.ceil(ratio * ratio)
    k = max(1, least if criterion == "remaining" else (math.isqrt(4 * least + 1) - 1) // 2)
    if k >= LARGEST_EXACT:
        return k
    # the estimate is right up to rounding: make it agree with the curves to the last bit
    while not _settles(criterion, variance, k, tolerance):
        k += 1
    while k > 1 and _settles(criterion, variance, k - 1, tolerance):
        k -= 1
    return k
