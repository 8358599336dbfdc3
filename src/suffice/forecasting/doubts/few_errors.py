"""How well is the accuracy known where a model makes few errors?"""

import math

from scipy.special import betaincinv

from suffice.checks import Finding
from suffice.checks.registry import FEW_ERRORS, NO_ERRORS

ENOUGH = 10
"""Errors from which on the relative standard error of the error rate is below a third."""

ONE_SIDED, CONFIDENCE = 0.95, 0.9
"""Confidence of a bound, and of an interval with both ends: the bound is its better end."""


def accuracy_interval(errors: int, samples: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    r"""The exact interval of an accuracy from a count of errors.

    With e errors in n samples and tails of :math:`\alpha / 2`, the error rate is between the
    :math:`\alpha / 2` quantile of Beta(e, n - e + 1) and the :math:`1 - \alpha / 2` quantile of Beta(e + 1, n - e).

    Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 1934.

    Args:
        errors: e.
        samples: n.
        confidence: 1 - alpha; it covers at least that.

    Example:
        >>> low, high = accuracy_interval(0, 40)
        >>> round(low, 4), high  # 0.05 ** (1 / 40)
        (0.9278, 1.0)
    """
    tail = (1 - confidence) / 2
    most = 1.0 if errors == samples else float(betaincinv(errors + 1, samples - errors, 1 - tail))
    least = 0.0 if errors == 0 else float(betaincinv(errors, samples - errors + 1, tail))
    return 1 - most, 1 - least


def about_errors(errors: int, samples: int) -> Finding | None:
    """SUF018 and SUF019: no errors on unseen samples, or fewer than ten.

    Args:
        errors: on unseen samples; copies count once.
        samples: the unseen samples.

    Example:
        >>> print(about_errors(0, 40))
        SUF018: no errors in 40 unseen samples: the accuracy is above 92.7% (95% confidence); how much more samples ...
        >>> about_errors(10, 40)
    """
    if errors >= ENOUGH:
        return None
    low, high = accuracy_interval(errors, samples)
    # so many that ten errors are expected at the largest error rate that the samples allow
    more = rounded_up(ENOUGH / (1 - low) - samples)
    remedy = f"Label about {more:,} more samples to test on"
    if errors == 0:
        what = (
            f"no errors in {samples:,} unseen samples: the accuracy is above {_floor(low)} ({ONE_SIDED:.0%} "
            "confidence); how much more samples would raise it cannot be told"
        )
        return Finding(NO_ERRORS, what, remedy)
    some = "1 error" if errors == 1 else f"{errors} errors"
    what = (
        f"{some} in {samples:,} unseen samples: the accuracy is {_floor(low)} to {_ceiling(high)} "
        f"({CONFIDENCE:.0%} interval)"
    )
    return Finding(FEW_ERRORS, what, remedy)


def rounded_up(number: float) -> int:
    """At least 1, rounded up to two digits.

    Example:
        >>> rounded_up(1234.0), rounded_up(0.3)
        (1300, 1)
    """
    whole = max(1, math.ceil(number))
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return math.ceil(whole / unit) * unit


def _floor(share: float) -> str:
    return f"{math.floor(1000 * share) / 10:.1f}%"


def _ceiling(share: float) -> str:
    return f"{math.ceil(1000 * share) / 10:.1f}%"
