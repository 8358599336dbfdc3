"""Synthetic regression: inputs and targets from a known distribution."""

import itertools
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float64

from suffice.digest import digest
from suffice.errors import InputError

Target = Literal["teacher", "linear"]

TEACHER_WIDTHS = (16, 16)
"""Widths of the teacher's hidden layers."""

GAIN = 1.5
"""Standard deviation of the inputs of the teacher's tanh units: above 1, so that they are nonlinear there."""

CALIBRATION = 10_000
"""Number of inputs over which the teacher's outputs are scaled to mean 0 and standard deviation 1."""


class SyntheticRegression:
    r"""Samples :math:`x \sim N(0, I_d)`, :math:`y = f(x) + \sigma \varepsilon`, :math:`\varepsilon \sim N(0, 1)`.

    The mean squared error on new samples is at least :math:`\sigma^2`, the noise floor.

    Args:
        target: f is "linear", :math:`a^\top x` with :math:`\|a\| = 1`, or a "teacher": a random fully connected network
            with two hidden layers of 16 and tanh. Either has standard deviation 1 over the inputs.
        dimension: d, the dimension of an input.
        noise: :math:`\sigma`, the standard deviation of the noise.
        seed: random seed of f.

    Raises:
        InputError: an unknown target, a dimension below 1, or negative noise.

    Example:
        >>> samples = SyntheticRegression("linear", dimension=3, noise=0.5, seed=0)
        >>> x, y = samples.draw(100, seed=1)
        >>> x.shape, y.shape
        ((100, 3), (100, 1))
    """

    def __init__(self, target: Target, dimension: int, noise: float, seed: int = 0) -> None:
        if target not in ("teacher", "linear"):
            raise InputError(f"target is 'teacher' or 'linear', not {target!r}")
        if dimension < 1 or not noise >= 0:
            raise InputError(f"dimension = {dimension}, noise = {noise}: must be at least 1, and not negative")
        self.target = target
        self.dimension = dimension
        self.noise = noise
        draw = np.random.default_rng(seed)
        widths = (dimension, *(TEACHER_WIDTHS if target == "teacher" else ()), 1)
        self._weights = [
            draw.standard_normal((inputs, outputs)) * GAIN / np.sqrt(inputs)
            for inputs, outputs in itertools.pairwise(widths)
        ]
        if target == "linear":
            self._weights[0] /= np.linalg.norm(self._weights[0])
        self._seed = seed

    def draw(
        self, count: int, seed: int
    ) -> tuple[Float64[np.ndarray, "samples dimension"], Float64[np.ndarray, "samples 1"]]:
        """``count`` samples (x, y). The seed decides the samples, not f."""
        inputs, noise = np.random.SeedSequence([self._seed, seed]).spawn(2)
        x = np.random.default_rng(inputs).standard_normal((count, self.dimension))
        return x, self.expected(x) + self.noise * np.random.default_rng(noise).standard_normal((count, 1))

    def expected(self, x: Float64[np.ndarray, "samples dimension"]) -> Float64[np.ndarray, "samples 1"]:
        """f(x), the mean of y given x."""
        if self.target == "linear":
            return self._network(x)
        mean, deviation = self._scale
        return (self._network(x) - mean) / deviation

    def fingerprint(self) -> str:
        """The hash of f, the noise and the seed."""
        return digest(self.target, self.noise, self._seed, self._weights)

    @cached_property
    def _scale(self) -> tuple[float, float]:
        outputs = self._network(np.random.default_rng(0).standard_normal((CALIBRATION, self.dimension)))
        return float(outputs.mean()), float(outputs.std())

    def _network(self, x: Float64[np.ndarray, "samples dimension"]) -> Float64[np.ndarray, "samples 1"]:
        for weight in self._weights[:-1]:
            x = np.tanh(x @ weight)
        outputs: Float64[np.ndarray, "samples 1"] = x @ self._weights[-1]
        return outputs
