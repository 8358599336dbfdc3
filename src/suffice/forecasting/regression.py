r"""Heads that are fitted by least squares: what is measured of them, and RMSE and :math:`R^2` from their loss.

The loss is the mean squared error over samples and outputs, as `suffice.forecasting.losses.SquaredError` has it. It is
quadratic, so `suffice.forecasting.slopes.sandwich_slope` is exact to first order in 1/k, bias of the penalty included.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head, fit_head
from suffice.forecasting.levels.folds import FOLDS, out_of_fold
from suffice.forecasting.losses import SquaredError
from suffice.forecasting.slopes import Slope, effective_dimension_slope, optimism_slope, sandwich_slope


@dataclass(frozen=True)
class RegressionPilot:
    """What was measured at the k_0 samples at hand.

    Attributes:
        head: the fit to all samples.
        own: squared errors of the head for its own samples, each the mean over outputs.
        unseen: the same of heads that were fitted without the fold of the sample.
        unseen_samples: training samples of these heads, on average.
        halves: the same of heads that were fitted to the other half.
        slopes: s by name: "noise", the sandwich with the squared errors of each sample; "information", for noise of the
            same variance everywhere; "symmetric", the optimism.
        variance: of the targets.
    """

    head: Head
    own: Float64[np.ndarray, " samples"]
    unseen: Float64[np.ndarray, " samples"]
    unseen_samples: float
    halves: Float64[np.ndarray, " samples"]
    slopes: Mapping[str, Slope]
    variance: "TargetVariance"


def measure_regression(
    features: Float64[np.ndarray, "samples columns"],
    targets: Float64[np.ndarray, "samples outputs"],
    l2: float,
    seed: int = 0,
) -> RegressionPilot:
    r"""Fits a head to all samples, and to all but each fold and each half of them.

    The head minimises :math:`\frac1{kK} \sum_i ||W^T x_i - y_i||^2 + \frac{l_2}2 ||W||^2` with K outputs.

    Args:
        features: an intercept is a column of ones.
        targets: see `suffice.forecasting.inputs.regression_targets`.
        l2: the penalty.
        seed: random seed of the folds and the traces.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x, noise = random.normal(size=(4000, 8)), random.normal(size=(4000, 1))
        >>> pilot = measure_regression(x, x.sum(1, keepdims=True) + noise, l2=1e-6)
        >>> [abs(slope.value / 8 - 1) < 0.15 for slope in pilot.slopes.values()]  # variance 1, 8 weights
        [True, True, True]
    """
    samples, outputs = targets.shape
    loss = SquaredError(targets)
    head = fit_head(features, loss, outputs, l2)
    folds = min(FOLDS, samples)
    strata = np.zeros(samples, dtype=np.int64)  # folds at random
    predicted = out_of_fold(head, strata, folds, seed)
    own, unseen = loss.values(head.outputs), loss.values(predicted)
    unseen_samples = samples * (1 - 1 / folds)
    # a fit has followed its own samples as much as those without them have missed them
    between = (head.outputs + predicted) / 2
    of_all_directions = effective_dimension_slope(head, seed)
    gradient_over_curvature = 2 * float(loss.values(between).mean()) / outputs
    return RegressionPilot(
        head=head,
        own=own,
        unseen=unseen,
        unseen_samples=unseen_samples,
        halves=loss.values(out_of_fold(head, strata, 2, seed)),
        slopes={
            "noise": sandwich_slope(head, between, seed),
            "information": Slope(*(gradient_over_curvature * number for number in of_all_directions)),
            "symmetric": optimism_slope(own, unseen, unseen_samples),
        },
        variance=target_variance(targets, unseen),
    )


@dataclass(frozen=True)
class TargetVariance:
    """The variance of the targets, the mean over outputs, of the samples at hand.

    Attributes:
        value: with the mean of the samples as mean.
        error: relative standard error.
        correlation: of its noise with that of the mean loss of the same samples.
    """

    value: float
    error: float
    correlation: float

    def draws(self, normals: Float64[np.ndarray, " draws"], seed: int = 0) -> Float64[np.ndarray, " draws"]:
        """Draws that go with the noise of the mean loss.

        Args:
            normals: standard normal scores of that noise, one a draw.
            seed: random seed of the part that does not go with it.
        """
        own = np.random.default_rng([seed, 2]).normal(size=len(normals))
        scores = self.correlation * normals + np.sqrt(1 - self.correlation**2) * own
        drawn: Float64[np.ndarray, " draws"] = self.value * np.exp(self.error * scores)
        return drawn


def target_variance(
    targets: Float64[np.ndarray, "samples outputs"], losses: Float64[np.ndarray, " samples"]
) -> TargetVariance:
    """The variance of targets, and how its noise goes with that of the losses of the same samples.

    Example:
        >>> found = target_variance(np.array([[0.0], [2.0], [4.0], [2.0]]), np.array([4.0, 0.0, 4.0, 0.0]))
        >>> round(found.value, 3), round(found.error, 3), round(found.correlation, 3)
        (2.667, 0.577, 1.0)
    """
    squares = np.square(targets - targets.mean(0)).mean(1)
    samples = len(squares)
    spread = float(squares.std(ddof=1))
    varies = spread > 0 and float(losses.std()) > 0
    return TargetVariance(
        value=float(squares.sum() / (samples - 1)),
        error=spread / float(squares.mean()) / math.sqrt(samples),
        correlation=float(np.clip(np.corrcoef(squares, losses)[0, 1], -1, 1)) if varies else 0.0,
    )


def rmse(losses: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """The root of the mean squared error over samples and outputs, in units of the targets.

    Example:
        >>> rmse(np.array([4.0, 0.25]))
        array([2. , 0.5])
    """
    return np.asarray(np.sqrt(np.maximum(losses, 0.0)))


def r_squared(
    losses: Float64[np.ndarray, "draws sizes"], variances: Float64[np.ndarray, " draws"]
) -> Float64[np.ndarray, "draws sizes"]:
    r""":math:`R^2 = 1 - L / \mathrm{var}(y)`, both the mean over outputs; below 0 for a model worse than the mean.

    Of several outputs this is the "variance_weighted" one of scikit-learn.

    Example:
        >>> r_squared(np.array([[1.0, 0.5]]), np.array([2.0]))
        array([[0.5 , 0.75]])
    """
    return np.asarray(1 - np.maximum(losses, 0.0) / variances[:, None])
