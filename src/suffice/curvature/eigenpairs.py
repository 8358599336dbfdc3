"""The eigenpairs of a symmetric operator that are largest by magnitude."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.curvature.basis import MEMORY
from suffice.curvature.lanczos import ASYMMETRY, HALF_PRECISION, as_start, check_tolerance
from suffice.curvature.missing import longest_probe
from suffice.curvature.operator import SymmetricOperator
from suffice.curvature.search import EigenpairSearch
from suffice.errors import InputError
from suffice.results import Eigenvalue, Eigenvalues
from suffice.shown import Shown


@dataclass(frozen=True, eq=False)
class Eigenpairs(Shown):
    r"""Eigenvalues and eigenvectors. It unpacks into values, vectors, residuals.

    Attributes:
        values: :math:`\lambda_i`, the largest by magnitude first.
        vectors: :math:`v_i`, orthonormal columns in the operator's dtype.
        residuals: :math:`\|A v_i - \lambda_i v_i\|`; an eigenvalue of A is at most so far from :math:`\lambda_i`.
        products: of A with a vector that were spent, checks included.
    """

    values: Float64[Tensor, " count"]
    vectors: Float[Tensor, "parameters count"]
    residuals: Float64[Tensor, " count"]
    products: int

    def __iter__(self) -> Iterator[Tensor]:
        yield from (self.values, self.vectors, self.residuals)

    def plain(self) -> Eigenvalues:
        """The eigenvalues and residuals, without the vectors.

        Example:
            >>> from suffice.curvature.operator import SymmetricMatrix
            >>> pairs = top_eigenpairs(SymmetricMatrix(torch.diag(torch.tensor([1.0, -4.0, 2.0]))), 2)
            >>> pairs.to_dataframe()["eigenvalue"].round(3).tolist()
            [-4.0, 2.0]
        """
        pairs = zip(self.values.tolist(), self.residuals.tolist(), strict=True)
        return Eigenvalues(
            parameters=len(self.vectors),
            eigenvalues=[Eigenvalue(value=value, residual=residual) for value, residual in pairs],
        )


class EigenpairsMemory(NamedTuple):
    """Bytes that `top_eigenpairs` needs at least, and bytes with which it runs most spectra without a restart."""

    least: int
    unrestarted: int


def top_eigenpairs(
    A: SymmetricOperator,
    count: int,
    tolerance: float = 1e-3,
    start: Float[Tensor, " parameters"] | None = None,
    seed: int = 0,
    memory: int = MEMORY,
) -> Eigenpairs:
    r"""The eigenpairs :math:`A v_i = \lambda_i v_i` with the largest :math:`|\lambda_i|`, negative ones among them.

    The method of Lanczos with full reorthogonalisation runs until :math:`\|A v_i - \lambda_i v_i\|` is at most
    tolerance :math:`\times |\lambda_i|` for all ``count`` pairs. It restarts only where the basis does not fit into the
    memory. A start vector sees one eigenvector of a multiple eigenvalue, so a second chain follows from a random vector
    orthogonal to the first. This probe ends when it excludes a missing eigenvalue larger than 1.25 times the last one
    found: a random vector has, with probability 0.99, more weight on its eigenvector than the moments of the chain
    allow. What the probe finds joins the pairs.

    One more product, with a random combination of the pairs, checks all residuals at once. If it differs from the
    basis's prediction by a tenth of the tolerance or more, each residual is computed by its own product. Rounding
    limits residuals to about :math:`10 \epsilon |\lambda_1|`, in float32 :math:`10^{-6} |\lambda_1|`. A pair with
    such a residual counts as converged, whatever the tolerance. So does one that products reach only to their own lower
    accuracy, as far as :math:`u^\top A v - v^\top A u` shows it.

    Args:
        A: the operator, (P, P).
        count: number of pairs, 1 to P.
        tolerance: of each residual relative to its eigenvalue, from 10 eps of A's dtype to 1.
        start: first vector of the basis, as an eigenvector of a similar operator; random by default.
        seed: random seed.
        memory: bytes for basis and result; see `eigenpairs_memory`.

    Raises:
        InputError: count, tolerance, start or memory out of range; an operator that is not symmetric or not
            reproducible, or products that are not finite; no convergence after 300 restarts.

    Sources: Y. Saad, "Numerical Methods for Large Eigenvalue Problems", 2nd edition, SIAM 2011, chapter 6, for the
    method; `Lanczos` for its chains and restarts; N. I. Akhiezer, "The Classical Moment Problem", Oliver and Boyd 1965,
    chapter 2, for the largest weight at x that given moments allow, :math:`1 / \sum_j p_j(x)^2` with the orthonormal
    polynomials :math:`p_j`.

    Example:
        >>> from suffice.curvature.operator import SymmetricMatrix
        >>> A = SymmetricMatrix(torch.diag(torch.tensor([1.0, -4.0, 3.0])))
        >>> values, vectors, residuals = top_eigenpairs(A, count=2)
        >>> values
        tensor([-4.,  3.], dtype=torch.float64)
        >>> vectors.abs()
        tensor([[0., 0.],
                [1., 0.],
                [0., 1.]])
    """
    parameters = A.shape[0]
    if not 1 <= count <= parameters:
        raise InputError(f"count is {count}: an operator of size {parameters} has 1 to {parameters} eigenpairs")
    check_tolerance(tolerance, A.dtype)
    first = None if start is None else as_start(start, A)
    if parameters <= 2 * count + 10:
        return _dense(A, count)
    search = EigenpairSearch(A, count, tolerance, seed, _capacity(parameters, count, A.dtype, memory))
    search.begin(first)
    search.converge()
    while search.finds_more():
        search.converge()
    return Eigenpairs(*search.checked())


def eigenpairs_memory(parameters: int, count: int, dtype: torch.dtype = torch.float32) -> EigenpairsMemory:
    """What `top_eigenpairs` takes beside the products of the operator, known before it runs.

    Args:
        parameters: P.
        count: number of pairs.
        dtype: the operator's.

    Example:
        >>> eigenpairs_memory(1_000_000, count=10)
        EigenpairsMemory(least=216000000, unrestarted=360000000)
    """
    vector = parameters * dtype.itemsize
    least = min(_least_capacity(parameters, count), parameters)
    unrestarted = min(max(least, 4 * count + 30), parameters)
    fixed = _fixed_memory(parameters, count, dtype)
    return EigenpairsMemory(fixed + least * vector, fixed + unrestarted * vector)


def _dense(A: SymmetricOperator, count: int) -> Eigenpairs:
    """By the whole matrix, where a basis would soon be as large."""
    parameters = A.shape[0]
    matrix = (A @ torch.eye(parameters, dtype=A.dtype, device=A.device)).double()
    if float((matrix - matrix.T).abs().max()) > ASYMMETRY * float(matrix.abs().max()):
        raise InputError(f"the operator is not symmetric: A differs from its transpose{HALF_PRECISION}")
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    order = values.abs().argsort(descending=True, stable=True)[:count]
    values, vectors = values[order], vectors[:, order].to(A.dtype)
    residuals = torch.linalg.vector_norm(matrix @ vectors.double() - vectors * values, dim=0)
    return Eigenpairs(values, vectors, residuals, parameters)


def _least_capacity(parameters: int, count: int) -> int:
    """Vectors: the pairs, the longest probe, and two candidates."""
    return count + longest_probe(parameters) + 4


def _fixed_memory(parameters: int, count: int, dtype: torch.dtype) -> int:
    """Bytes of the result, and of five vectors in float64 while the basis is extended."""
    return parameters * (count * dtype.itemsize + 5 * torch.float64.itemsize)


def _capacity(parameters: int, count: int, dtype: torch.dtype, memory: int) -> int:
    """Vectors of the basis and candidates that fit into the memory."""
    least = eigenpairs_memory(parameters, count, dtype).least
    if memory < least:
        raise InputError(
            f"memory is {memory:,} bytes: {count} eigenpairs of an operator of size {parameters:,} need {least:,}"
        )
    return (memory - _fixed_memory(parameters, count, dtype)) // (parameters * dtype.itemsize)
