"""Synthetic regression: inputs and targets from a distribution that is known in full."""

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
"""Deviation of what enters a tanh of the teacher: above 1, so that it bends."""

CALIBRATION = 10_000
"""Inputs over which the teacher's outputs are given mean 0 and deviation 1."""


class SyntheticRegression:
    r"""Samples :math:`x \sim N(0, I_d)`, :math:`y = f(x) + \sigma \varepsilon`, :math:`\varepsilon \sim N(0, 1)`.

    No model that does not know the noise has a mean squared error below :math:`\sigma^2`, the noise floor.

    Args:
        target: f is "linear", :math:`a^\top x` with :math:`\|a\| = 1`, or a "teacher": a random fully connected network
            with two hidden layers of 16 and tanh. Either has deviation 1 over the inputs.
        dimension: d.
        noise: :math:`\sigma`.
        seed: of f.

    Raises:
        InputError: another target, a dimension below 1, or a noise that is negative.

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
        """So many samples (x, y); another seed gives others, of the same f."""
        inputs, noise = np.random.SeedSequence([self._seed, seed]).spawn(2)
        x = np.random.default_rng(inputs).standard_normal((count, self.dimension))
        return x, self.expected(x) + self.noise * np.random.default_rng(noise).standard_normal((count, 1))

    def expected(self, x: Float64[np.ndarray, "samples dimension"]) -> Float64[np.ndarray, "samples 1"]:
        """f(x), the mean of y for an input."""
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
