r"""Losses of a linear head as functions of its outputs z, with three derivatives."""

from typing import Protocol

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import log_softmax

Outputs = Float64[np.ndarray, "*draws samples outputs"]
"""One value for each output of each sample, perhaps of several draws at once."""

PerSample = Float64[np.ndarray, "*draws samples"]


class Derivatives(Protocol):
    """What is known of the losses :math:`l_i` at outputs :math:`z_i`."""

    @property
    def residuals(self) -> Outputs:
        r"""e_i = :math:`\partial l_i / \partial z_i`."""

    def curvature(self, a: Outputs) -> Outputs:
        r"""S_i a_i, with S_i = :math:`\partial^2 l_i / \partial z_i^2`."""

    @property
    def mean_curvature(self) -> Float64[np.ndarray, "outputs outputs"]:
        """The mean of S_i over the samples."""

    def third(self, a: Outputs, b: Float64[np.ndarray, "samples outputs"]) -> PerSample:
        r""":math:`\sum_{jkm} \partial^3 l_i / \partial z_j \partial z_k \partial z_m \; a_j a_k b_m`."""

    def bend(self, a: Outputs, b: Float64[np.ndarray, "samples outputs"]) -> Outputs:
        r""":math:`\sum_{km} \partial^3 l_i / \partial z_j \partial z_k \partial z_m \; a_k b_m`, for each j."""

    def draw(self, draws: int, random: np.random.Generator) -> Outputs:
        """Vectors of mean 0 and covariance S_i, (draws, samples, outputs)."""

    def take(self, rows: slice) -> "Derivatives":
        """Of some of the samples."""


class OutputLoss(Protocol):
    """A loss :math:`l_i(z_i)` of the outputs of each sample, whose targets it knows."""

    def values(self, z: Outputs) -> PerSample:
        """l_i."""

    def at(self, z: Outputs) -> Derivatives:
        """The derivatives at z."""

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "OutputLoss":
        """The loss of some of the samples."""


class CrossEntropy:
    r"""Cross-entropy of logits: :math:`-\log p_y`, p = softmax(z).

    Then e = p - 1_y, S = diag(p) - p p^T, and the third derivative is the third cumulant of the classes under p.

    Example:
        >>> loss = CrossEntropy(np.array([0]), classes=2)
        >>> loss.values(np.zeros((1, 2))).round(4), loss.at(np.zeros((1, 2))).residuals
        (array([0.6931]), array([[-0.5,  0.5]]))
    """

    def __init__(self, labels: Int64[np.ndarray, " samples"], classes: int) -> None:
        self.labels = labels
        self._classes = classes

    def values(self, z: Outputs) -> PerSample:
        values: PerSample = -log_softmax(z, axis=-1)[..., np.arange(len(self.labels)), self.labels]
        return values

    def at(self, z: Outputs) -> "_AtLogits":
        return _AtLogits(np.exp(log_softmax(z, axis=-1)), self.labels)

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "CrossEntropy":
        return CrossEntropy(self.labels[rows], self._classes)


class _AtLogits:
    def __init__(self, p: Outputs, labels: Int64[np.ndarray, " samples"]) -> None:
        self._p = p
        self._labels = labels

    @property
    def residuals(self) -> Outputs:
        residuals: Outputs = self._p.copy()
        residuals[..., np.arange(len(self._labels)), self._labels] -= 1
        return residuals

    @property
    def mean_curvature(self) -> Float64[np.ndarray, "outputs outputs"]:
        mean: Float64[np.ndarray, "outputs outputs"] = np.diag(self._p.mean(0)) - self._p.T @ self._p / len(self._p)
        return mean

    def take(self, rows: slice) -> "_AtLogits":
        return _AtLogits(self._p[rows], self._labels[rows])

    def curvature(self, a: Outputs) -> Outputs:
        products: Outputs = self._p * self._centred(a)
        return products

    def third(self, a: Outputs, b: Float64[np.ndarray, "samples outputs"]) -> PerSample:
        values: PerSample = (self._p * self._centred(a) ** 2 * self._centred(b)).sum(-1)
        return values

    def bend(self, a: Outputs, b: Float64[np.ndarray, "samples outputs"]) -> Outputs:
        return self.curvature(self._centred(a) * self._centred(b))

    def draw(self, draws: int, random: np.random.Generator) -> Outputs:
        root = np.sqrt(self._p)
        signs = random.choice([-1.0, 1.0], (draws, *self._p.shape))
        vectors: Outputs = root * signs - self._p * (root * signs).sum(-1, keepdims=True)
        return vectors

    def _centred(self, a: Outputs) -> Outputs:
        centred: Outputs = a - np.einsum("...k,...k->...", self._p, a)[..., None]
        return centred


class SquaredError:
    r"""Squared error, the mean over K outputs: :math:`||z - y||^2 / K`. Then e = 2 (z - y) / K, and S = 2 / K.

    Example:
        >>> loss = SquaredError(np.array([[1.0, 3.0]]))
        >>> loss.values(np.zeros((1, 2))), loss.at(np.zeros((1, 2))).residuals
        (array([5.]), array([[-1., -3.]]))
    """

    def __init__(self, targets: Float64[np.ndarray, "samples outputs"]) -> None:
        self.targets = targets

    def values(self, z: Outputs) -> PerSample:
        values: PerSample = ((z - self.targets) ** 2).mean(-1)
        return values

    def at(self, z: Outputs) -> "_AtPrediction":
        return _AtPrediction(z - self.targets)

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "SquaredError":
        return SquaredError(self.targets[rows])


class _AtPrediction:
    def __init__(self, errors: Outputs) -> None:
        self._errors = errors
        self._scale = 2 / errors.shape[-1]

    @property
    def residuals(self) -> Outputs:
        residuals: Outputs = self._scale * self._errors
        return residuals

    @property
    def mean_curvature(self) -> Float64[np.ndarray, "outputs outputs"]:
        return np.asarray(self._scale * np.eye(self._errors.shape[-1]))

    def take(self, rows: slice) -> "_AtPrediction":
        return _AtPrediction(self._errors[rows])

    def curvature(self, a: Outputs) -> Outputs:
        products: Outputs = self._scale * a
        return products

    def third(self, a: Outputs, b: Float64[np.ndarray, "samples outputs"]) -> PerSample:
        return np.zeros(a.shape[:-1])

    def bend(self, a: Outputs, b: Float64[np.ndarray, "samples outputs"]) -> Outputs:
        return np.zeros_like(a)

    def draw(self, draws: int, random: np.random.Generator) -> Outputs:
        signs: Outputs = np.sqrt(self._scale) * random.choice([-1.0, 1.0], (draws, *self._errors.shape))
        return signs
