"""The search for eigenpairs: extends a basis, restarts it where memory ends, probes for what it misses, checks."""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.curvature.lanczos import ASYMMETRY, Lanczos
from suffice.curvature.missing import MARGIN, longest_probe, may_hide
from suffice.curvature.operator import SymmetricOperator
from suffice.errors import InputError

RESTARTS = 300
"""After so many restarts without convergence there is an error."""


class EigenpairSearch:
    """The basis of `top_eigenpairs`, and the pairs that it holds so far."""

    def __init__(
        self,
        A: SymmetricOperator,
        count: int,
        tolerance: float,
        seed: int,
        capacity: int,
    ) -> None:
        self._operator, self._count, self._tolerance, self._seed = A, count, tolerance, seed
        self._lanczos, self._capacity, self._restarts = Lanczos(A, seed, capacity), capacity, 0
        self._decompose()

    def begin(self, start: Float[Tensor, " parameters"] | None) -> None:
        """The first vector of the basis; a random one by default."""
        if start is None:
            self._lanczos.add_random()
        else:
            self._lanczos.add(start)

    def converge(self) -> None:
        """Extends the basis until the residuals of all pairs are within their bounds."""
        lanczos = self._lanczos
        while self._left() > 0 and not (len(self._values) == self._count and (self._residuals <= self._bounds).all()):
            if lanczos.candidates == 0:
                lanczos.add_random()
            if self._room() < 1:
                self._restart(room=2 * (self._capacity - self._count - lanczos.candidates) // 3)
            candidate = lanczos.strongest(self._coordinates)
            for _ in range(1 + len(lanczos.basis) // 50):  # a large T is decomposed less often
                lanczos.extend(candidate)
                candidate = -1
                if self._room() < 1 or lanczos.candidates == 0:
                    break
            self._decompose()

    def finds_more(self) -> bool:
        """Runs a chain from a random vector, until it has found more, or excludes that there is more."""
        needed = 1 + min(longest_probe(self._operator.shape[0]), self._left())
        if self._room() < needed:
            self._restart(needed)
        dimension = self._left()
        if dimension == 0:
            return False
        self._lanczos.add_random()
        chain: list[tuple[float, float]] = []
        while may_hide(chain, max((1 + MARGIN) * abs(self._values[-1]), self._lanczos.noise), dimension):
            chain.append(self._lanczos.extend())
            self._decompose()
            if (self._residuals > 2 * self._bounds).any() or self._room() < 1:
                return True
        self.converge()  # where the chain has turned a pair by a little
        return False

    def checked(
        self,
    ) -> tuple[Float64[Tensor, " count"], Float[Tensor, "parameters count"], Float64[Tensor, " count"], int]:
        """Values, vectors, residuals that products of A confirm, and the number of all products."""
        self._lanczos.settle()
        self._decompose()
        vectors = self._lanczos.basis.combine(self._coordinates)
        signs = np.random.default_rng(self._seed).choice([-1.0, 1.0], self._count)
        difference = self._lanczos.remainder(self._coordinates @ signs) - self._residual(vectors, self._values, signs)
        deviation, products = float(torch.linalg.vector_norm(difference)), self._lanczos.products + 1
        norm = abs(float(self._values[0]))
        if deviation > ASYMMETRY * norm + self._lanczos.noise:
            raise InputError(
                f"the operator's products are not reproducible: they differ by {deviation:.2g}, its norm is {norm:.2g}"
            )
        residuals = np.hypot(self._residuals, deviation)
        if deviation > max(0.1 * self._tolerance * abs(self._values[-1]), self._lanczos.noise):
            residuals = np.array(
                [
                    float(torch.linalg.vector_norm(self._residual(vectors, self._values, unit)))
                    for unit in np.eye(self._count)
                ]
            )
            products += self._count
        device = self._operator.device
        return torch.from_numpy(self._values).to(device), vectors, torch.from_numpy(residuals).to(device), products

    def _left(self) -> int:
        """Dimensions outside the basis."""
        return self._operator.shape[0] - len(self._lanczos.basis)

    def _room(self) -> int:
        """Vectors that fit into the memory beside those that are there."""
        return self._capacity - len(self._lanczos.basis) - self._lanczos.candidates

    def _restart(self, room: int) -> None:
        """Keeps the largest Ritz vectors, so that so many further vectors fit into the memory."""
        keep = self._capacity - self._lanczos.candidates - room
        if room < 1 or keep < self._count:
            lacking = max(1 - room, self._count - keep) * self._operator.shape[0] * self._operator.dtype.itemsize
            raise InputError(
                f"memory: multiple eigenvalues take a further vector for each repetition; give {lacking:,} bytes more"
            )
        if self._restarts == RESTARTS:
            missing = int((self._residuals > self._bounds).sum())
            raise InputError(
                f"{missing} of {self._count} eigenpairs have not converged after {self._lanczos.products:,} products: "
                "ask for fewer, for a larger tolerance, or give more memory"
            )
        self._lanczos.restart(keep)
        self._restarts += 1
        self._decompose()

    def _decompose(self) -> None:
        values, coordinates = self._lanczos.ritz()
        self._values, self._coordinates = values[: self._count], coordinates[:, : self._count]
        self._residuals = self._lanczos.residuals(self._coordinates)
        self._bounds = np.maximum(self._tolerance * np.abs(self._values), self._lanczos.noise)

    def _residual(
        self,
        vectors: Float[Tensor, "parameters count"],
        values: Float64[np.ndarray, " count"],
        weights: Float64[np.ndarray, " count"],
    ) -> Float64[Tensor, " parameters"]:
        """That of the weighted sum of pairs, by a product of A."""
        combined, scaled = torch.zeros(2, len(vectors), dtype=torch.float64, device=vectors.device)
        for vector, value, weight in zip(vectors.T, values, weights, strict=True):
            combined += float(weight) * vector
            scaled += float(weight * value) * vector
        return cast(Tensor, (self._operator @ combined.to(vectors.dtype)).double() - scaled)
