"""Attention from the data: with the queries, keys, values and gradients of the samples."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.attention.metric import Metric
from suffice.closed_form.bounds.attention.protocols import (
    InputNorm,
    MetricNorms,
    ProjectionNorms,
    ScoreFactor,
    TokenShift,
    projection_norms,
)
from suffice.closed_form.bounds.level_bound import Jacobian
from suffice.closed_form.bounds.normalization import KnownNormalization
from suffice.closed_form.bounds.vectors import Diagonal, Known, Number, PerSample, spectral_bound, spectral_norm
from suffice.closed_form.layers import Attention, Mask, Tokens


@dataclass(frozen=True, eq=False)
class KnownAttention:
    """The forward pass.

    Attributes:
        layer: the attention.
        normalization: the normalisation before it, if there is one.
        input: x of the samples.
        mask: which tokens are real.
        one: a one for each token that the loss sees, else 0.
    """

    layer: Attention
    normalization: KnownNormalization | None
    input: Tokens
    mask: Mask | None
    one: Known

    @property
    def projections(self) -> ProjectionNorms:
        return projection_norms(self.layer)

    @cached_property
    def heads(self) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K and V."""
        return self.layer.queries_keys_values(self.input)

    @cached_property
    def A(self) -> Float[Tensor, "samples heads tokens tokens"]:
        Q, K, _ = self.heads
        return self.layer.attend(Q, K, self.mask)

    @cached_property
    def concatenated(self) -> Tokens:
        """The heads of A V side by side."""
        return self.layer.join(self.A @ self.heads[2])

    @property
    def output(self) -> Tokens:
        """F."""
        return self.layer.project(self.concatenated)

    @cached_property
    def x(self) -> Known:
        return self._masked(self.input[:, None])

    @cached_property
    def Q(self) -> Known:
        return self._masked(self.heads[0])

    @cached_property
    def A_x(self) -> Known:
        return self._masked(self.A @ self.input[:, None])

    @cached_property
    def A_1(self) -> Known:
        return self._masked(self.A.sum(-1, keepdim=True))

    @cached_property
    def joined(self) -> Known:
        return self._masked(self.concatenated[:, None])

    @property
    def jacobian(self) -> Jacobian | None:
        if self.layer.output is None:
            return None
        W_O = self.layer.output.W
        return Jacobian(spectral_norm(W_O), lambda M: M @ W_O.mT)

    def backward(self, f: Known) -> Known:
        g = f.v[:, 0]
        return Known(self.layer.split(g if self.layer.output is None else g @ self.layer.output.W.mT))

    def scores(self, o: Known) -> "KnownScores":
        return KnownScores(self, o.v)

    def _masked(self, v: Float[Tensor, "samples heads tokens width"]) -> Known:
        """Vectors of tokens that the loss does not see are 0."""
        return Known(v * self.one.v)


@dataclass(frozen=True, eq=False)
class KnownScores:
    """The backward pass at the scores T.

    Attributes:
        attention: the forward pass.
        o: dl/d(A V) of each head.
    """

    attention: KnownAttention
    o: Float[Tensor, "samples heads tokens each"]

    @cached_property
    def metric(self) -> Metric:
        """P."""
        config, A = self.attention.layer.config, self.attention.A
        if config.linear:
            A = self.attention.layer.allowed(self.attention.heads[0], self.attention.mask).to(A).expand_as(A)
        return Metric(A, softmax=not config.linear)

    @cached_property
    def spread(self) -> Float[Tensor, "samples heads tokens tokens"]:
        """u_s - A_t.u of a softmax with u = V o, or u_s as it is."""
        u = self.o @ self.attention.heads[2].mT
        return u if self.attention.layer.config.linear else u - (self.attention.A * u).sum(-1, keepdim=True)

    @cached_property
    def q(self) -> Float[Tensor, "samples heads tokens tokens"]:
        """dl/dT."""
        return self.metric.weights * self.spread

    @cached_property
    def bend(self) -> Number:
        A = self.attention.A
        if self.attention.layer.config.linear:
            return torch.zeros_like(A[..., 0])
        return torch.where(A > 0, self.spread.abs(), 0).amax(-1)

    @cached_property
    def tokens(self) -> ScoreFactor[Known]:
        x = self.attention.input[:, None]
        return ScoreFactor(Known(self.scale * (self.q @ x)), self.norms(x))

    @cached_property
    def ones(self) -> ScoreFactor[Known]:
        gradient = Known(self.scale * self.q.sum(-1, keepdim=True))
        if self.attention.layer.config.linear:
            return ScoreFactor(gradient, self.norms(torch.ones_like(self.attention.one.v)))
        nothing = self.q.new_zeros(1, 1, 1)  # softmax does not change if all scores of a token do by the same
        return ScoreFactor(gradient, MetricNorms(nothing, nothing))

    @cached_property
    def keys(self) -> ScoreFactor[Known]:
        K = self.attention.heads[1]
        return ScoreFactor(Known(self.scale * (self.q @ K)), self.norms(K))

    def bilinear(self, query: str, key: str) -> PerSample:
        right = (self.tokens if key == "W_K" else self.ones).gradient.v
        both = self.attention.input[:, None].mT @ right if query == "W_Q" else right.sum(-2, keepdim=True)
        return spectral_bound(both, 1).amax(1)

    @cached_property
    def input_norm(self) -> InputNorm[Known] | None:
        attention, normalization = self.attention, self.attention.normalization
        if normalization is None:
            return None
        layer, one, (Q, K, _) = attention.layer, attention.one, attention.heads
        n = normalization.tokens[:, None]
        W_Q, W_V = _by_head(layer.query.W, layer), _by_head(layer.value.W, layer)
        unit = torch.eye(n.shape[-1]).to(n).expand(1, 1, -1, -1)
        W_K = unit if layer.key is None else _by_head(layer.key.W, layer)
        to_K, to_V, KW = Q @ W_K.mT, self.o @ W_V.mT, K @ W_Q.mT
        gradient = self.scale * ((self.q @ K) @ W_Q.mT + (self.q.mT @ Q) @ W_K.mT) + (attention.A.mT @ self.o) @ W_V.mT
        gradient = gradient.sum(1)
        return InputNorm(
            scale=TokenShift(
                x=normalization.n,
                A_x=Diagonal(attention.A @ n * one.v),
                q_x=Diagonal(self.scale * (self.q @ n)),
                to_K=Diagonal(to_K * one.v),
                to_V=Diagonal(to_V),
                norms=self.norms(n),
            ),
            shift=TokenShift(
                x=one,
                A_x=attention.A_1,
                q_x=self.ones.gradient,
                to_K=Known(to_K * one.v),
                to_V=Known(to_V),
                norms=self.ones.norms,
            ),
            every=Known(torch.ones_like(n[..., :1])),
            gradient=Known.of_tokens(gradient),
            n_gradient=Known.of_tokens(normalization.tokens * gradient),
            KW=self.norms(KW),
        )

    @property
    def scale(self) -> float:
        return self.attention.layer.config.scale

    def norms(self, y: Float[Tensor, "samples #heads tokens width"]) -> MetricNorms:
        """Of rows y_s, relative to P."""
        return MetricNorms(self.scale * self.metric.norm(self.attention.heads[2], y), self.metric.root(y))


def _by_head(W: Float[Tensor, "rows columns"], layer: Attention) -> Float[Tensor, "1 heads rows each"]:
    """The columns of each head."""
    by_head: Tensor = W.unflatten(-1, (layer.config.heads, -1)).movedim(1, 0)[None]
    return by_head
