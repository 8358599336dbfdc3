"""The interface of a symmetric linear operator: all that eigenpairs, densities and traces know of a Hessian."""

from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from suffice.errors import InputError

PRECISIONS = {torch.float32: np.float32, torch.float64: np.float64}
"""The dtypes of an operator, and NumPy's names of them."""


class SymmetricOperator(ABC):
    r"""A symmetric matrix :math:`A \in \mathbb{R}^{P \times P}` that is known by its products :math:`A v`.

    A subclass says how large it is, where it computes, and what its products are.

    Raises:
        InputError: by ``A @ v``, a v of another shape, dtype or device, or a product with entries that are not finite.

    Example:
        >>> A = SymmetricMatrix(torch.diag(torch.tensor([3.0, -5.0])))
        >>> A @ torch.ones(2)
        tensor([ 3., -5.])
        >>> (A @ torch.eye(2)).shape
        torch.Size([2, 2])
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(P, P)."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Float32 or float64, of the products and of what is multiplied."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the products are computed."""

    @property
    def scale(self) -> float:
        """Norm of what products so far are differences of, which rounding is relative to; 0 where they are none."""
        return 0.0

    @abstractmethod
    def _product(self, vectors: Float[Tensor, "parameters columns"]) -> Float[Tensor, "parameters columns"]:
        """A times each of the columns."""

    def __matmul__(self, vectors: Float[Tensor, "parameters *columns"]) -> Float[Tensor, "parameters *columns"]:
        """The product with one vector (P,), or with each column of (P, n)."""
        check_tensor(vectors, "v")
        if vectors.ndim not in {1, 2} or len(vectors) != self.shape[1]:
            raise InputError(
                f"A @ v: v has the shape {tuple(vectors.shape)}, it must be ({self.shape[1]},) or ({self.shape[1]}, n)"
            )
        if vectors.dtype != self.dtype or vectors.device != self.device:
            raise InputError(
                f"A @ v: v is {vectors.dtype} on {vectors.device}, A is {self.dtype} on {self.device}; "
                "use v.to(A.device, A.dtype)"
            )
        products = self._product(vectors.reshape(len(vectors), -1)).reshape(vectors.shape)
        if not bool(products.isfinite().all()):
            raise InputError("A @ v has entries that are not finite: the curvature overflows, or v is not finite")
        return products

    def to_scipy(self) -> LinearOperator:
        """The same operator for ``scipy.sparse.linalg``, on NumPy arrays of A's dtype.

        Example:
            >>> SymmetricMatrix(torch.eye(2)).to_scipy() @ np.ones(2)
            array([1., 1.], dtype=float32)
        """
        precision = PRECISIONS[self.dtype]

        def product(vectors: np.ndarray) -> np.ndarray:
            given = torch.from_numpy(np.ascontiguousarray(vectors, precision)).to(self.device)
            return (self @ given).cpu().numpy()

        operator: Any = LinearOperator(
            self.shape, matvec=product, rmatvec=product, matmat=product, rmatmat=product, dtype=precision
        )
        return operator


@final
class SymmetricMatrix(SymmetricOperator):
    """A dense symmetric matrix as an operator.

    Args:
        matrix: symmetric to rounding, in float32 or float64; it is not copied.

    Raises:
        InputError: a matrix that is not square, not symmetric, or of another dtype.

    Example:
        >>> SymmetricMatrix(torch.tensor([[0.0, 2.0], [2.0, 0.0]])) @ torch.tensor([1.0, 0.0])
        tensor([0., 2.])
    """

    def __init__(self, matrix: Float[Tensor, "rows columns"]) -> None:
        if matrix.shape[0] != matrix.shape[1] or matrix.dtype not in PRECISIONS:
            raise InputError(
                f"a symmetric matrix must be square and float32 or float64, not {tuple(matrix.shape)} {matrix.dtype}"
            )
        difference = float((matrix - matrix.T).abs().max()) if len(matrix) else 0.0
        if difference > 1e-3 * float(matrix.abs().max() if len(matrix) else 0.0):
            raise InputError(f"the matrix is not symmetric: it differs from its transpose by up to {difference:.2g}")
        self._matrix = matrix

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._matrix), len(self._matrix)

    @property
    def dtype(self) -> torch.dtype:
        return self._matrix.dtype

    @property
    def device(self) -> torch.device:
        return self._matrix.device

    def _product(self, vectors: Float[Tensor, "parameters columns"]) -> Float[Tensor, "parameters columns"]:
        return self._matrix @ vectors


def check_tensor(given: Any, name: str) -> None:
    """Refuses what is no tensor, such as an array of NumPy: a vector, a basis, a direction."""
    if not isinstance(given, Tensor):
        raise InputError(f"{name}: a {type(given).__name__}, not a tensor; take torch.as_tensor(...) of it")


def random_signs(operator: SymmetricOperator, generator: torch.Generator) -> Float[Tensor, " parameters"]:
    """Entries of 1 or -1, with equal probability, where the operator takes them."""
    drawn = torch.randint(2, (operator.shape[0],), generator=generator, dtype=torch.int8)
    return (2 * drawn - 1).to(operator.device, operator.dtype)
