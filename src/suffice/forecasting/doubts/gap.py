"""Is the loss gap, from which the slope is estimated, more than noise?"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from suffice.checks import Finding
from suffice.checks.registry import LOST_IN_NOISE, NEGATIVE_GAP
from suffice.forecasting.doubts.few_errors import rounded_up
from suffice.forecasting.slopes.slope import standard_error

NOISE = 0.6
"""n, the standard error of the gap over the gap, up to which intervals cover what they should."""

BOUND = 1.645
"""Standard errors to a one-sided 95% bound."""

AHEAD = 8
"""Times as many samples for which the largest possible gain is said."""


@dataclass(frozen=True)
class Gap:
    """The loss on unseen samples less the loss on training samples.

    Attributes:
        value: the gap.
        error: its standard error.
        unseen_variance: of one unseen sample's loss.
        own_part: the part of the squared error that more unseen samples leave.
        test_samples: unseen samples that it is from.
    """

    value: float
    error: float
    unseen_variance: float
    own_part: float
    test_samples: int

    @property
    def most(self) -> float:
        """The one-sided 95% bound."""
        return self.value + BOUND * self.error

    @property
    def noise(self) -> float:
        """n; infinite where the gap is not positive."""
        return self.error / self.value if self.value > 0 else math.inf


def gap_of(
    own: Float64[np.ndarray, " samples"],
    unseen: Float64[np.ndarray, " others"],
    paired: bool,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Gap:
    """The loss gap and its noise.

    Args:
        own: losses of the training samples.
        unseen: losses of samples that the models were not trained on.
        paired: whether they are of the same samples, as with folds.
        groups: copies among the training samples.

    Example:
        >>> gap = gap_of(np.array([0.1, 0.3, 0.2]), np.array([0.3, 0.5, 0.5]), paired=True)
        >>> round(gap.value, 3), round(gap.error, 3), round(gap.noise, 3)
        (0.233, 0.033, 0.143)
    """
    of_others = groups if paired else None
    value, own_part = float(unseen.mean() - own.mean()), standard_error(own, groups) ** 2
    error = standard_error(unseen - own, groups) if paired else math.hypot(standard_error(unseen), math.sqrt(own_part))
    test_samples = len(unseen) if of_others is None else len(np.unique(of_others))
    return Gap(value, error, float(unseen.var(ddof=1)), own_part, test_samples)


def largest_gain(gap: Gap, samples: float, trained_on: float, ahead: float = AHEAD) -> float:
    r"""The upper 95% bound of the fall in loss to some times as many samples, to first order in 1/k.

    .. math:: \frac{g + 1.645\,\epsilon}{1 / k + 1 / k_f} \left( \frac1k - \frac1{a k} \right)

    The loss at hand less this is a lower bound of the loss there.

    Args:
        gap: g and its standard error.
        samples: k, of the training whose own losses these are.
        trained_on: k_f, training samples of the models that saw none of the unseen samples.
        ahead: a.

    Example:
        >>> round(largest_gain(Gap(-0.01, 0.03, 1.0, 0.0, 100), samples=100, trained_on=100, ahead=math.inf), 4)
        0.0197
    """
    return gap.most / (1 / samples + 1 / trained_on) * (1 - 1 / ahead) / samples


def about_gap(gap: Gap, samples: float, trained_on: float) -> Finding | None:
    """SUF022 and SUF023: a gap within its noise, or one that is negative beyond it.

    Args:
        gap: as `gap_of` gives it.
        samples: k, of the training whose own losses these are.
        trained_on: k_f, training samples of the models that saw none of the unseen samples.

    Example:
        >>> print(about_gap(Gap(-0.01, 0.03, 0.09, 0.0, 100), samples=100, trained_on=100))
        SUF022: the loss gap is -0.01 with a standard error of 0.03: indistinguishable from zero; 8 times as many ...
        >>> about_gap(Gap(0.06, 0.03, 0.09, 0.0, 100), samples=100, trained_on=100)
    """
    if gap.noise <= NOISE:
        return None
    found = f"the loss gap is {gap.value:.2g} with a standard error of {gap.error:.2g}"
    if gap.most <= 0:
        return Finding(
            NEGATIVE_GAP,
            f"{found}: the loss on unseen samples is below that on training samples",
            "Give the samples that the model was trained on, and others like them that it was not",
        )
    most = largest_gain(gap, samples, trained_on)
    what = (
        f"{found}: indistinguishable from zero; {AHEAD} times as many samples lower the loss by at most {most:.2g} "
        "(95%)"
    )
    return Finding(LOST_IN_NOISE, what, f"If that is not worth the samples, stop; otherwise {_what_helps(gap)}")


def _what_helps(gap: Gap) -> str:
    """So many unseen samples that n would be 0.6, for a gap as large as it may be where it is not positive."""
    allowed = (NOISE * (gap.value if gap.value > 0 else gap.most)) ** 2 - gap.own_part
    if allowed <= 0:
        return "label more to train on: the losses of so few training samples are noise by themselves"
    return f"label about {rounded_up(gap.unseen_variance / allowed - gap.test_samples):,} more to test on"
