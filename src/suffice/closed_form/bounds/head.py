"""Bounds of a classifier's head z = pool(Z) W_C + b_C, from the logits down to the tokens Z."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.level_bound import Coupled, LevelBound, OuterPart
from suffice.closed_form.bounds.loss import KnownLoss
from suffice.closed_form.bounds.tokens import BoundedTokens
from suffice.closed_form.bounds.vectors import Bounded, Known, Number, V, spectral_bound, spectral_norm


class HeadNorms(Protocol[V]):
    """The norms of a head that the bounds need."""

    @property
    def pooled(self) -> V:
        """pool(Z), a single vector per sample."""

    @property
    def one(self) -> V:
        """A single one."""

    @property
    def share(self) -> Number:
        """The share of each token in the pooled one."""

    def for_tokens(self, gradient: V) -> V:
        """The gradient in the logits, once for each token."""

    def below(self, level: LevelBound[V]) -> LevelBound[V]:
        """The level at Z, without the weights of the head."""


def through_head(norms: HeadNorms[V], level: LevelBound[V], blocks: Blocks) -> LevelBound[V]:
    """From z to Z.

    Args:
        norms: of the head.
        level: at z.
        blocks: where the bounds are added up.
    """
    weights = blocks.weights(W_C=norms.pooled, b_C=norms.one)
    blocks.add_gradient(weights, level.gradient)
    level = level.meet(blocks, weights, blocks.unit)
    return norms.below(level).couple(Coupled(Weight("W_C", norms.for_tokens(level.gradient)), norms.share))


@dataclass(frozen=True, eq=False)
class KnownHead:
    """From the data.

    Attributes:
        W_C: the weights.
        Z: the tokens of the samples.
        shares: the share of each token in the pooled one.
        loss: the loss of the logits.
    """

    W_C: Float[Tensor, "width classes"]
    Z: Float[Tensor, "samples tokens width"]
    shares: Float[Tensor, "samples tokens"]
    loss: KnownLoss

    @cached_property
    def pooled(self) -> Known:
        return Known.of_tokens((self.shares[..., None] * self.Z).sum(1, keepdim=True))

    @cached_property
    def one(self) -> Known:
        return Known(self.Z.new_ones(1, 1, 1, 1))

    @property
    def share(self) -> Number:
        return self.shares[:, None]

    def for_tokens(self, gradient: Known) -> Known:
        return Known(gradient.v.expand(-1, -1, self.Z.shape[1], -1))

    def below(self, level: LevelBound[Known]) -> LevelBound[Known]:
        share, D = self.shares[..., None], self.loss.root @ self.W_C.mT
        outer = OuterPart(self.share * spectral_bound(D, 1)[:, None, None], True, share[..., None] * D[:, None])
        return LevelBound(Known.of_tokens(share * (level.gradient.v[:, 0, 0] @ self.W_C.mT)[:, None]), outer)


@dataclass(frozen=True, eq=False)
class BoundedHead:
    """A priori.

    Attributes:
        W_C: the weights.
        Z: the norms of the tokens.
        shares: the share of each token in the pooled one.
    """

    W_C: Float[Tensor, "width classes"]
    Z: BoundedTokens
    shares: Float[Tensor, "samples tokens"]

    @cached_property
    def pooled(self) -> Bounded:
        return Bounded(self.Z.vectors.norms, 1)

    @cached_property
    def one(self) -> Bounded:
        return Bounded(self.shares.new_ones(1, 1, 1), 1)

    @property
    def share(self) -> Number:
        return self.shares[:, None]

    def for_tokens(self, gradient: Bounded) -> Bounded:
        return Bounded(gradient.norms, self.Z.vectors.tokens)

    def below(self, level: LevelBound[Bounded]) -> LevelBound[Bounded]:
        share, W_C = self.share, spectral_norm(self.W_C)
        gradient = level.gradient.norms * share.amax(-1, keepdim=True) * W_C
        return LevelBound(
            Bounded(gradient, self.Z.vectors.tokens), OuterPart(share * W_C * level.outer.norm, together=True)
        )
