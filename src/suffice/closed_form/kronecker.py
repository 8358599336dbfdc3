"""Sums of Kronecker products over tokens: their products with vectors, traces, and dense blocks.

Every Hessian here is a sum over samples and tokens n of A_n (x) (v_n w_n') between two matrices of weights: the vectors
v_n and w_n multiply the weights from the left, A_n couples their columns. So a block of the Hessian is one matrix
product over all tokens, and its product with a vector needs only small ones.

K-FAC (J. Martens, R. Grosse, arXiv 1503.05671) approximates such a sum, of the outer-product part, by one product.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

EVERY = slice(None)


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """A matrix of weights with its bias as the last row: the matrix that multiplies [v, 1].

    Attributes:
        sizes: its parameters and their sizes, in the order in which the matrix, flattened row by row, holds them.
        shape: rows and columns. Gamma and beta of a normalisation are one row, side by side.
    """

    sizes: Mapping[str, int]
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Side:
    """How a part of a matrix W of weights moves a vector U of each token: dU/dW[a, b] = v[a] G[:, b] for some G.

    Attributes:
        matrix: W.
        vector: v of each token, or one v for all of them.
        rows, columns: the part of W.
        transposed: whether W' takes the place of W: then v has an entry for each column of W, and G a column for each
            row.
    """

    matrix: WeightMatrix
    vector: Float[Tensor, "#samples #tokens rows"]
    rows: slice = field(default_factory=lambda: EVERY)
    columns: slice = field(default_factory=lambda: EVERY)
    transposed: bool = False

    def part(self, weights: Tensor, dim: int = 0) -> Tensor:
        """This part of a tensor that has W's rows and columns at ``dim`` and ``dim + 1``."""
        part = weights[(EVERY,) * dim + (self.rows, self.columns)]
        return part.transpose(dim, dim + 1) if self.transposed else part

    @property
    def whole(self) -> bool:
        return self.rows == EVERY and self.columns == EVERY


@dataclass(frozen=True, eq=False)
class Meeting:
    """sum_n (K_n' G_n) (x) (w_n v_n') between several sides and one side, and its transpose.

    The last of the others may be the side itself: that part is symmetric and counts once.

    Attributes:
        side: with v.
        G: for each token, a matrix with the columns of the side; None is the identity.
        others: each with its w.
        K: for each token, the matrices of the others side by side.
        columns: the columns of K that belong to each of the others.
    """

    side: Side
    G: Float[Tensor, "#samples #tokens u columns"] | None
    others: Sequence[Side]
    K: Float[Tensor, "samples tokens u all"]
    columns: Sequence[slice]


@dataclass(frozen=True, eq=False)
class Term:
    """sum_n A_n (x) (v_n w_n') between two sides, and its transpose unless they are the same side.

    Attributes:
        left, right: the sides with v and w.
        A: for each token, columns of the left by columns of the right side.
        diagonal: whether A is diagonal and holds only its diagonal.
    """

    left: Side
    right: Side
    A: Float[Tensor, "#samples #tokens q *r"]
    diagonal: bool = False


@dataclass(frozen=True, eq=False)
class Coupling:
    """sum_i J_i' M_i J_i: the outer-product part where the loss couples the tokens of a sample.

    Attributes:
        middle: M of each sample.
        jacobian: J of each sample, (samples, rank, rows, columns) for each weight matrix.
    """

    middle: Float[Tensor, "samples rank rank"]
    jacobian: Mapping[WeightMatrix, Tensor]

    def multiply(self, weights: "Weights", wanted: Sequence[WeightMatrix]) -> dict[WeightMatrix, Tensor]:
        """The product with k vectors, in some of the matrices."""
        images = [torch.einsum("srab,abk->srk", self.jacobian[matrix], W) for matrix, W in weights.items()]
        back = self.middle @ torch.stack(images).sum(0)
        return {matrix: torch.einsum("srab,srk->abk", self.jacobian[matrix], back) for matrix in wanted}

    def trace(self) -> float:
        """The sum of the diagonal entries."""
        flat = [J.flatten(2) for J in self.jacobian.values()]
        return sum(float((J * (self.middle @ J)).sum()) for J in flat)


Summand: TypeAlias = Meeting | Term | Coupling


class Piece(NamedTuple):
    """Second derivatives in the weights of two sides.

    Attributes:
        left, right: the sides.
        values: [a, b, c, d] for left[a, b] and right[c, d]; or [a, b, c] where all entries with d != b are zero.
    """

    left: Side
    right: Side
    values: Tensor


