"""Sums of Kronecker products over tokens: multiplied with vectors, traced, and added up in dense blocks.

Every Hessian here is a sum over samples and tokens n of (L_n' R_n) (x) (v_n w_n') between two matrices of weights: the
vectors v_n and w_n enter the weights from the left, L_n' R_n couples their columns. So a block of the Hessian is one
matrix product over all tokens, and its product with a vector needs only small ones.

Source: theory, section 4.2. K-FAC (J. Martens, R. Grosse, 2015) approximates such a sum by one Kronecker product.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

EXPANDED_BYTES = 16 << 20
"""So much of the sum is expanded at a time for a dense block."""

EVERY = slice(None)


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """A matrix of weights with its bias as the last row, as it meets the vector [v, 1].

    Attributes:
        sizes: its parameters and their sizes, one after the other where the matrix is read row by row.
        shape: rows and columns. Gamma and beta of a normalisation stand side by side in one row.
    """

    sizes: Mapping[str, int]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Side:
    """How a part of a matrix W of weights moves a vector U of each token: dU/dW[a, b] = v[a] G[:, b] for some G.

    Attributes:
        matrix: W.
        vector: v of each token, or one for all of them.
        rows, columns: the part of W.
        transposed: W' stands in place of W: v goes along the columns of W, and G along its rows.
    """

    matrix: WeightMatrix
    vector: Float[Tensor, "#samples #tokens rows"]
    rows: slice = field(default_factory=lambda: EVERY)
    columns: slice = field(default_factory=lambda: EVERY)
    transposed: bool = False

    def part(self, weights: Tensor, dim: int = 0) -> Tensor:
        """This part of a tensor that has W's rows and columns at ``dim`` and ``dim + 1``."""
        return self.oriented(weights[(EVERY,) * dim + (self.rows, self.columns)], dim)

    def oriented(self, weights: Tensor, dim: int) -> Tensor:
        """From W to W' and back, if this side is transposed."""
        return weights.transpose(dim, dim + 1) if self.transposed else weights

    @property
    def whole(self) -> bool:
        return self.rows == EVERY and self.columns == EVERY


@dataclass(frozen=True, eq=False)
class Term:
    """sum_n (L_n' R_n + diag(s_n)) (x) (v_n w_n') between two sides, together with its transpose.

    Where both sides are the same object, the term is symmetric by itself and counts once. If only one of L and R is
    given, the other is the identity; if none is, there is only the diagonal.

    Attributes:
        left, right: the sides with v and w.
        L, R: for each token, rank x columns of the left and of the right side.
        diagonal: s, for each token or one for all.
    """

    left: Side
    right: Side
    L: Float[Tensor, "#samples #tokens rank q"] | None = None
    R: Float[Tensor, "#samples #tokens other_rank r"] | None = None
    diagonal: Float[Tensor, "#samples #tokens s"] | None = None

    @property
    def symmetric(self) -> bool:
        return self.left is self.right

    @property
    def only_diagonal(self) -> bool:
        return self.L is None and self.R is None

    @property
    def columns(self) -> tuple[int, int]:
        """The columns of the left and of the right side."""
        L, R = self.L, self.R
        if L is None and R is None:
            return self.diagonal.shape[-1], self.diagonal.shape[-1]
        return (R.shape[-2] if L is None else L.shape[-1]), (L.shape[-2] if R is None else R.shape[-1])

    def swapped(self) -> "Term":
        """The transpose."""
        return Term(self.right, self.left, self.R, self.L, self.diagonal)

    def times(self, image: Float[Tensor, "samples tokens r k"]) -> Float[Tensor, "samples tokens q k"]:
        """(L_n' R_n + diag(s_n)) times a matrix of each token."""
        result = torch.zeros(()) if self.diagonal is None else self.diagonal[..., None] * image
        if self.only_diagonal:
            return result
        inner = image if self.R is None else self.R @ image
        return result + (inner if self.L is None else self.L.mT @ inner)


class Workspace:
    """Two pieces of memory that every block uses again: fresh memory costs more than the arithmetic on it."""

    def __init__(self, like: Tensor) -> None:
        self._buffers = [like.new_empty(0), like.new_empty(0)]

    def take(self, which: int, *shape: int) -> Tensor:
        """A tensor with any values; it shares its memory with the last one of this kind."""
        size = int(torch.Size(shape).numel())
        if self._buffers[which].numel() < size:
            self._buffers[which] = self._buffers[which].new_empty(size)
        return self._buffers[which][:size].view(shape)


