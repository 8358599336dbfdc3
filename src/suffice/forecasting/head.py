r"""A linear head with an L2 penalty: its fit, and solutions with its Hessian, which is never formed.

.. math:: L(W) = \frac1k \sum_i l_i(x_i W) + \frac{\lambda}{2} ||W||^2, \qquad H = H_0 + \lambda
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.losses import Derivatives, OutputLoss, Outputs

Weights = Float64[np.ndarray, "*draws rank outputs"]
"""One matrix W, or one for each of several draws."""

STATIONARY = 1e-6
"""Where a fit ends, over where it began."""

NEWTON_STEPS = 100
PRODUCTS = 300
"""Most steps of a fit, and most products with the Hessian of a solution."""


@dataclass(frozen=True)
class Head:
    """A head in the principal axes of its features, in which there are no more weights than samples allow.

    Attributes:
        axes: principal axes of the features, (features, rank).
        features: x_i in them, (samples, rank).
        loss: of the samples.
        penalty: lambda, positive, on the mean loss.
        weights: W in these axes, (rank, outputs).
    """

    axes: Float64[np.ndarray, "columns rank"]
    features: Float64[np.ndarray, "samples rank"]
    loss: OutputLoss
    penalty: float
    weights: Weights

    @cached_property
    def outputs(self) -> Outputs:
        """z_i = x_i W of the head's own samples."""
        outputs: Outputs = self.features @ self.weights
        return outputs

    @cached_property
    def derivatives(self) -> Derivatives:
        """Of the loss, at these outputs."""
        return self.loss.at(self.outputs)

    @property
    def objective(self) -> float:
        """L(W)."""
        return float(self.loss.values(self.outputs).mean() + self.penalty / 2 * np.square(self.weights).sum())

    def predict(self, features: Float64[np.ndarray, "others columns"]) -> Float64[np.ndarray, "others outputs"]:
        """z of other samples, with the features as they came."""
        outputs: Float64[np.ndarray, "others outputs"] = features @ self.axes @ self.weights
        return outputs

    def push(self, weights: Weights) -> Outputs:
        """J_i V: what a change of the weights does to the outputs of the samples."""
        changes: Outputs = np.moveaxis(np.tensordot(self.features, weights, (1, -2)), 0, -2)
        return changes

    def pull(self, outputs: Outputs) -> Weights:
        r""":math:`\frac1k \sum_i J_i^T a_i`, the mean over samples of x_i^T a_i."""
        sums: Weights = np.moveaxis(np.tensordot(self.features, outputs, (0, -2)), 0, -2)
        return sums / len(self.features)

    def curvature(self, weights: Weights) -> Weights:
        """H_0 V: of the loss without the penalty."""
        return self.pull(self.derivatives.curvature(self.push(weights)))

    def solve(self, right: Weights, tolerance: float) -> Weights:
        r"""H^-1 B by conjugate gradients, preconditioned by :math:`(\overline{x x^T} \otimes \bar S + \lambda)^{-1}`.

        The mean of the S_i takes the place of each; the product of the two means is diagonal in their eigenbases. What
        is left for the conjugate gradients is how S_i and x_i go together, and takes some ten products.

        Args:
            right: B, one matrix or several.
            tolerance: of the residual against B, in the norm of the preconditioner.
        """
        solution, residual = np.zeros_like(right), right
        direction = conditioned = self._precondition(residual)
        left = _inner(residual, conditioned)
        enough = tolerance**2 * left
        for _ in range(PRODUCTS):
            product = self.curvature(direction) + self.penalty * direction
            length = left / np.maximum(_inner(direction, product), np.finfo(float).tiny)
            solution, residual = solution + length * direction, residual - length * product
            conditioned = self._precondition(residual)
            before, left = left, _inner(residual, conditioned)
            if (left <= enough).all():
                break
            direction = conditioned + left / np.maximum(before, np.finfo(float).tiny) * direction
        return solution

    def _precondition(self, right: Weights) -> Weights:
        basis, scales = self._mean_curvature
        conditioned: Weights = (right @ basis / scales) @ basis.T
        return conditioned

    @cached_property
    def _mean_curvature(self) -> tuple[Float64[np.ndarray, "outputs outputs"], Float64[np.ndarray, "rank outputs"]]:
        """The eigenbasis of the mean S_i, and the eigenvalues of its product with the mean of x x^T, plus lambda."""
        each = np.eye(self.outputs.shape[1])[:, None, :]
        mean = self.derivatives.curvature(np.broadcast_to(each, (len(each), *self.outputs.shape))).mean(1)
        values, basis = np.linalg.eigh(mean)
        return basis, np.outer(np.square(self.features).mean(0), np.maximum(values, 0)) + self.penalty