Weights: TypeAlias = Mapping[WeightMatrix, Float[Tensor, "rows columns k"]]
"""k vectors of weights."""


class KroneckerSum:
    """A symmetric matrix over all weights, kept as its summands: products and traces need no dense block.

    Args:
        summands: all of them.
    """

    def __init__(self, summands: Iterable[Summand]) -> None:
        all_of_them = list(summands)
        self.meetings = [summand for summand in all_of_them if isinstance(summand, Meeting)]
        self.terms = [summand for summand in all_of_them if isinstance(summand, Term)]
        self.couplings = [summand for summand in all_of_them if isinstance(summand, Coupling)]
        self.samples, self.tokens = self.meetings[0].K.shape[:2]

    def multiply(self, weights: Weights, wanted: Sequence[WeightMatrix]) -> dict[WeightMatrix, Tensor]:
        """The product with k vectors, in some of the matrices.

        A matrix that is absent from ``weights`` counts as zero, and one that is absent from the product is zero.
        """
        images = {side: self._image(side, weights) for side in self._sides() if side.matrix in weights}
        sums: dict[Side, Tensor] = {}
        for side, product in self._moved(images, wanted):
            if side.matrix in wanted:
                sums[side] = sums[side] + product if side in sums else product
        products = self._gathered(sums)
        for coupling in self.couplings:
            for matrix, part in coupling.multiply(weights, wanted).items():
                products[matrix] = products[matrix] + part if matrix in products else part
        return products

    def _moved(
        self, images: Mapping[Side, Tensor], wanted: Sequence[WeightMatrix]
    ) -> Iterator[tuple[Side, Float[Tensor, "samples tokens q k"]]]:
        """sum A_n (w_n' W) of each token by side, at least for the matrices that are wanted."""
        for meeting in self.meetings:
            side, G, K = meeting.side, meeting.G, meeting.K
            met = [index for index, other in enumerate(meeting.others) if other in images]
            if met and side.matrix in wanted:
                if len(met) < len(meeting.others):
                    K = torch.cat([K[..., meeting.columns[index]] for index in met], -1)
                moved = K @ torch.cat([images[meeting.others[index]] for index in met], -2)
                yield side, moved if G is None else G.mT @ moved
            if side in images and any(other.matrix in wanted for other in meeting.others):
                moved = meeting.K.mT @ (images[side] if G is None else G @ images[side])
                for other, columns in zip(meeting.others, meeting.columns, strict=True):
                    if other is not side:
                        yield other, moved[..., columns, :]
        for term in self.terms:
            left, right, A = term.left, term.right, term.A
            if right in images:
                yield left, A[..., None] * images[right] if term.diagonal else A @ images[right]
            if left in images and left is not right:
                yield right, A[..., None] * images[left] if term.diagonal else A.mT @ images[left]

    def trace(self) -> float:
        """The sum of the diagonal entries."""
        total = sum((coupling.trace() for coupling in self.couplings), 0.0)
        for meeting in self.meetings:
            for other, columns in zip(meeting.others, meeting.columns, strict=True):
                if _same_weights(meeting.side, other):
                    K = meeting.K[..., columns]
                    trace = K.diagonal(dim1=-2, dim2=-1).sum(-1) if meeting.G is None else (K * meeting.G).sum((-2, -1))
                    total += self._trace(meeting.side, other, trace)
        for term in self.terms:
            if _same_weights(term.left, term.right):
                diagonal = term.A if term.diagonal else term.A.diagonal(dim1=-2, dim2=-1)
                total += self._trace(term.left, term.right, diagonal.sum(-1))
        return total

    def _sides(self) -> Iterable[Side]:
        """Every side once, in order."""
        met = (side for meeting in self.meetings for side in (*meeting.others, meeting.side))
        return dict.fromkeys([*met, *(side for term in self.terms for side in (term.left, term.right))])

    def _flat(self, tensor: Tensor) -> Tensor:
        """Samples and tokens as one dimension."""
        return tensor.expand(self.samples, self.tokens, *tensor.shape[2:]).flatten(0, 1)

    def _image(self, side: Side, weights: Weights) -> Float[Tensor, "samples tokens q k"]:
        """v' W of each token."""
        W = side.part(weights[side.matrix])
        image: Tensor = (side.vector @ W.flatten(1)).unflatten(-1, W.shape[1:])
        return image.expand(self.samples, self.tokens, -1, -1)

    def _gathered(self, sums: Mapping[Side, Float[Tensor, "..."]]) -> dict[WeightMatrix, Tensor]:
        """sum_n v_n u_n' of each side, in its part of the matrix."""
        products: dict[WeightMatrix, Tensor] = {}
        for side, total in sums.items():
            v, u = self._flat(side.vector), self._flat(total)
            if side.matrix not in products:
                products[side.matrix] = u.new_zeros(*side.matrix.shape, u.shape[-1])
            side.part(products[side.matrix]).add_((v.mT @ u.flatten(1)).unflatten(-1, u.shape[1:]))
        return products

    def _trace(self, left: Side, right: Side, traces: Float[Tensor, "#samples #tokens"]) -> float:
        """sum_n trace(A_n) v_n.w_n, and the same for the transpose."""
        each = (left.vector * right.vector).sum(-1) * traces
        return float(self._flat(each).sum()) * (1 if left is right else 2)


