"""Bounds of the feed-forward network u = sigma(B) W_2 + b_2, B = Y W_1 + b_1, from u down to its input."""

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.activations import Activation
from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.level_bound import Coupled, FunctionalPart, Jacobian, LevelBound
from suffice.closed_form.bounds.normalization import (
    BoundedNormalization,
    KnownNormalization,
    NormalizationNorms,
    moving_scale,
    scale_and_shift,
)
from suffice.closed_form.bounds.tokens import BoundedTokens, constant
from suffice.closed_form.bounds.vectors import Bounded, Known, Number, V, spectral_bound, spectral_norm
from suffice.closed_form.layers import FeedForward, Tokens
from suffice.errors import InputError


class FeedForwardBackward(NamedTuple, Generic[V]):
    """What the gradient f = dl/du leads to.

    Attributes:
        gradient: dl/dY.
        f_B: dl/dB.
        bend: the largest |sigma''(B) * dl/dsigma(B)|.
    """

    gradient: V
    f_B: V
    bend: Number


class FeedForwardNorms(Protocol[V]):
    """The norms of a feed-forward network that the bounds need."""

    @property
    def one(self) -> V:
        """A one per token."""

    @property
    def normalization(self) -> NormalizationNorms[V] | None:
        """The normalisation before the network, inside its residual connection."""

    @property
    def Y(self) -> V:
        """The input."""

    @property
    def S(self) -> V:
        """sigma(B)."""

    @property
    def slope(self) -> Number:
        """The largest |sigma'(B)|."""

    @property
    def W_1(self) -> Number:
        """||W_1||."""

    @property
    def F(self) -> Number:
        """||du/dB||."""

    @property
    def FW(self) -> Number:
        """||du/dY||."""

    @property
    def jacobian(self) -> Jacobian:
        """I + (du/dY) N with the residual connection, N the Jacobian of the normalisation, if there is one."""

    def backward(self, f: V) -> FeedForwardBackward[V]:
        """With the gradient f at u."""


def through_feed_forward(norms: FeedForwardNorms[V], level: LevelBound[V], blocks: Blocks) -> LevelBound[V]:
    """From R + u to R, the input of the network or of the normalisation before it.

    Args:
        norms: of the network.
        level: at R + u.
        blocks: where the bounds are added up.
    """
    f, one, back = level.gradient, norms.one, norms.backward(level.gradient)
    weights_2, weights_1 = blocks.weights(W_2=norms.S, b_2=one), blocks.weights(W_1=norms.Y, b_1=one)
    level = level.meet(blocks, weights_2, blocks.unit)
    level = level.meet(blocks, weights_1, norms.F)
    blocks.add_gradient(weights_2, f)
    blocks.add_gradient(weights_1, back.f_B)

    # within the network: sigma is curved, W_2 multiplies sigma(B), and W_1 multiplies Y
    W_1, b_1 = weights_1
    moving_2, moving_1 = Weight("W_2", f), Weight("W_1", back.f_B)
    blocks.add_own(W_1, back.bend)
    blocks.add(W_1, b_1, back.bend)
    blocks.add_own(b_1, back.bend)
    for weight in weights_1:
        blocks.add(weight, moving_2, norms.slope)
    bent = back.bend * norms.W_1
    branch = FunctionalPart(norms.W_1.square() * back.bend).couple(
        Coupled(W_1, bent),
        Coupled(b_1, bent),
        Coupled(moving_1, blocks.unit),
        Coupled(moving_2, norms.slope * norms.W_1),
    )
    gradient = back.gradient
    if norms.normalization is not None:
        normalization = norms.normalization
        behind = normalization.backward(gradient)
        weights = scale_and_shift(normalization, 2, gradient, behind, blocks)
        level = level.meet(blocks, weights, norms.FW)
        branch = branch.meet(blocks, weights, blocks.unit)
        branch = branch.below(normalization.jacobian.norm, behind.curvature)
        branch = branch.couple(*moving_scale(normalization, 2, behind, blocks))
        gradient = behind.gradient
    return level.below(f.plus(gradient), norms.jacobian).join(branch)


