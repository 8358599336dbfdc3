"""Bounds of a normalisation u = gamma * n(x) + beta, from u down to x, from the data or a priori."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.level_bound import Coupled, Jacobian, LevelBound
from suffice.closed_form.bounds.tokens import BoundedTokens, only_norms
from suffice.closed_form.bounds.vectors import Bounded, Diagonal, Known, Number, V
from suffice.closed_form.layers import LayerNorm, Tokens, normalize


class NormalizationBackward(NamedTuple, Generic[V]):
    """What the gradient f = dl/du leads to.

    Attributes:
        gradient: dl/dx.
        n_f: n * f, the gradient in gamma from each token.
        diagonal: diag(f), with which gamma meets a moving n.
        curvature: ||sum_a f_a d2u_a/dxdx||.
    """

    gradient: V
    n_f: V
    diagonal: V
    curvature: Number


class NormalizationNorms(Protocol[V]):
    """The norms of a normalisation that the bounds need."""

    @property
    def one(self) -> V:
        """A one per token."""

    @property
    def n(self) -> V:
        """diag(n), by which gamma moves u."""

    @property
    def slope(self) -> Number:
        """||dn/dx||."""

    @property
    def jacobian(self) -> Jacobian:
        """du/dx."""

    def backward(self, f: V) -> NormalizationBackward[V]:
        """With the gradient f at u."""


def through_normalization(
    norms: NormalizationNorms[V], number: int, level: LevelBound[V], blocks: Blocks
) -> LevelBound[V]:
    """From u to x.

    Args:
        norms: of the layer.
        number: 1 or 2, as in gamma_1.
        level: at u.
        blocks: where the bounds are added up.
    """
    back = norms.backward(level.gradient)
    level = level.meet(blocks, scale_and_shift(norms, number, level.gradient, back, blocks), blocks.unit)
    level = level.below(back.gradient, norms.jacobian, back.curvature)
    return level.couple(*moving_scale(norms, number, back, blocks))


def scale_and_shift(
    norms: NormalizationNorms[V], number: int, f: V, back: NormalizationBackward[V], blocks: Blocks
) -> list[Weight]:
    """Adds the gradient in gamma and beta, and returns both with the vectors by which they move u."""
    gamma, beta = f"gamma_{number}", f"beta_{number}"
    blocks.add_gradient(blocks.weights(**{gamma: norms.one}), back.n_f)
    blocks.add_gradient(blocks.weights(**{beta: norms.one}), f)
    return blocks.weights(**{gamma: norms.n, beta: norms.one})


def moving_scale(
    norms: NormalizationNorms[V], number: int, back: NormalizationBackward[V], blocks: Blocks
) -> list[Coupled]:
    """Gamma multiplies n, which moves with x: what is coupled with the level at x."""
    return [Coupled(weight, norms.slope) for weight in blocks.weights(**{f"gamma_{number}": back.diagonal})]


@dataclass(frozen=True, eq=False)
class KnownNormalization:
    """From the data.

    Attributes:
        layer: the normalisation.
        x: its input.
        one: a one for each token that the loss sees, else 0.
    """

    layer: LayerNorm
    x: Tokens
    one: Known

    @cached_property
    def tokens(self) -> Tokens:
        """n."""
        return normalize(self.x, self.layer.eps)

    @property
    def output(self) -> Tokens:
        """u."""
        return self.tokens * self.layer.gamma + self.layer.beta

    @cached_property
    def n(self) -> Diagonal:
        return Diagonal(self.tokens[:, None] * self.one.v)

    @cached_property
    def deviation(self) -> Float[Tensor, "samples tokens"]:
        """s."""
        return (self.x.var(-1, correction=0) + self.layer.eps).sqrt()

    @property
    def slope(self) -> Number:
        return (1 / self.deviation)[:, None]

    @property
    def jacobian(self) -> Jacobian:
        return Jacobian(self.layer.gamma.abs().amax() * self.slope, self.times)

    def times(self, M: Float[Tensor, "samples tokens rows width"]) -> Float[Tensor, "samples tokens rows width"]:
        """M du/dx = M diag(gamma) (Pi - n n'/d) / s."""
        n, d = self.tokens, self.x.shape[-1]
        M = M * (self.layer.gamma / self.deviation[..., None])[..., None, :]
        both = torch.stack([torch.ones_like(n), n], -1)  # what is subtracted lies along these two
        flat, both = M.flatten(0, 1), both.flatten(0, 1)
        return flat.baddbmm_(flat @ both, both.mT, alpha=-1 / d).view(M.shape)

    def backward(self, f: Known) -> NormalizationBackward[Known]:
        n, d, s = self.tokens, self.x.shape[-1], self.deviation[..., None]
        u = self.layer.gamma * f.v[:, 0]
        centered = u - u.mean(-1, keepdim=True)
        along = (u * n).sum(-1, keepdim=True)
        return NormalizationBackward(
            gradient=Known.of_tokens((centered - along * n / d) / s),
            n_f=Known.of_tokens(n * f.v[:, 0]),
            diagonal=Diagonal(f.v),
            curvature=normalization_curvature(n, centered, along)[:, None] * self.slope.square(),
        )


@dataclass(frozen=True, eq=False)
class BoundedNormalization:
    """A priori: a normalised token has at most the norm sqrt(d), and 1/s is bounded from the deviation of x.

    Attributes:
        layer: the normalisation.
        x: the norms of its input.
        one: a one per token.
    """

    layer: LayerNorm
    x: BoundedTokens
    one: Bounded

    @property
    def width(self) -> int:
        return len(self.layer.gamma)

    @property
    def scale(self) -> Number:
        """max |gamma|."""
        return self.one.norms * self.layer.gamma.abs().amax()

    @property
    def output(self) -> BoundedTokens:
        """u."""
        length, tokens = self.scale * math.sqrt(self.width), self.one.tokens
        vectors = Bounded(length + self.layer.beta.norm(), tokens)
        return replace(only_norms(vectors), around=Bounded(length, tokens))

    @property
    def largest(self) -> Number:
        """The largest entry of a normalised token."""
        return self.one.norms * math.sqrt(self.width - 1)

    @cached_property
    def n(self) -> Bounded:
        return Bounded(self.largest, self.one.tokens)

    @cached_property
    def slope(self) -> Number:
        """1/s of tokens with at least this deviation; 1/sqrt(eps) for a deviation of 0."""
        return (self.x.deviation.clamp(min=0).square() / self.width + self.layer.eps).rsqrt()

    @property
    def jacobian(self) -> Jacobian:
        return Jacobian(self.scale * self.slope)

    def backward(self, f: Bounded) -> NormalizationBackward[Bounded]:
        jacobian = self.jacobian.norm
        return NormalizationBackward(
            gradient=f.times(jacobian),
            n_f=f.times(self.largest),
            diagonal=f,
            curvature=2 / math.sqrt(3 * self.width) * jacobian * self.slope * f.norms,
        )


def normalization_curvature(
    n: Float[Tensor, "*batch width"], centered: Float[Tensor, "*batch width"], along: Float[Tensor, "*batch 1"]
) -> Float[Tensor, "*batch"]:
    """s^2 ||sum_a u_a d2n_a/dxdx|| from n, Pi u and u.n, exactly for d >= 4.

    On the span of n and Pi u the matrix is 2 x 2; orthogonal to both, and to 1, it is -(u.n) / d. For d < 4 there may
    be nothing orthogonal to all three; then the result is an upper bound.

    Example:
        >>> from suffice.closed_form import layer_norm_second_derivative
        >>> from suffice.closed_form.layers import normalize
        >>> x, u = torch.randn(2, 5, dtype=torch.float64)
        >>> n = normalize(x, eps=0.1)
        >>> found = normalization_curvature(n, u - u.mean(), (u * n).sum(-1, keepdim=True))
        >>> whole = layer_norm_second_derivative(x, u, eps=0.1) * (x.var(correction=0) + 0.1)
        >>> torch.allclose(found, torch.linalg.matrix_norm(whole, 2))
        True
    """
    d = n.shape[-1]
    size = n.square().sum(-1, keepdim=True)
    across = centered - along / torch.where(size > 0, size, 1) * n
    a = -3 * along[..., 0] * (1 - size[..., 0] / d)
    b = across.norm(dim=-1) * size[..., 0].sqrt()
    c = along[..., 0].abs()
    # eigenvalues of [[a, -b], [-b, -u.n]]
    middle, half = (a - along[..., 0]) / 2, torch.hypot((a + along[..., 0]) / 2, b)
    return torch.maximum(middle.abs() + half, c) / d
