"""Random traces with the inverse Hessian of a head, as the slopes from its curvature take them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head
from suffice.forecasting.slopes.slope import Slope

DRAWS = (4, 32)
"""Fewest and most random vectors of a trace."""

DRAWN = 10_000
"""Entries of all vectors together: the error of a trace is then 1 to 5%, far less than that of its slope."""

SOLVED = 0.03
"""Relative tolerance of solutions with the Hessian; it changes slopes by about a percent."""


def draws(head: Head) -> int:
    """How many random vectors a trace takes."""
    return int(np.clip(DRAWN // head.weights.size, *DRAWS))


def excess(head: Head, changes: Float64[np.ndarray, "draws rank outputs"]) -> Float64[np.ndarray, " draws"]:
    """Half of u^T H_0 u, of changes u of the weights."""
    halves: Float64[np.ndarray, " draws"] = (changes * head.curvature(changes)).sum((-2, -1)) / 2
    return halves


def drawn_gradients(head: Head, seed: int) -> Float64[np.ndarray, "draws rank outputs"]:
    """Random vectors of mean 0 and covariance H_0, one sum over the samples at a time."""
    random, root = np.random.default_rng(seed), np.sqrt(len(head.features))
    return np.stack([head.pull(head.derivatives.draw(1, random)[0] * root) for _ in range(draws(head))])


def signed_gradients(
    head: Head, residuals: Float64[np.ndarray, "samples outputs"], seed: int
) -> Float64[np.ndarray, "draws rank outputs"]:
    """Random vectors of mean 0 and the covariance of the samples' gradients, from signs, see `signs_of`."""
    mean = head.pull(residuals)
    return np.stack([head.pull(signs * residuals) - signs.mean() * mean for signs in signs_of(head, seed)])


def signs_of(head: Head, seed: int) -> Iterator[Float64[np.ndarray, "samples 1"]]:
    """Random signs times the root of k, for each vector."""
    random, samples = np.random.default_rng(seed), len(head.features)
    for _ in range(draws(head)):
        yield random.choice([-1.0, 1.0], (samples, 1)) * np.sqrt(samples)


def mean_of_draws(of_draws: Float64[np.ndarray, " draws"]) -> Slope:
    """The mean over draws, with its standard error."""
    return Slope(float(of_draws.mean()), float(of_draws.std(ddof=1) / np.sqrt(len(of_draws))))
