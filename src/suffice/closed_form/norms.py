"""Norms of a matrix of which only products with vectors are known."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy.sparse import linalg
from torch import Tensor

from suffice.errors import InputError

Norm: TypeAlias = Literal["spectral", "frobenius"]

DENSE_SIDE = 512
"""Blocks with at most as many entries as the square of this are made dense for their norms."""

COLUMNS = 64
"""The number of columns of a block that are computed at a time."""


class Operator(NamedTuple):
    """A matrix, as its products with vectors."""

    shape: tuple[int, int]
    times: Callable[[Tensor], Tensor]
    transposed_times: Callable[[Tensor], Tensor]


def of_matrix(matrix: Tensor) -> Operator:
    """The products with a dense matrix."""
    return Operator((matrix.shape[0], matrix.shape[1]), matrix.__matmul__, matrix.mT.__matmul__)


def norm_of(matrix: Operator, kind: Norm, like: Tensor) -> float:
    """The Frobenius norm, or the largest singular value, from products."""
    if kind not in ("spectral", "frobenius"):
        raise InputError(f'kind = {kind!r}: a norm is "spectral" or "frobenius"')
    rows, columns = matrix.shape
    if rows < columns:
        return norm_of(Operator((columns, rows), matrix.transposed_times, matrix.times), kind, like)
    if kind == "spectral" and columns > 1 and rows * columns > DENSE_SIDE**2:
        return _largest_singular_value(matrix, like)
    units = torch.eye(columns, dtype=like.dtype, device=like.device)
    if kind == "spectral":
        return float(torch.linalg.matrix_norm(matrix.times(units), 2))
    return math.hypot(*(float(matrix.times(some).norm()) for some in units.split(COLUMNS, dim=1)))


def _largest_singular_value(matrix: Operator, like: Tensor) -> float:
    """By Lanczos with full reorthogonalisation (ARPACK), from a fixed start."""
    times, transposed_times = _of_arrays(matrix.times, like), _of_arrays(matrix.transposed_times, like)
    start = np.random.default_rng(0).standard_normal(matrix.shape[1])
    image = times(start)
    if not image.any():
        return 0.0
    operator = linalg.LinearOperator(matrix.shape, matvec=times, rmatvec=transposed_times, dtype=image.dtype)
    (value,) = linalg.svds(operator, k=1, v0=start, return_singular_vectors=False)
    return float(value)


def _of_arrays(times: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    """A product with tensors as one with arrays."""
    return lambda vector: times(torch.as_tensor(vector.reshape(len(vector), -1)).to(like)).cpu().numpy()
