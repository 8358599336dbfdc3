r"""Heads that are fitted by least squares: their predictions, and RMSE and :math:`R^2` from the curve of their loss.

The loss is the mean squared error over samples and outputs, as `suffice.forecasting.losses.SquaredError` has it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.recipes import IN_WORDS
from suffice.results import HORIZON, Curve, Draws, LearningCurve

KNOTS = np.arange(-2.0, math.log2(HORIZON) + 0.25, 0.25)
"""Doublings of the samples at hand, between which the curve of the RMSE is a line."""


@dataclass(frozen=True)
class Regressed:
    """Outputs for some samples with numbers as targets, by models trained on so many others or on these.

    Attributes:
        samples: k, the training samples of each model.
        outputs: z.
        targets: y.

    Example:
        >>> Regressed(100, np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])).losses
        array([0., 4.])
    """

    samples: float
    outputs: Float64[np.ndarray, "samples outputs"]
    targets: Float64[np.ndarray, "samples outputs"]

    @cached_property
    def losses(self) -> Float64[np.ndarray, " samples"]:
        """Squared error of each sample, the mean over outputs."""
        return np.asarray(np.square(self.outputs - self.targets).mean(1))


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

    def draws(
        self, normals: Float64[np.ndarray, " draws"], own: Float64[np.ndarray, " draws"]
    ) -> Float64[np.ndarray, " draws"]:
        """Draws that go with the noise of the mean loss.

        Args:
            normals: standard normal scores of that noise, one a draw.
            own: the same of the part that does not go with it.
        """
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


def rmse_curve(loss: Curve) -> Curve:
    """The root of the mean squared error over samples and outputs, in units of the targets.

    Args:
        loss: the curve of the mean squared error.

    Example:
        >>> draws = Draws(smallest=50, largest=100, level=[4.0], slope=[3.0], exponent=[1.0], noise=[0.4])
        >>> rmse_curve(Curve(metric="loss", sizes=[100, 400], draws=draws)).mean.round(2)
        array([2.  , 1.32])
    """
    draws, limit = loss.draws, np.array([math.inf])
    sizes = np.append(draws.largest * 2.0**KNOTS, limit)
    roots = np.sqrt(np.maximum(draws.means(sizes), 0.0))
    at_hand = np.sqrt(np.maximum(draws.means(np.array([draws.largest])), np.finfo(float).tiny))
    of_roots = Draws(
        smallest=draws.smallest,
        largest=draws.largest,
        level=[0.0],
        slope=[0.0],
        exponent=[1.0],
        knots=np.append(KNOTS, KNOTS[-1] + 1.0),
        wander=roots,
        noise=draws.noise / (2 * at_hand[:, 0]),
        noise_exponent=draws.noise_exponent,
    )
    return Curve(metric="loss", name="RMSE", sizes=loss.sizes, draws=of_roots)


def r_squared_curve(loss: Curve, variances: Float64[np.ndarray, " draws"]) -> Curve:
    r""":math:`R^2 = 1 - L / \mathrm{var}(y)`, both the mean over outputs; below 0 for a model worse than the mean.

    Of several outputs this is the "variance_weighted" one of scikit-learn.

    Args:
        loss: the curve of the mean squared error.
        variances: of the targets, one for each draw.

    Example:
        >>> draws = Draws(smallest=50, largest=100, level=[1.0], slope=[0.5], exponent=[1.0], noise=[0.1])
        >>> r_squared_curve(Curve(metric="loss", sizes=[100, 200], draws=draws), np.array([2.0])).mean.round(3)
        array([0.5  , 0.625])
    """
    draws, sizes = loss.draws, np.append(loss.draws.largest * 2.0**KNOTS, math.inf)
    losses = np.maximum(draws.means(sizes), 0.0)
    of_score = Draws(
        offset=-1.0,
        smallest=draws.smallest,
        largest=draws.largest,
        level=[0.0],
        slope=[0.0],
        exponent=[1.0],
        knots=np.append(KNOTS, KNOTS[-1] + 1.0),
        wander=losses / variances[:, None],
        noise=draws.noise / variances,
        noise_exponent=draws.noise_exponent,
    )
    return Curve(metric="score", name="R²", sizes=loss.sizes, draws=of_score)


def in_units(curve: LearningCurve, unit: float) -> LearningCurve:
    """The forecast of a regression whose targets were divided by a unit, in units of the targets as they came.

    Args:
        curve: its loss is counted in the square of the unit, its RMSE in the unit.
        unit: above 0.
    """
    if not isinstance(curve.loss, Curve):
        return curve
    loss = _times(curve.loss, unit**2)
    limit = loss.limit
    return curve.model_copy(
        update={
            "loss": loss,
            "metrics": {name: _times(metric, unit) for name, metric in curve.metrics.items()},
            "loss_limit": limit,
            "explanation": (
                f"With {curve.samples:,} samples the mean squared error is about {unit**2 * (curve.level or 0):.3g}; "
                f"with unlimited samples it approaches {limit.mean:.3g} ({curve.confidence:.0%} interval "
                f"{limit.low:.3g} to {limit.high:.3g}){IN_WORDS[curve.recipe]}."
            ),
            **{
                name: None if value is None else unit**2 * value
                for name, value in (("level", curve.level), ("slope", curve.slope), ("slope_error", curve.slope_error))
            },
        }
    )


def _times(curve: Curve, factor: float) -> Curve:
    draws = curve.draws.model_copy(update={"unit": factor * curve.draws.unit, "noise": factor * curve.draws.noise})
    return Curve(metric=curve.metric, name=curve.name, sizes=curve.sizes, draws=draws, confidence=curve.confidence)
