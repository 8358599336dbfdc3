"""One vector per token, as the bounds see it: the vectors themselves (`Known`), or only their norms (`Bounded`).

Numbers are per sample, head and token, (samples, heads, tokens), with size 1 where they do not differ.
"""

import math
from functools import cached_property
from typing import Protocol, Self, TypeAlias, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Number: TypeAlias = Float[Tensor, "#samples #heads #tokens"]
PerSample: TypeAlias = Float[Tensor, " #samples"]


def spectral_bound(matrix: Float[Tensor, "*batch rows columns"], squarings: int = 0) -> Float[Tensor, "*batch"]:
    """At least ||M||_2: (Tr (M'M)^(2 n))^(1 / 4 n) with n = 2^squarings, the Schatten norm of order 4 n.

    It is at most rank^(1 / 4 n) times the spectral norm, and takes matrix products alone.

    Example:
        >>> spectral_bound(torch.eye(16)), spectral_bound(torch.eye(16), squarings=2)
        (tensor(2.), tensor(1.1892))
    """
    rows, columns = matrix.shape[-2:]
    tiny = torch.finfo(matrix.dtype).tiny
    # powers of what is near 1 stay in range
    size = torch.linalg.vector_norm(matrix, torch.inf, (-2, -1), keepdim=True).clamp(min=tiny)
    matrix = matrix / size
    power = matrix @ matrix.mT if rows < columns else matrix.mT @ matrix
    for squaring in range(squarings):
        norm = torch.linalg.vector_norm(power, dim=(-2, -1), keepdim=True).clamp(min=tiny)
        size = size * norm ** (0.5 ** (squaring + 1))
        power = power / norm
        power = power @ power
    return size[..., 0, 0] * torch.linalg.vector_norm(power, dim=(-2, -1)) ** (0.5 ** (squarings + 1))  # type: ignore[no-any-return]


def spectral_norm(W: Float[Tensor, "rows columns"]) -> Float[Tensor, "1 1 1"]:
    """||W||_2, exactly."""
    return torch.linalg.matrix_norm(W, 2)[None, None, None]  # type: ignore[no-any-return]


def norms_by_head(W: Float[Tensor, "rows columns"], heads: int) -> Float[Tensor, "1 heads 1"]:
    """||W_h||_2 of the columns of each head, exactly."""
    return torch.linalg.matrix_norm(W.unflatten(-1, (heads, -1)).movedim(1, 0), 2)[None, :, None]  # type: ignore[no-any-return]


class Vectors(Protocol):
    """V: the vectors of the tokens, (samples, heads, tokens, width), with the norms that the bounds need."""

    @property
    def norms(self) -> Number:
        """At least ||v_t||."""

    @property
    def largest(self) -> Number:
        """At least max_a |v_t[a]|."""

    def together(self, weights: Number, shared: bool) -> PerSample:
        """At least ||sum_t weights_t v_t (x) G_t||_2 for all G_t of norm 1, where all tokens share the rows of G_t.

        Args:
            weights: one per token and head.
            shared: whether the heads share the columns of G; or each has its own, and G_t is block-diagonal.
        """

    def halves(self, weights: Float[Tensor, "#samples #heads #tokens k"]) -> Float[Tensor, "#samples #heads k"]:
        """At least ||V diag(weights)^(1/2)||_2, for k weights."""

    def product(self, others: Self) -> PerSample:
        """At least ||V' U||_F^2, summed over the heads."""

    def plus(self, others: Self) -> Self:
        """v_t + u_t."""


V = TypeVar("V", bound=Vectors)
"""`Known` for bounds from the data, `Bounded` for a-priori bounds."""


