"""A dense Hessian, assembled from its blocks."""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.kronecker import Coupling, Piece, Side, WeightMatrix, empty


class Assembly:
    """A dense symmetric matrix over all weights. Its lower half is filled, and mirrored at the end.

    Args:
        matrices: the weight matrices, in their order.
        like: a tensor with the dtype and device.
    """

    def __init__(self, matrices: Sequence[WeightMatrix], like: Tensor) -> None:
        self._slices = slices_in_order({matrix: matrix.size for matrix in matrices})
        size = sum(matrix.size for matrix in matrices)
        self._dense = empty(size * size, like).view(size, size)
        self._reached: set[tuple[WeightMatrix, WeightMatrix]] = set()

    def add(self, piece: Piece | Coupling) -> None:
        """Adds second derivatives in the weights of two sides, or a coupling of all weights."""
        if isinstance(piece, Coupling):
            self._add_coupling(piece.jacobian, piece.middle)
            return
        left, right, values = piece
        diagonal = values.ndim == 3
        swapped = values.permute(2, 1, 0) if diagonal else values.permute(2, 3, 0, 1)
        if self._slices[left.matrix].start < self._slices[right.matrix].start:
            self._add(right, left, swapped, diagonal)
        else:
            self._add(left, right, values, diagonal)
            if left.matrix is right.matrix and left is not right:
                self._add(right, left, swapped, diagonal)

    def _add_coupling(
        self,
        jacobian: Mapping[WeightMatrix, Float[Tensor, "samples rank rows columns"]],
        middle: Float[Tensor, "samples rank rank"],
    ) -> None:
        """Adds sum_i J_i' M_i J_i."""
        J = {matrix: jacobian[matrix].flatten(2) for matrix in self._slices}
        MJ = {matrix: (middle @ part).flatten(0, 1) for matrix, part in J.items()}
        for column, row in itertools.combinations_with_replacement(self._slices, 2):
            block = self._dense[self._slices[row], self._slices[column]]
            block.addmm_(J[row].flatten(0, 1).mT, MJ[column], beta=float((row, column) in self._reached))
            self._reached.add((row, column))

    def finish(self) -> Float[Tensor, "P P"]:
        """The whole matrix."""
        for column, row in itertools.combinations_with_replacement(self._slices, 2):
            lower = self._dense[self._slices[row], self._slices[column]]
            if (row, column) not in self._reached:
                lower.zero_()
            if row is not column:
                self._dense[self._slices[column], self._slices[row]] = lower.mT
        return self._dense

    def _add(self, row: Side, column: Side, values: Tensor, diagonal: bool) -> None:
        block = self._dense[self._slices[row.matrix], self._slices[column.matrix]]
        pair = row.matrix, column.matrix
        whole = row.whole and column.whole and not diagonal
        if pair not in self._reached and not whole:
            block.zero_()
        view = block.unflatten(1, column.matrix.shape).unflatten(0, row.matrix.shape)
        view = column.part(row.part(view), 2)
        if diagonal:
            view.diagonal(dim1=1, dim2=3).add_(values.transpose(1, 2))
        elif pair in self._reached or not whole:
            view.add_(values)
        else:
            view.copy_(values)
        self._reached.add(pair)


Key = TypeVar("Key", bound=Hashable)


def slices_in_order(sizes: Mapping[Key, int]) -> dict[Key, slice]:
    """The slice of each key, if as many entries as it has follow one another.

    Example:
        >>> slices_in_order({"W_1": 8, "b_1": 2})
        {'W_1': slice(0, 8, None), 'b_1': slice(8, 10, None)}
    """
    ends = list(itertools.accumulate(sizes.values()))
    return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