class KroneckerSum:
    """A symmetric matrix over all weights, as a sum of terms.

    Args:
        terms: each pair of sides in one of its two orders.
        samples, tokens: how many the terms run over.
    """

    def __init__(self, terms: Sequence[Term], samples: int, tokens: int) -> None:
        self.terms, self.samples, self.tokens = terms, samples, tokens

    def multiply(
        self, weights: Mapping[WeightMatrix, Tensor], wanted: Sequence[WeightMatrix]
    ) -> dict[WeightMatrix, Tensor]:
        """The rows of some matrices in the product with k vectors, (rows, columns, k) for each matrix.

        A matrix that is absent from ``weights`` counts as zero, one that is absent from the product is zero.
        """
        images: dict[Side, Tensor] = {}
        for side in self._sides():
            if side.matrix in weights:
                part = side.part(weights[side.matrix])
                images[side] = (side.vector @ part.flatten(1)).unflatten(-1, part.shape[1:])
        sums: dict[Side, Tensor] = {}
        for term in self.terms:
            for way in (term,) if term.symmetric else (term, term.swapped()):
                if way.right in images and way.left.matrix in wanted:
                    product = way.times(images[way.right])
                    sums[way.left] = sums[way.left] + product if way.left in sums else product
        like = next(iter(weights.values()))
        products: dict[WeightMatrix, Tensor] = {}
        for side, total in sums.items():
            if side.matrix not in products:
                products[side.matrix] = like.new_zeros(*side.matrix.shape, like.shape[-1])
            v, u = self._flat(side.vector), self._flat(total)
            side.part(products[side.matrix]).add_((v.mT @ u.flatten(1)).unflatten(-1, u.shape[1:]))
        return products

    def block(
        self, left: WeightMatrix, right: WeightMatrix, workspace: Workspace
    ) -> Float[Tensor, "rows columns other_rows other_columns"] | None:
        """One dense block, [a, b, c, d] between left[a, b] and right[c, d]; None where no term reaches it.

        It lies in the workspace: the next call overwrites it.
        """
        terms = list(self._between(left, right))
        if not terms:
            return None
        # a term that covers the block is written where the others are added
        terms.sort(key=lambda term: term.only_diagonal or not (term.left.whole and term.right.whole))
        first = terms[0]
        if not first.only_diagonal and first.left.whole and first.right.whole:
            block = first.right.oriented(first.left.oriented(self._expanded(first, workspace, 0), 0), 2)
            terms = terms[1:]
        else:
            block = workspace.take(0, *left.shape, *right.shape).zero_()
        for term in terms:
            part = term.right.part(term.left.part(block), 2)
            if term.only_diagonal:
                part.diagonal(dim1=1, dim2=3).add_(self._expanded_diagonal(term))
            else:
                part.add_(self._expanded(term, workspace, 1))
        return block

    def trace(self) -> float:
        """The sum of the diagonal entries."""
        total = 0.0
        for term in self.terms:
            left, right = term.left, term.right
            if left.matrix is right.matrix and left.rows == right.rows and left.columns == right.columns:
                A = self._coefficients(term)
                vw = (self._flat(left.vector) * self._flat(right.vector)).sum(-1)
                total += float(A.diagonal(dim1=1, dim2=2).sum(-1) @ vw) * (1 if term.symmetric else 2)
        return total

    def of(self, sample: int) -> "KroneckerSum":
        """The part of one sample."""

        def cut(tensor: Tensor | None) -> Tensor | None:
            return tensor if tensor is None or len(tensor) == 1 else tensor[sample : sample + 1]

        sides = {side: replace(side, vector=cut(side.vector)) for side in self._sides()}
        terms = [
            Term(sides[term.left], sides[term.right], cut(term.L), cut(term.R), cut(term.diagonal))
            for term in self.terms
        ]
        return KroneckerSum(terms, 1, self.tokens)

    def _sides(self) -> dict[Side, None]:
        """Every side once, in order."""
        return dict.fromkeys(side for term in self.terms for side in (term.left, term.right))

    def _between(self, left: WeightMatrix, right: WeightMatrix) -> Iterator[Term]:
        for term in self.terms:
            if term.left.matrix is left and term.right.matrix is right:
                yield term
            if not term.symmetric and term.right.matrix is left and term.left.matrix is right:
                yield term.swapped()

    def _flat(self, tensor: Tensor) -> Tensor:
        """Samples and tokens as one dimension."""
        return tensor.expand(self.samples, self.tokens, *tensor.shape[2:]).flatten(0, 1)

    def _coefficients(self, term: Term, chunk: slice = EVERY) -> Float[Tensor, "chunk q r"]:
        """L_n' R_n + diag(s_n) of some tokens."""
        L, R, s = (None if tensor is None else self._flat(tensor)[chunk] for tensor in (term.L, term.R, term.diagonal))
        if s is None:
            return _product(L, R)
        return torch.diag_embed(s) if term.only_diagonal else torch.diag_embed(s) + _product(L, R)

    def _expanded(self, term: Term, workspace: Workspace, which: int) -> Float[Tensor, "p q o r"]:
        """sum_n A_n[b, d] v_n[a] w_n[c] as [a, b, c, d]: one matrix product, over some tokens at a time."""
        v, w = self._flat(term.left.vector), self._flat(term.right.vector)
        p, o = v.shape[1], w.shape[1]
        q, r = term.columns
        chunk = max(1, EXPANDED_BYTES // (v.element_size() * (p * o + q * r)))
        total = workspace.take(which, p * o, q * r)
        for start in range(0, len(v), chunk):
            tokens = slice(start, start + chunk)
            vw = (v[tokens, :, None] * w[tokens, None, :]).flatten(1)
            A = self._coefficients(term, tokens).flatten(1)
            torch.addmm(total, vw.mT, A, beta=float(start > 0), out=total)
        return total.view(p, o, q, r).transpose(1, 2)

    def _expanded_diagonal(self, term: Term) -> Float[Tensor, "p o q"]:
        """sum_n s_n[b] v_n[a] w_n[c] as [a, c, b]."""
        s, v, w = (self._flat(tensor) for tensor in (term.diagonal, term.left.vector, term.right.vector))
        sv = s[:, :, None] * v[:, None, :]
        return (sv.flatten(1).mT @ w).unflatten(0, sv.shape[1:]).permute(1, 2, 0)


def _product(L: Tensor | None, R: Tensor | None) -> Tensor:
    """L' R, where None stands for the identity."""
    if L is None or R is None:
        return L.mT if R is None else R
    return L.mT @ R