class Known:
    """Vectors with known entries; their norms come from the Gram matrix.

    Args:
        v: the vectors.
    """

    def __init__(self, v: Float[Tensor, "samples heads tokens width"]) -> None:
        self.v = v

    @classmethod
    def of_tokens(cls, v: Float[Tensor, "samples tokens width"]) -> Self:
        """One vector per token, the same for all heads."""
        return cls(v[:, None])

    @cached_property
    def norms(self) -> Number:
        return self.v.norm(dim=-1)  # type: ignore[no-any-return]

    @cached_property
    def largest(self) -> Number:
        return self.v.abs().amax(-1)

    def together(self, weights: Number, shared: bool) -> PerSample:
        pairs = (weights[..., :, None] * self._gram * weights[..., None, :]).abs()
        return pairs.sum((-2, -1)).sqrt().sum(1) if shared else pairs.amax(1).sum((-2, -1)).sqrt()

    def halves(self, weights: Float[Tensor, "#samples #heads #tokens k"]) -> Float[Tensor, "#samples #heads k"]:
        """From the Frobenius norm of the weighted Gram matrix, scaled first so that no square underflows."""
        weights = weights.expand(*weights.shape[:2], self.v.shape[2], weights.shape[-1])
        largest = weights.amax(-2, keepdim=True)
        weights = weights / largest.clamp(min=torch.finfo(weights.dtype).tiny)
        squares = (weights * (self._squares @ weights)).sum(-2).sqrt()
        return (largest[..., 0, :] * squares).sqrt() * self._longest[..., 0]

    def product(self, others: "Known") -> PerSample:
        return (self.v.mT @ others.v).square().sum((1, 2, 3))

    def plus(self, others: "Known") -> Self:
        return type(self)(self.v + others.v)

    @cached_property
    def _longest(self) -> Float[Tensor, "samples heads 1 1"]:
        return self.largest.amax(-1)[..., None, None].clamp(min=torch.finfo(self.v.dtype).tiny)

    @cached_property
    def _gram(self) -> Float[Tensor, "samples heads tokens tokens"]:
        return self.v @ self.v.mT

    @cached_property
    def _squares(self) -> Float[Tensor, "samples heads tokens tokens"]:
        """The squared entries of the Gram matrix, relative to the largest entry of a vector."""
        v = self.v / self._longest
        return (v @ v.mT).square()


class Diagonal(Known):
    """Weights that multiply the entries of a vector: diag(v_t) stands for v_t', as for gamma in gamma * n.

    Args:
        v: the vectors.
    """

    def together(self, weights: Number, shared: bool) -> PerSample:
        weights = (weights if shared else weights.amax(1, keepdim=True)).expand(-1, -1, self.v.shape[2])
        return ((self._entries.mT @ weights[..., None])[..., 0].amax(-1) * weights.sum(-1)).sqrt().sum(1)

    def halves(self, weights: Float[Tensor, "#samples #heads #tokens k"]) -> Float[Tensor, "#samples #heads k"]:
        weights = weights.expand(*weights.shape[:2], self.v.shape[2], weights.shape[-1])
        return (self._entries.mT @ weights).amax(-2).sqrt()

    @cached_property
    def _entries(self) -> Float[Tensor, "samples heads tokens width"]:
        return self.v.square()


class Bounded:
    """Vectors of which only two norms are known for each sample.

    Args:
        each: at least the norm of every vector.
        tokens: the number of vectors.
        spectral: at least ||V||_2 of every head; sqrt(tokens) * each by default.
    """

    def __init__(self, each: Number, tokens: int, spectral: Number | None = None) -> None:
        self.norms = self.largest = each
        self.tokens = tokens
        widest = math.sqrt(tokens) * each
        self.spectral = widest if spectral is None else torch.minimum(spectral, widest)

    def together(self, weights: Number, shared: bool) -> PerSample:
        each = weights * self.norms
        return self._sum(each if shared else each.amax(1, keepdim=True))[..., 0].sum(1)

    def halves(self, weights: Float[Tensor, "#samples #heads #tokens k"]) -> Float[Tensor, "#samples #heads k"]:
        whole = self.spectral * weights.amax(-2).sqrt()
        return torch.minimum(whole, self.norms * self._sum(weights.mT)[..., 0].sqrt())

    def product(self, others: "Bounded") -> PerSample:
        mixed = torch.minimum(self.spectral * others.norms, self.norms * others.spectral)
        return (self.tokens * mixed.square()).sum((1, 2))

    def times(self, factor: Number) -> "Bounded":
        """Vectors that are at most ``factor`` times as long, such as their products with a matrix of this norm."""
        return Bounded(factor * self.norms, self.tokens, factor * self.spectral)

    def plus(self, others: "Bounded") -> "Bounded":
        return Bounded(self.norms + others.norms, self.tokens, self.spectral + others.spectral)

    def _sum(self, weights: Tensor) -> Tensor:
        """The sum over all tokens, also where the weights have one entry for all of them."""
        return weights.expand(*weights.shape[:-1], self.tokens).sum(-1, keepdim=True)
