"""The spectral norm of an operator that may be indefinite: both ends of its spectrum are bounded."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suffice.curvature.basis import MEMORY
from suffice.curvature.lanczos import Lanczos, as_start, check_tolerance
from suffice.curvature.operator import SymmetricOperator
from suffice.errors import InputError

RANDOM = 0.1
"""Norm of the random part of a start vector: a hundredth of its square."""

STEPS = 8
"""Products at least, unless the operator is smaller: fewer leave the random part of the start without effect."""


class SpectralNorm(NamedTuple):
    r"""The eigenvalue of largest magnitude, estimated; the norm is its magnitude.

    Attributes:
        value: :math:`\theta`, with its sign.
        vector: v, of unit norm, in the operator's dtype.
        residual: :math:`\|A v - \theta v\|`. Some eigenvalue is at most so far from :math:`\theta`, not the extreme one
            for certain, so :math:`|\theta| + \|r\|` is an estimate of the norm from above, not a bound.
        products: of A with a vector that were spent.
    """

    value: float
    vector: Float[Tensor, " parameters"]
    residual: float
    products: int


def spectral_norm(
    A: SymmetricOperator,
    tolerance: float = 1e-2,
    start: Float[Tensor, " parameters"] | None = None,
    seed: int = 0,
    memory: int = MEMORY,
) -> SpectralNorm:
    r"""The spectral norm :math:`\|A\|_2 = \max_i |\lambda_i|`, from both ends of the spectrum.

    The method of Lanczos runs until the residual of the end that is larger by magnitude is at most tolerance
    :math:`\times |\theta|`, and the other end is no larger: its :math:`|\theta'| + \|r'\|` lies below :math:`|\theta|`,
    or it has converged as well. It makes 8 products at least. A start vector, as the eigenvector of a similar operator,
    gets a random part of a tenth of its norm, so that no eigenvector is orthogonal to it.

    Args:
        A: the operator, (P, P).
        tolerance: of the residual relative to :math:`|\theta|`, from 10 eps of A's dtype to 1.
        start: a vector near the eigenvector; random by default.
        seed: random seed.
        memory: bytes for the basis; it restarts where it is full.

    Raises:
        InputError: tolerance, start or memory out of range; an operator that is not symmetric, or products that are not
            finite.

    Source: J. Kuczyński, H. Woźniakowski, "Estimating the largest eigenvalue by the power and Lanczos algorithms with a
    random start", SIAM Journal on Matrix Analysis and Applications 13, 1992, for what a random start brings.

    Example:
        >>> from suffice.curvature.operator import SymmetricMatrix
        >>> norm = spectral_norm(SymmetricMatrix(torch.diag(torch.tensor([3.0, -5.0]))))
        >>> round(norm.value, 3), norm.products
        (-5.0, 2)
    """
    check_tolerance(tolerance, A.dtype)
    capacity = _capacity(A, memory)
    lanczos = Lanczos(A, seed, capacity)
    first = lanczos.random()
    if start is not None:
        first = RANDOM * first + as_start(start, A)
    lanczos.add(as_start(first, A))
    while True:
        lanczos.extend()
        values, coordinates = np.linalg.eigh(lanczos.projected)
        ends = coordinates[:, [0, -1]]
        residuals = lanczos.residuals(ends)
        reaches = residuals + np.array([-values[0], values[-1]])  # of each end, from zero outwards
        winner = int(values[-1] >= -values[0])
        norm = abs(values[[0, -1]][winner])
        bound = max(tolerance * norm, lanczos.noise)
        settled = residuals[winner] <= bound and (reaches[1 - winner] <= norm or residuals[1 - winner] <= bound)
        if lanczos.candidates == 0 or (settled and lanczos.products >= STEPS):
            break
        if len(lanczos.basis) + 1 == capacity:
            lanczos.restart(capacity // 2)
    return SpectralNorm(
        float(values[[0, -1]][winner]),
        lanczos.basis.combine(ends[:, [winner]])[:, 0],
        float(residuals[winner]),
        lanczos.products,
    )


def _capacity(A: SymmetricOperator, memory: int) -> int:
    """Vectors that fit into the memory, beside five in float64."""
    vector, fixed = A.shape[0] * A.dtype.itemsize, 5 * A.shape[0] * torch.float64.itemsize
    least = fixed + 2 * STEPS * vector
    if memory < least:
        raise InputError(
            f"memory is {memory:,} bytes: a basis of {2 * STEPS} vectors of {A.shape[0]:,} needs {least:,}"
        )
    return (memory - fixed) // vector
