"""Attention a priori: from the norms of its weights and its input.

A row of softmax attention is a mean, so that no vector gets longer, and the covariance of tokens in a ball of radius r
is at most r^2.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from suffice.closed_form.bounds.attention.protocols import (
    InputNorm,
    MetricNorms,
    ProjectionNorms,
    ScoreFactor,
    TokenShift,
    projection_norms,
)
from suffice.closed_form.bounds.level_bound import Jacobian
from suffice.closed_form.bounds.normalization import BoundedNormalization
from suffice.closed_form.bounds.tokens import BoundedTokens, constant
from suffice.closed_form.bounds.vectors import Bounded, Number, PerSample, spectral_norm
from suffice.closed_form.layers import Attention


@dataclass(frozen=True, eq=False)
class BoundedAttention:
    """The forward pass.

    Attributes:
        layer: the attention.
        normalization: the normalisation before it, if there is one.
        input: the norms of x.
        one: a one per token.
    """

    layer: Attention
    normalization: BoundedNormalization | None
    input: BoundedTokens
    one: Bounded

    @cached_property
    def projections(self) -> ProjectionNorms:
        return projection_norms(self.layer)

    @property
    def x(self) -> Bounded:
        return self.input.vectors

    @cached_property
    def Q(self) -> Bounded:
        return self.x.times(self.projections.query).plus(self._bias(self.layer.query.b))

    @cached_property
    def K(self) -> Bounded:
        K = self.x.times(self.projections.key)
        return K if self.layer.key is None else K.plus(self._bias(self.layer.key.b))

    @cached_property
    def V(self) -> Bounded:
        return self.x.times(self.projections.value).plus(self._bias(self.layer.value.b))

    @cached_property
    def scores_of_row(self) -> Number:
        """At least the norm of a row of T."""
        return self.layer.config.scale * self.K.spectral * self.Q.norms

    @cached_property
    def A_x(self) -> Bounded:
        norms = self.scores_of_row * self.x.spectral if self.layer.config.linear else self.x.norms
        return Bounded(norms, self.one.tokens)

    @cached_property
    def A_1(self) -> Bounded:
        if not self.layer.config.linear:
            return self.one
        return Bounded(self.scores_of_row * math.sqrt(self.one.tokens), self.one.tokens)

    @cached_property
    def joined(self) -> Bounded:
        heads = self.scores_of_row * self.V.spectral if self.layer.config.linear else self.V.norms
        return Bounded(heads.norm(dim=1, keepdim=True), self.one.tokens)

    @property
    def output(self) -> Bounded:
        """F."""
        if self.layer.output is None:
            return self.joined
        W_O, b_O = self.layer.output
        return self.joined.times(spectral_norm(W_O)).plus(constant(0.0 if b_O is None else b_O.norm(), self.one))

    @property
    def jacobian(self) -> Jacobian | None:
        return None if self.layer.output is None else Jacobian(spectral_norm(self.layer.output.W))

    def backward(self, f: Bounded) -> Bounded:
        return f if self.jacobian is None else f.times(self.jacobian.norm)

    def scores(self, o: Bounded) -> "BoundedScores":
        return BoundedScores(self, o)

    def _bias(self, b: Tensor | None) -> Bounded:
        """The bias of each head."""
        if b is None:
            return constant(0.0, self.one)
        return Bounded(b.view(self.layer.config.heads, -1).norm(dim=-1)[None, :, None], self.one.tokens)


@dataclass(frozen=True, eq=False)
class BoundedScores:
    """The backward pass at the scores T.

    Attributes:
        attention: the forward pass.
        o: the norms of dl/d(A V).
    """

    attention: BoundedAttention
    o: Bounded

    @property
    def scale(self) -> float:
        return self.attention.layer.config.scale

    @cached_property
    def root_x(self) -> Number:
        """||x' P x||^(1/2)."""
        if self.attention.layer.config.linear:
            return self.attention.x.spectral
        around = self.attention.input.around
        return torch.minimum(around.norms, around.spectral / math.sqrt(2))

    @cached_property
    def root_K(self) -> Number:
        """||K' P K||^(1/2)."""
        if self.attention.layer.config.linear:
            return self.attention.K.spectral
        return self.attention.projections.key * self.root_x

    @cached_property
    def root_V(self) -> Number:
        """||V' P V||^(1/2)."""
        if self.attention.layer.config.linear:
            return self.attention.V.spectral
        return self.attention.projections.value * self.root_x

    @cached_property
    def bend(self) -> Number:
        if self.attention.layer.config.linear:
            return torch.zeros_like(self.attention.one.norms)
        return 2 * self.o.norms * self.attention.projections.value * self.attention.input.around.norms

    @cached_property
    def tokens(self) -> ScoreFactor[Bounded]:
        return self._factor(self.root_x)

    @cached_property
    def ones(self) -> ScoreFactor[Bounded]:
        one = self.attention.one
        # softmax does not change if all scores of a token do by the same
        return self._factor(one.norms * (math.sqrt(one.tokens) if self.attention.layer.config.linear else 0.0))

    @cached_property
    def keys(self) -> ScoreFactor[Bounded]:
        return self._factor(self.root_K)

    def bilinear(self, query: str, key: str) -> PerSample:
        left = self.attention.x if query == "W_Q" else self.attention.one
        right = (self.tokens if key == "W_K" else self.ones).gradient
        return (left.spectral * right.spectral).amax((1, 2))

    @cached_property
    def input_norm(self) -> InputNorm[Bounded] | None:
        attention, normalization, o = self.attention, self.attention.normalization, self.o
        if normalization is None:
            return None
        tokens, linear, W = attention.one.tokens, attention.layer.config.linear, attention.projections
        largest, length = normalization.largest, attention.one.norms * math.sqrt(normalization.width)
        n = self._factor(length * (math.sqrt(tokens) if linear else 1.0))
        to_K, to_V = attention.Q.times(W.key), o.times(W.value)
        # a token is attended to by all: at most ``columns`` of the gradient of each other token arrives there
        if linear:
            columns, q = attention.A_1.norms, o.norms * attention.V.norms
        else:
            columns, q = attention.one.norms, self.bend
        by_values = W.value * columns * tokens * o.norms
        by_queries = self.scale * W.query * self.root_V * self.root_K * o.norms
        by_keys = self.scale * W.key * tokens * q * attention.Q.norms
        gradient = Bounded((by_values + (by_queries + by_keys)).sum(1, keepdim=True), tokens)
        return InputNorm(
            scale=TokenShift(
                x=normalization.n,
                A_x=Bounded(largest * attention.A_1.norms, tokens),
                q_x=n.gradient,
                to_K=to_K,
                to_V=to_V,
                norms=n.norms,
            ),
            shift=TokenShift(
                x=attention.one,
                A_x=attention.A_1,
                q_x=self.ones.gradient,
                to_K=to_K,
                to_V=to_V,
                norms=self.ones.norms,
            ),
            every=attention.one,
            gradient=gradient,
            n_gradient=gradient.times(largest),
            KW=MetricNorms(self.keys.norms.with_values * W.query, self.root_K * W.query),
        )

    def _factor(self, root: Number) -> ScoreFactor[Bounded]:
        """Rows y_s with at least ||y' P y||^(1/2)."""
        with_values = self.scale * self.root_V * root
        return ScoreFactor(self.o.times(with_values), MetricNorms(with_values, root))
