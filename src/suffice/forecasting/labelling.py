r"""The learning curve of someone who labels in batches, and what twice the labels would bring.

Scores of looks share two kinds of noise, which a curve through scores of separate trainings does not have:

- The hold-out is the same at each look. Its noise has the covariance :math:`\Sigma_{jk} / n` of the scores of its n
  samples. Where only standard errors are known, looks are taken to be correlated by
  :math:`\rho_0 \sqrt{\min(t_j, t_k) / \max(t_j, t_k)}`, as they were on the development tasks of
  ``benchmarks/stopping.py``.
- Training sets are nested. What is accidental in t labels is carried on: the noise of two looks is correlated by
  :math:`\min(t_j, t_k) / \max(t_j, t_k)`, as squares of means of nested samples are.

With these covariances the posterior is that of `suffice.forecasting.scores`. Its curves bend as those of others do, and
where a curve does not, they bend too much. So gains are looked at in a second way that knows no family: the gain of the
last doubling, as the posterior has it, times the ratio of consecutive gains, which is log-normal as it was among the
curves of LCDB (median 0.72, 90% between 0.2 and 1.7 where gains are well above their noise).
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError
from suffice.forecasting.posterior import Units, units
from suffice.forecasting.scores import FAMILY, MOST_SCORES, curves_given, in_falling, refuse_worse
from suffice.forecasting.shapes import shape_prior
from suffice.results import Curve, Metric

CORRELATED: dict[Metric, float] = {"error": 0.85, "accuracy": 0.85, "loss": 0.97, "score": 0.85}
"""rho_0: of the score of a sample between two looks with the same labels, by the metric."""

WEIGHT = 50.0
"""Samples that the assumed covariance counts as, beside those of the hold-out: few of them change between looks."""

AGAIN = 0.75, 0.5
"""Median of the gain of a doubling over that of the one before, and the standard deviation of its logarithm."""


def labelling_curve(
    sizes: Float64[np.ndarray, " looks"],
    scores: Float64[np.ndarray, " looks"],
    metric: Metric,
    errors: Float64[np.ndarray, " looks"] | None = None,
    samples: Float64[np.ndarray, "looks holdout"] | None = None,
    seed: int = 0,
    kind: str = "any",
) -> Curve:
    """The curve behind the scores of looks with nested labels and one hold-out.

    Args:
        sizes: labels at each look, rising.
        scores: on the hold-out.
        metric: of the scores.
        errors: standard errors of the scores for the hold-out; neither these nor samples, where nothing is known.
        samples: the score of each sample of the hold-out.
        seed: of the draws.
        kind: of learner, as in `suffice.forecasting.forecast_scores`.

    Raises:
        InputError: scores that are all the same, or get worse with more labels.

    Example:
        >>> t = np.array([100.0, 200, 300, 400, 500, 600])
        >>> curve = labelling_curve(t, 1 - 0.1 - 2 / np.sqrt(t), "accuracy", errors=np.full(6, 0.01))
        >>> now, doubled = curve.at([600, 1200]).mean
        >>> bool(0.01 < doubled - now < 0.03)  # 0.024
        True
    """
    if np.ptp(scores) == 0:
        raise InputError(f"all {len(scores)} scores are {scores[0]:g}: they say nothing about more labels")
    if len(scores) > MOST_SCORES:
        raise InputError(f"{len(scores)} looks: at most {MOST_SCORES}; leave out early ones")
    prior = shape_prior(FAMILY[metric], kind)
    given = units(sizes, in_falling(scores, metric), None, FAMILY[metric], prior.grid.noise_exponent)
    given = _with_shared_noise(given, sizes, metric, errors, samples)
    curve = Curve(metric=metric, sizes=sizes, draws=curves_given(given, prior, seed))
    refuse_worse(curve, sizes, scores)
    return curve


def _with_shared_noise(
    given: Units,
    sizes: Float64[np.ndarray, " looks"],
    metric: Metric,
    errors: Float64[np.ndarray, " looks"] | None,
    samples: Float64[np.ndarray, "looks holdout"] | None,
) -> Units:
    nested = np.minimum.outer(sizes, sizes) / np.maximum.outer(sizes, sizes)
    correlated = CORRELATED[metric] * np.sqrt(nested)
    np.fill_diagonal(correlated, 1.0)
    known, deviations = np.diag(given.known), np.sqrt(given.unknown)
    if samples is not None:
        count = samples.shape[1]
        assumed = _errors_of(samples, metric)
        shared = (np.cov(samples) + WEIGHT * np.outer(assumed, assumed) * correlated) / (count + WEIGHT)
        known = known + shared / given.unit**2
    elif errors is not None:
        known = known + np.outer(errors, errors) * correlated / given.unit**2
    return replace(given, known=known, unknown=np.outer(deviations, deviations) * nested)


def _errors_of(samples: Float64[np.ndarray, "looks holdout"], metric: Metric) -> Float64[np.ndarray, " looks"]:
    count = samples.shape[1]
    if metric in ("accuracy", "error"):
        return share_errors(samples.mean(1), count)
    return np.asarray(samples.std(1, ddof=1) / np.sqrt(count))


def share_errors(shares: Float64[np.ndarray, " looks"], count: int) -> Float64[np.ndarray, " looks"]:
    """Standard errors of shares of so many samples, with two more of each kind (Agresti and Coull 1998).

    Example:
        >>> share_errors(np.array([0.5, 1.0]), 96).round(4)
        array([0.051 , 0.0143])
    """
    share = (shares * count + 2) / (count + 4)
    return np.asarray(np.sqrt(share * (1 - share) / count))


def gains_ahead(
    curve: Curve, size: float, seed: int = 0
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Equally likely gains from t to 2t labels, looked at in two ways: by the curve, and by the last doubling.

    Args:
        curve: of `labelling_curve`.
        size: t.
        seed: of the ratios between the gains of doublings.

    Returns:
        The gains of the curves, and those of their last doubling times a ratio; above 0 is better.

    Example:
        >>> from suffice.results import Draws
        >>> one = Draws(smallest=100, largest=400, level=np.full(999, 0.2), slope=[0.1], exponent=[0.5], noise=[0.01])
        >>> ahead, again = gains_ahead(Curve(metric="error", sizes=[400], draws=one), 400)
        >>> round(float(np.median(ahead)), 3), round(float(np.median(again)), 2)
        (0.059, 0.06)
    """
    before, now, then = curve.draws.means(np.array([size / 2, size, 2 * size])).T
    median, deviation = AGAIN
    ratios = median * np.exp(deviation * np.random.default_rng([seed, 2]).normal(size=len(now)))
    return now - then, (before - now) * ratios
