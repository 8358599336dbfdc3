"""An orthonormal basis of few vectors in a large space."""

import itertools
import math
from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

MEMORY = 4 << 30
"""Bytes for a basis and what is made of it, unless another budget is given."""

COLUMNS = 1 << 16
"""Inner products are added up in float64 over so many entries of the basis's own precision."""

BLOCK = 16
"""Vectors for which memory is taken at once."""


@final
class Basis:
    """Orthonormal vectors of one precision: the rows of blocks of memory, which are never copied as the basis grows.

    Args:
        parameters: length of the vectors.
        capacity: number of vectors at most.
        dtype: of the vectors; inner products are added up in float64.
        device: of the vectors.

    Example:
        >>> basis = Basis(3, 2, torch.float32, torch.device("cpu"))
        >>> basis.append(torch.tensor([0.0, 1.0, 0.0]))
        >>> vector = torch.tensor([3.0, 5.0, 4.0], dtype=torch.float64)
        >>> basis.orthogonalise(vector)
        (array([5.]), 5.0)
        >>> vector
        tensor([3., 0., 4.], dtype=torch.float64)
    """

    def __init__(self, parameters: int, capacity: int, dtype: torch.dtype, device: torch.device) -> None:
        self._blocks: list[Float[Tensor, "rows parameters"]] = []
        self._parameters, self._capacity, self._dtype, self._device = parameters, capacity, dtype, device
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Float[Tensor, " parameters"]:
        return self._blocks[index // BLOCK][index % BLOCK]

    def append(self, vector: Float[Tensor, " parameters"]) -> None:
        """One more unit vector, which is orthogonal to the others."""
        block, row = divmod(self._size, BLOCK)
        if block == len(self._blocks):
            rows = min(BLOCK, self._capacity - self._size)
            self._blocks.append(torch.empty((rows, self._parameters), dtype=self._dtype, device=self._device))
        self._blocks[block][row] = vector
        self._size += 1

    def orthogonalise(self, vector: Float64[Tensor, " parameters"]) -> tuple[Float64[np.ndarray, " size"], float]:
        """Takes the basis out of a vector, in place; what was taken out, and the norm of what is left.

        It does so a second time where the first one has cancelled much.
        """
        taken = np.zeros(len(self))
        norm, before = float(torch.linalg.vector_norm(vector)), math.inf
        for _ in range(2):
            if norm > 0.7 * before:
                break
            once = np.zeros(len(self))
            for rows, columns, block in self._parts():
                once[rows] += (block @ vector[columns].to(self._dtype)).double().cpu().numpy()
            self._add(vector, -once)
            taken += once
            norm, before = float(torch.linalg.vector_norm(vector)), norm
        return taken, norm

    def combine(self, coordinates: Float64[np.ndarray, "size columns"]) -> Float[Tensor, "parameters columns"]:
        """Vectors of given coordinates in the basis."""
        vectors = torch.empty((coordinates.shape[1], self._parameters), dtype=self._dtype, device=self._device)
        for vector, column in zip(vectors, coordinates.T, strict=True):
            total = torch.zeros(self._parameters, dtype=torch.float64, device=self._device)
            self._add(total, column)
            vector.copy_(total)
        return vectors.T

    def rotate(self, coordinates: Float64[np.ndarray, "size columns"]) -> None:
        """Replaces the basis by orthonormal combinations of its vectors, in place."""
        rotation = torch.from_numpy(coordinates.T.copy()).to(self._device)
        for start in range(0, self._parameters, COLUMNS):
            columns = slice(start, start + COLUMNS)
            old = torch.cat([block[:, columns] for block in self._blocks])[: self._size]
            new = (rotation @ old.double()).to(self._dtype)
            for block, rows in zip(self._blocks, new.split(BLOCK), strict=False):
                block[: len(rows), columns] = rows
        self._size = coordinates.shape[1]
        del self._blocks[-(-self._size // BLOCK) :]

    def _add(self, vector: Float64[Tensor, " parameters"], coordinates: Float64[np.ndarray, " size"]) -> None:
        weights = torch.from_numpy(coordinates).to(self._device, self._dtype)
        for rows, columns, block in self._parts():
            vector[columns] += block.T @ weights[rows]

    def _parts(self) -> Iterator[tuple[slice, slice, Float[Tensor, "rows columns"]]]:
        starts = itertools.product(range(0, len(self), BLOCK), range(0, self._parameters, COLUMNS))
        for first, start in starts:
            rows, columns = slice(first, min(first + BLOCK, len(self))), slice(start, start + COLUMNS)
            yield rows, columns, self._blocks[first // BLOCK][: rows.stop - rows.start, columns]