class Workspace:
    """Memory that is reused for every piece: to allocate it costs more than the arithmetic on it."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """A tensor with arbitrary values, in the memory of the last one with this name."""
        size = math.prod(shape)
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = empty(size, like)
        return self._buffers[name][:size].view(shape)


def pieces(summands: Iterable[Summand], workspace: Workspace) -> Iterator[Piece | Coupling]:
    """The dense matrix as a sum of pieces, each pair of weights in one order; couplings stay as they are.

    The values of a piece lie in the workspace: the next piece overwrites them.
    """
    vectors: dict[Side, Tensor] = {}
    for item in summands:
        if isinstance(item, Coupling):
            yield item
            continue
        if isinstance(item, Meeting):
            K, G = item.K, item.G
            shape = K.shape[:2]
            A = workspace.take("coefficients", (*shape, K.shape[-1], K.shape[-2] if G is None else G.shape[-1]), K)
            A = (A.copy_(K.mT) if G is None else torch.matmul(K.mT, G, out=A)).flatten(0, 1)
            v = _vectors(item.side, shape, vectors)
            for other, columns in zip(item.others, item.columns, strict=True):
                yield Piece(other, item.side, _sum(_vectors(other, shape, vectors), v, A[:, columns], workspace))
            continue
        shape = torch.broadcast_shapes(item.left.vector.shape[:2], item.right.vector.shape[:2], item.A.shape[:2])
        v, w = _vectors(item.left, shape, vectors), _vectors(item.right, shape, vectors)
        A = item.A.expand(*shape, *item.A.shape[2:]).flatten(0, 1)
        if item.diagonal:
            values = ((v[:, None] * A.mT).flatten(0, 1) @ w.mT).unflatten(0, (len(v), -1))
        else:
            values = _sum(v, w, A, workspace)
        yield Piece(item.left, item.right, values)


def _vectors(side: Side, shape: Sequence[int], known: dict[Side, Tensor]) -> Float[Tensor, "rows all"]:
    """v of every token as a column; kept in ``known``."""
    if side not in known:
        known[side] = side.vector.expand(*shape, -1).flatten(0, 1).mT.contiguous()
    return known[side]


def empty(size: int, like: Tensor) -> Float[Tensor, " size"]:
    """New memory. NumPy asks the system for huge pages, which are several times faster to write than small ones."""
    return torch.from_numpy(np.empty(size, like.numpy().dtype)) if like.is_cpu else like.new_empty(size)


def _sum(
    v: Float[Tensor, "p all"], w: Float[Tensor, "o all"], A: Float[Tensor, "all q r"], workspace: Workspace
) -> Float[Tensor, "p q o r"]:
    """sum_n A_n[b, d] v_n[a] w_n[c] as [a, b, c, d]: one matrix product."""
    (p, n), o, (q, r) = v.shape, len(w), A.shape[1:]
    pairs = torch.mul(v[:, None], w, out=workspace.take("pairs", (p, o, n), v))
    total = torch.mm(pairs.flatten(0, 1), A.flatten(1), out=workspace.take("sum", (p * o, q * r), v))
    return total.view(p, o, q, r).transpose(1, 2)


def _same_weights(left: Side, right: Side) -> bool:
    return left.matrix is right.matrix and (left.rows, left.columns) == (right.rows, right.columns)
