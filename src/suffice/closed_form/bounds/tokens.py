"""The norms of tokens that a-priori bounds use."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.vectors import Bounded, Number
from suffice.closed_form.layers import Tokens


@dataclass(frozen=True, eq=False)
class BoundedTokens:
    """Norms of the tokens of each sample.

    Attributes:
        vectors: the tokens.
        around: the tokens that may be attended to, relative to a common centre.
        deviation: at most ||x_t - mean(x_t)||, the norm of every token after centring.
    """

    vectors: Bounded
    around: Bounded
    deviation: Number

    def plus(self, others: Bounded) -> "BoundedTokens":
        """x_t + u_t, after a residual connection; the common centre is then 0."""
        vectors = self.vectors.plus(others)
        return replace(self, vectors=vectors, around=vectors, deviation=self.deviation - others.norms)


def bounded_tokens(X: Tokens, real: Float[Tensor, "samples tokens"], first: bool) -> BoundedTokens:
    """The norms of inputs.

    Args:
        X: the tokens.
        real: 1 where a token is real, 0 where it is padding.
        first: whether the first token counts even if it is padding.
    """
    counted = real.clone()
    if first:
        counted[:, 0] = 1
    mean = (X * real[..., None]).sum(1, keepdim=True) / real.sum(1)[:, None, None]
    deviation = (X - X.mean(-1, keepdim=True)).norm(dim=-1)
    return BoundedTokens(
        rows(X * counted[..., None]),
        rows((X - mean) * real[..., None]),
        torch.where(counted > 0, deviation, torch.inf).amin(1)[:, None, None],
    )


def only_norms(vectors: Bounded) -> BoundedTokens:
    """Tokens of which only the norms are known."""
    return BoundedTokens(vectors, vectors, torch.zeros_like(vectors.norms))


def rows(X: Tokens) -> Bounded:
    """The norm of the longest token, and the spectral norm of all tokens."""
    spectral = torch.linalg.matrix_norm(X, 2)[:, None, None]
    return Bounded(X.norm(dim=-1).amax(1)[:, None, None], X.shape[1], spectral)


def constant(norm: Tensor | float, one: Bounded) -> Bounded:
    """Vectors of at most this norm in every sample.

    Args:
        norm: a single number.
        one: a one per token.
    """
    return Bounded(one.norms * norm, one.tokens)