def fit_head(features: Float64[np.ndarray, "samples columns"], loss: OutputLoss, outputs: int, penalty: float) -> Head:
    r"""The W that minimises L, by Newton's method.

    Args:
        features: x_i; an intercept is a column of ones, and penalised like the others.
        loss: of these samples.
        outputs: columns of W.
        penalty: lambda.

    Example:
        >>> from suffice.forecasting.losses import SquaredError
        >>> head = fit_head(np.array([[1.0], [3.0]]), SquaredError(np.array([[2.0], [6.0]])), 1, penalty=1e-9)
        >>> head.predict(np.array([[10.0]])).round(6)
        array([[20.]])
    """
    axes, values = _principal(features)
    return refit(Head(axes, values, loss, penalty, np.zeros((values.shape[1], outputs))))


def refit(head: Head, rows: Int64[np.ndarray, " taken"] | None = None, stationary: float = STATIONARY) -> Head:
    """The head that fits its samples, or some of them, best; found from where it is.

    It ends when what a Newton step would lower the objective by is the square of ``stationary`` times what the first
    one would have: relative to the change that is asked for, since that of a left-out sample may be far below the loss.
    """
    if rows is not None:
        head = Head(head.axes, head.features[rows], head.loss.take(rows), head.penalty, head.weights)
    first = 0.0
    for _ in range(NEWTON_STEPS):
        gradient = head.pull(head.derivatives.residuals) + head.penalty * head.weights
        decrement = float(np.sqrt(_inner(gradient, head._precondition(gradient))[0, 0]))
        first = max(first, decrement)
        if decrement <= stationary * first:
            break
        step = head.solve(gradient, min(0.1, decrement / first))
        head = _line_search(head, step, float(_inner(gradient, step)[0, 0]))
    return head


def _line_search(head: Head, step: Weights, slope: float) -> Head:
    length = 1.0
    while True:
        moved = Head(head.axes, head.features, head.loss, head.penalty, head.weights - length * step)
        if length < 1e-6 or moved.objective <= head.objective - 1e-4 * length * slope:
            return moved
        length /= 2


def _principal(
    features: Float64[np.ndarray, "samples columns"],
) -> tuple[Float64[np.ndarray, "columns rank"], Float64[np.ndarray, "samples rank"]]:
    """Principal axes of the features about 0, and the features in them; the penalty is the same in all axes."""
    if len(features) < features.shape[1]:
        values, left = np.linalg.eigh(features @ features.T)
        kept = values > values[-1] * len(features) * np.finfo(float).eps
        lengths = np.sqrt(values[kept])
        return features.T @ left[:, kept] / lengths, left[:, kept] * lengths
    values, axes = np.linalg.eigh(features.T @ features)
    kept = values > values[-1] * len(features) * np.finfo(float).eps
    return axes[:, kept], features @ axes[:, kept]


def _inner(a: Weights, b: Weights) -> Float64[np.ndarray, "*draws 1 1"]:
    products: Float64[np.ndarray, "*draws 1 1"] = (a * b).sum((-2, -1), keepdims=True)
    return products