@dataclass(frozen=True, eq=False)
class KnownFeedForward:
    """From the data.

    Attributes:
        layer: the network.
        normalization: the normalisation before it, if there is one.
        input: Y of the samples.
        one: a one for each token that the loss sees, else 0.
    """

    layer: FeedForward
    normalization: KnownNormalization | None
    input: Tokens
    one: Known

    @cached_property
    def hidden(self) -> Float[Tensor, "samples tokens hidden"]:
        """B."""
        return self.layer.hidden(self.input)

    @cached_property
    def activated(self) -> Float[Tensor, "samples tokens hidden"]:
        """sigma(B)."""
        return self.layer.activation.value(self.hidden)

    @cached_property
    def first(self) -> Float[Tensor, "samples tokens hidden"]:
        """sigma'(B)."""
        return self.layer.activation.first(self.hidden)

    def output(self, around: Tokens) -> Tokens:
        """R + u."""
        return around + self.activated @ self.layer.W_2 + self.layer.b_2

    @cached_property
    def Y(self) -> Known:
        return Known(self.input[:, None] * self.one.v)

    @cached_property
    def S(self) -> Known:
        return Known(self.activated[:, None] * self.one.v)

    @cached_property
    def slope(self) -> Number:
        return self.first.abs().amax(-1)[:, None]

    @cached_property
    def W_1(self) -> Number:
        return spectral_norm(self.layer.W_1)

    @property
    def F(self) -> Number:
        W_2 = self.layer.W_2
        return torch.minimum(self.slope * spectral_norm(W_2), (self.first * W_2.norm(dim=-1)).norm(dim=-1)[:, None])

    @cached_property
    def derivative(self) -> Float[Tensor, "samples tokens width width"]:
        """du/dY = W_2' diag(sigma') W_1' of every token, in one matrix product."""
        W_1, W_2 = self.layer.W_1, self.layer.W_2
        flat = self.first @ (W_2[:, :, None] * W_1.mT[:, None]).flatten(1)
        derivative: Tensor = flat.unflatten(-1, (len(W_1), len(W_1)))
        return derivative

    @property
    def FW(self) -> Number:
        return spectral_bound(self.derivative)[:, None]

    @cached_property
    def jacobian(self) -> Jacobian:
        C = self.derivative
        C = C.clone() if self.normalization is None else self.normalization.times(C)
        C.diagonal(dim1=-2, dim2=-1).add_(1)
        return Jacobian(spectral_bound(C)[:, None], lambda M: M @ C)

    def backward(self, f: Known) -> FeedForwardBackward[Known]:
        f_S = f.v[:, 0] @ self.layer.W_2.mT
        f_B = self.first * f_S
        return FeedForwardBackward(
            gradient=Known.of_tokens(f_B @ self.layer.W_1.mT),
            f_B=Known.of_tokens(f_B),
            bend=(self.layer.activation.second(self.hidden) * f_S).abs().amax(-1)[:, None],
        )


@dataclass(frozen=True, eq=False)
class BoundedFeedForward:
    """A priori.

    Attributes:
        layer: the network.
        normalization: the normalisation before it, if there is one.
        Y: the norms of its input.
        one: a one per token.

    Raises:
        InputError: when used with an activation without bounds of its derivatives.
    """

    layer: FeedForward
    normalization: BoundedNormalization | None
    Y: Bounded
    one: Bounded

    def output(self, around: BoundedTokens) -> BoundedTokens:
        """R + u."""
        return around.plus(self.S.times(self.W_2)).plus(constant(self.layer.b_2.norm(), self.one))

    @cached_property
    def S(self) -> Bounded:
        b_1 = self.layer.b_1
        B = self.Y.times(self.W_1).plus(constant(b_1.norm(), self.one))
        at_zero = self.layer.activation.value(b_1.new_zeros(len(b_1))).norm()
        return B.times(self.slope).plus(constant(at_zero, self.one))

    @property
    def slope(self) -> Number:
        return self.one.norms * _derivative_bounds(self.layer.activation)[0]

    @cached_property
    def W_1(self) -> Number:
        return spectral_norm(self.layer.W_1)

    @cached_property
    def W_2(self) -> Number:
        return spectral_norm(self.layer.W_2)

    @property
    def F(self) -> Number:
        return self.slope * self.W_2

    @property
    def FW(self) -> Number:
        return self.F * self.W_1

    @property
    def jacobian(self) -> Jacobian:
        return Jacobian(1 + (self.FW if self.normalization is None else self.FW * self.normalization.jacobian.norm))

    def backward(self, f: Bounded) -> FeedForwardBackward[Bounded]:
        f_B = f.times(self.slope * self.W_2)
        _, most_bent = _derivative_bounds(self.layer.activation)
        return FeedForwardBackward(
            gradient=f_B.times(self.W_1),
            f_B=f_B,
            bend=most_bent * self.layer.W_2.norm(dim=1).amax() * f.norms,
        )


def _derivative_bounds(activation: Activation) -> tuple[float, float]:
    if activation.steepest is None or activation.most_bent is None:
        raise InputError(
            "this activation has no a-priori bounds: give closed_form.Activation(value, first, second, steepest, "
            'most_bent) with the largest |first| and |second|, or use kind="data"'
        )
    return activation.steepest, activation.most_bent
