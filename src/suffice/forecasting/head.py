r"""A linear head with an L2 penalty: its fit, and solutions with its Hessian, which is never formed.

.. math:: L(W) = \frac1k \sum_i l_i(x_i W) + \frac{\lambda}{2} ||W||^2, \qquad H = H_0 + \lambda

Samples are read in blocks. So the memory is that of the features in principal axes, those of a fold, and some ten
arrays of (samples, outputs), however many random vectors there are. Features in float32 stay so; their products and
all sums are in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

from suffice.forecasting.losses import Derivatives, OutputLoss, Outputs

Weights = Float64[np.ndarray, "*draws rank outputs"]
"""One matrix W, or one for each of several draws."""

Basis = tuple[Float64[np.ndarray, " outputs"], Float64[np.ndarray, "outputs outputs"]]
"""Eigenvalues and eigenvectors, in columns."""

Features = Float[np.ndarray, "samples columns"]
"""In float64 or float32."""

BLOCK = 2**18
"""Numbers of a block, 2 MB: more do not fit into the cache."""

MANY_OUTPUTS = 256
"""From so many on, the eigenbasis of their mean curvature takes longer than a step of a fit: folds have that of the
head that they start from, as a preconditioner."""

LEAST_ROWS = 64
"""Of a block: products of fewer are slow."""

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
        basis: eigenvalues and eigenvectors of a mean S_i, for the preconditioner; None for those at these weights.
    """

    axes: Float64[np.ndarray, "columns rank"]
    features: Float[np.ndarray, "samples rank"]
    loss: OutputLoss
    penalty: float
    weights: Weights
    basis: Basis | None = None

    @cached_property
    def outputs(self) -> Outputs:
        """z_i = x_i W of the head's own samples."""
        return self.push(self.weights)

    @cached_property
    def derivatives(self) -> Derivatives:
        """Of the loss, at these outputs."""
        return self.loss.at(self.outputs)

    @property
    def objective(self) -> float:
        """L(W)."""
        return float(self.loss.values(self.outputs).mean() + self.penalty / 2 * np.square(self.weights).sum())

    def predict(self, features: Float[np.ndarray, "others columns"]) -> Float64[np.ndarray, "others outputs"]:
        """z of other samples, with the features as they came."""
        return products(features, self.axes @ self.weights)

    def push(self, weights: Weights) -> Outputs:
        """J_i V: what a change of the weights does to the outputs of the samples."""
        return products(self.features, weights)

    def pull(self, outputs: Outputs) -> Weights:
        r""":math:`\frac1k \sum_i J_i^T a_i`, the mean over samples of x_i^T a_i."""
        sums = np.zeros((*outputs.shape[:-2], self.features.shape[1], outputs.shape[-1]))
        for rows, x in blocks(self.features, sums.size // sums.shape[-2]):
            sums += _pulled(x, outputs[..., rows, :])
        return sums / len(self.features)

    def curvature(self, weights: Weights) -> Weights:
        """H_0 V: of the loss without the penalty."""
        sums = np.zeros_like(weights)
        for rows, x in blocks(self.features, weights.size // weights.shape[-2]):
            sums += _pulled(x, self.derivatives.take(rows).curvature(_pushed(x, weights)))
        return sums / len(self.features)

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
        basis = self.mean_curvature[1]
        conditioned: Weights = (right @ basis / self._scales) @ basis.T
        return conditioned

    @cached_property
    def mean_curvature(self) -> Basis:
        """Eigenvalues and eigenvectors of the mean S_i, or those that were given."""
        return np.linalg.eigh(self.derivatives.mean_curvature) if self.basis is None else self.basis

    @cached_property
    def _scales(self) -> Float64[np.ndarray, "rank outputs"]:
        """Eigenvalues of the product of the mean of x x^T and the mean S_i, plus lambda."""
        squares = sum(np.square(x).sum(0) for _, x in blocks(self.features)) / len(self.features)
        return np.outer(squares, np.maximum(self.mean_curvature[0], 0)) + self.penalty


def fit_head(features: Features, loss: OutputLoss, outputs: int, penalty: float) -> Head:
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
        basis = head.mean_curvature if head.weights.shape[1] > MANY_OUTPUTS else None
        head = replace(head, features=head.features[rows], loss=head.loss.take(rows), basis=basis)
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
        moved = replace(head, weights=head.weights - length * step)
        if length < 1e-6 or moved.objective <= head.objective - 1e-4 * length * slope:
            return moved
        length /= 2


def _principal(features: Features) -> tuple[Float64[np.ndarray, "columns rank"], Float[np.ndarray, "samples rank"]]:
    """Principal axes of the features about 0, and the features in them; the penalty is the same in all axes."""
    if len(features) < features.shape[1]:
        values, left = np.linalg.eigh(sum(x.T @ x for _, x in blocks(features.T)))
        kept = values > values[-1] * len(features) * np.finfo(float).eps
        lengths = np.sqrt(values[kept])
        return products(features.T, left[:, kept]) / lengths, left[:, kept] * lengths
    values, axes = np.linalg.eigh(sum(x.T @ x for _, x in blocks(features)))
    kept = values > values[-1] * len(features) * np.finfo(float).eps
    return axes[:, kept], products(features, axes[:, kept], features.dtype)


def blocks(features: Features, others: int = 0) -> Iterator[tuple[slice, Float64[np.ndarray, "block columns"]]]:
    """The features in float64, some rows at a time: which, and their features.

    Args:
        features: of all samples.
        others: numbers that go with each row besides its features.
    """
    size = max(LEAST_ROWS, BLOCK // max(features.shape[1], others))
    for start in range(0, len(features), size):
        rows = slice(start, start + size)
        yield rows, np.asarray(features[rows], dtype=np.float64)


def products(
    features: Features, weights: Weights, dtype: np.dtype[Any] | type[np.float64] = np.float64
) -> Float[np.ndarray, "*draws samples outputs"]:
    """x_i V for each sample, computed in float64."""
    found = np.empty((*weights.shape[:-2], len(features), weights.shape[-1]), dtype=dtype)
    for rows, x in blocks(features, weights.size // weights.shape[-2]):
        found[..., rows, :] = _pushed(x, weights)
    return found


def _pushed(x: Float64[np.ndarray, "block rank"], weights: Weights) -> Outputs:
    return np.moveaxis(np.tensordot(x, weights, (1, -2)), 0, -2)


def _pulled(x: Float64[np.ndarray, "block rank"], outputs: Outputs) -> Weights:
    return np.moveaxis(np.tensordot(x, outputs, (0, -2)), 0, -2)


def _inner(a: Weights, b: Weights) -> Float64[np.ndarray, "*draws 1 1"]:
    products: Float64[np.ndarray, "*draws 1 1"] = (a * b).sum((-2, -1), keepdims=True)
    return products
