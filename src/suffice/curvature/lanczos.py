"""Lanczos with full reorthogonalisation, from one start vector or several, restarted where memory ends."""

import math
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.curvature.basis import Basis
from suffice.curvature.operator import SymmetricOperator
from suffice.errors import InputError

ASYMMETRY = 1e-3
"""An operator whose u'Av and v'Au differ by more, relative to its norm, is refused."""

HALF_PRECISION = "; products of a model in bfloat16 or float16 round that much: measure model.float()"


@final
class Lanczos:
    r"""An orthonormal basis V, the operator on it, T, and the candidates C for its next vectors:

    .. math:: A V = V T + C S, \qquad T = V^\top A V,

    with S the couplings of the candidates to the basis. One candidate gives the method of Lanczos, where T is
    tridiagonal; a candidate that is added later, coupled to nothing, opens a second chain.

    Sources: J. I. Aliaga, D. L. Boley, R. W. Freund, V. Hernández, "A Lanczos-type method for multiple starting
    vectors", Mathematics of Computation 69, 2000, for several chains; K. Wu, H. Simon, "Thick-restart
    Lanczos method for large symmetric eigenvalue problems", SIAM Journal on Matrix Analysis and Applications 22, 2000,
    for `restart`; B. N. Parlett, "The Symmetric Eigenvalue Problem", SIAM 1998, section 6.9, for
    reorthogonalisation: "twice is enough".

    Args:
        operator: A.
        seed: random seed.
        capacity: basis vectors at most; the caller restarts before there are more.

    Attributes:
        basis: V.
        projected: T, in float64.
        products: of A with a vector, so far.

    Raises:
        InputError: an operator that is not symmetric.
    """

    def __init__(self, operator: SymmetricOperator, seed: int, capacity: int) -> None:
        self._operator = operator
        self._generator = torch.Generator().manual_seed(seed)
        self._candidates: list[Float[Tensor, " parameters"]] = []
        self._couplings = np.zeros((0, 0))
        self._norm = self._asymmetry = 0.0
        self._rounding = 10 * torch.finfo(operator.dtype).eps
        self.basis = Basis(operator.shape[0], capacity, operator.dtype, operator.device)
        self.projected = np.zeros((0, 0))
        self.products = 0

    @property
    def candidates(self) -> int:
        return len(self._candidates)

    @property
    def noise(self) -> float:
        """What rounding does to a product with a unit vector, at least: nothing smaller is meaningful."""
        return max(self._rounding * self._norm, self._asymmetry)

    def add(self, vector: Float[Tensor, " parameters"]) -> None:
        """One more candidate, of unit norm, coupled to nothing."""
        self._candidates.append(vector)
        self._couplings = np.vstack([self._couplings, np.zeros((1, len(self.basis)))])

    def add_random(self) -> None:
        """One more candidate, uniform over the unit sphere of what is orthogonal to the basis."""
        left = 0.0
        while left <= self._rounding:  # a start from a generator with this seed is the first that is drawn here
            drawn = self.random()
            _, left = self.basis.orthogonalise(drawn)
        self.add((drawn / left).to(self._operator.dtype))

    def random(self) -> Float64[Tensor, " parameters"]:
        """A vector uniform over the unit sphere."""
        drawn = torch.randn(self._operator.shape[0], generator=self._generator, dtype=torch.float64)
        drawn /= torch.linalg.vector_norm(drawn)
        return drawn.to(self._operator.device)

    def extend(self, candidate: int = -1) -> tuple[float, float]:
        """Takes a candidate into the basis; the new diagonal entry of T, and the coupling of the next candidate.

        A coupling of 0 says that the chain has ended, in an invariant subspace; the basis may hold all of the candidate
        already, which then takes no product. A coupling as small as the rounding error is kept: its candidate is as
        good as any other direction.
        """
        vector = self._candidates[candidate].double()
        _, left = self.basis.orthogonalise(vector)
        vector = (vector / left).to(self._operator.dtype)
        overlaps = np.array([float(torch.dot(other.double(), vector.double())) for other in self._candidates])
        expected = overlaps @ self._couplings
        del self._candidates[candidate]
        self._couplings = np.delete(self._couplings, candidate, axis=0)
        if left <= self._rounding:
            return 0.0, 0.0
        product = (self._operator @ vector).double()
        self.products += 1
        self._norm = max(self._norm, float(torch.linalg.vector_norm(product)), self._operator.scale)
        self.basis.append(vector)
        column, coupling = self.basis.orthogonalise(product)
        self._look_at_symmetry(column[:-1], expected)
        self.projected = np.block([[self.projected, column[:-1, None]], [column[None]]])
        self._couplings = np.hstack([self._couplings, np.zeros((len(self._couplings), 1))])
        if coupling == 0:
            return float(column[-1]), 0.0
        self.add((product / coupling).to(self._operator.dtype))
        self._couplings[-1, -1] = coupling
        return float(column[-1]), coupling

    def ritz(self) -> tuple[Float64[np.ndarray, " size"], Float64[np.ndarray, "size size"]]:
        """The Ritz values, the largest by magnitude first, and the coordinates of their vectors in the basis."""
        values, coordinates = np.linalg.eigh(self.projected)
        order = np.argsort(-np.abs(values), kind="stable")
        return values[order], coordinates[:, order]

    def residuals(self, coordinates: Float64[np.ndarray, "size columns"]) -> Float64[np.ndarray, " columns"]:
        r"""Those of Ritz vectors, :math:`\|C S y\|`, but for rounding.

        Upper bounds, as long as candidates of other chains hold parts of what came into the basis after them.
        """
        if not self._candidates:
            return np.zeros(coordinates.shape[1])
        candidates = [candidate.double() for candidate in self._candidates]
        gram = np.array([[float(torch.dot(one, other)) for one in candidates] for other in candidates])
        parts = self._couplings @ coordinates
        return np.asarray(np.sqrt(np.maximum(np.einsum("in,ij,jn->n", parts, gram, parts), 0.0)))

    def strongest(self, coordinates: Float64[np.ndarray, "size columns"]) -> int:
        """The candidate that the residuals of some Ritz vectors owe most to."""
        return int(np.argmax(np.linalg.norm(self._couplings @ coordinates, axis=1)))

    def restart(self, keep: int) -> None:
        """Keeps the space of the largest Ritz vectors by magnitude, and the candidates."""
        values, coordinates = self.ritz()
        self.basis.rotate(coordinates[:, :keep])
        self.projected = np.diag(values[:keep])
        self._couplings = self._couplings @ coordinates[:, :keep]

    def settle(self) -> None:
        """Takes the basis out of the candidates; residuals are exact then, but for rounding."""
        for index, candidate in enumerate(self._candidates):
            vector = candidate.double()
            _, left = self.basis.orthogonalise(vector)
            self._candidates[index] = (vector / max(left, self._rounding)).to(self._operator.dtype)
            self._couplings[index] *= max(left, self._rounding)

    def remainder(self, coordinates: Float64[np.ndarray, " size"]) -> Float64[Tensor, " parameters"]:
        r"""The vector :math:`C S y`, without what of it is in the basis by now."""
        vector = torch.zeros(self._operator.shape[0], dtype=torch.float64, device=self._operator.device)
        for candidate, part in zip(self._candidates, self._couplings @ coordinates, strict=True):
            vector += float(part) * candidate
        self.basis.orthogonalise(vector)
        return vector

    def _look_at_symmetry(self, found: Float64[np.ndarray, " size"], expected: Float64[np.ndarray, " size"]) -> None:
        """The products so far say what the next one is in the basis, if A is symmetric."""
        self._asymmetry = max(self._asymmetry, float(np.linalg.norm(found - expected)))
        if self._asymmetry > ASYMMETRY * self._norm:
            raise InputError(
                f"the operator is not symmetric: u'Av and v'Au differ by {self._asymmetry / self._norm:.1%} of its "
                f"norm{HALF_PRECISION}"
            )


def as_start(vector: Float[Tensor, " parameters"], operator: SymmetricOperator) -> Float[Tensor, " parameters"]:
    """The vector with unit norm, in the operator's dtype.

    Raises:
        InputError: a vector of another shape, zero, or not finite.
    """
    if vector.shape != operator.shape[1:]:
        raise InputError(f"start has the shape {tuple(vector.shape)}, it must be ({operator.shape[1]},)")
    norm = float(torch.linalg.vector_norm(vector.double()))
    if not 0 < norm < math.inf:
        raise InputError(f"start has the norm {norm}: give a vector that is finite and not zero")
    return (vector.double() / norm).to(operator.device, operator.dtype)


def check_tolerance(tolerance: float, dtype: torch.dtype) -> None:
    """Refuses what rounding makes meaningless.

    Raises:
        InputError: a tolerance below 10 eps of the dtype, or not below 1.
    """
    least = 10 * torch.finfo(dtype).eps
    if not least <= tolerance < 1:
        raise InputError(
            f"tolerance is {tolerance:g}: it must be below 1, and at least {least:.1e}, the rounding of {dtype}"
        )
