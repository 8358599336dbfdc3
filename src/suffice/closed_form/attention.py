"""The second derivatives through self-attention, which couples the tokens."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from suffice.closed_form.derivatives import softmax_jacobian, softmax_second_derivative
from suffice.closed_form.kronecker import EVERY, Meeting, Side, Term, WeightMatrix
from suffice.closed_form.layers import Affine, Attention, Mask, Tokens
from suffice.closed_form.level import Level, identity, one, with_one
from suffice.closed_form.tokenwise import scale_and_shift


def through_attention(
    level: Level,
    layer: Attention,
    X: Tokens,
    mask: Mask | None,
    matrices: Mapping[str, WeightMatrix],
    n: Tokens | None = None,
) -> Iterator[Meeting | Term]:
    """From F = concat_h(A_h V_h) W_O + b_O down to its weights.

    Let o be the gradient at A V, q the gradient at the scores T, P = dA/dT, and x a token, with a one appended where
    there are biases.

    - A = softmax(T) has second derivatives of its own.
    - A V is bilinear: W_V meets the scores, since its vector c_t = sum_s A_ts x_s moves with them.
    - T is bilinear: W_Q meets W_K in sum_ts q_ts x_t x_s', for each column of a head.
    - Where x = gamma_1 * n + beta_1, gamma_1 and beta_1 move c_t and both factors of T.

    Args:
        level: the level of F.
        layer: the attention.
        X: the input of the attention.
        mask: which tokens are real.
        matrices: the weight matrices of the layer.
        n: the normalised tokens in X = gamma_1 * n + beta_1, if gamma_1 and beta_1 are weights.
    """
    config, d, heads = layer.config, X.shape[2], range(layer.config.heads)
    Q, K, V = layer.queries_keys_values(X)
    A = layer.attend(Q, K, mask)
    x = X if layer.value.b is None else with_one(X)
    if layer.output is not None:
        yield from _through_projection(level, layer.output, layer.join(A @ V), matrices["W_O"])

    # the level of A V, the heads side by side
    o = layer.split(level.gradient)
    of_value = _split(d, config.heads)
    moved_V = [Side(matrices["W_V"], o[:, h], columns=of_value[h], transposed=True) for h in heads]
    for h in heads:
        yield level.meet(Side(matrices["W_V"], A[:, h] @ x, columns=of_value[h]), _identity_of_head(h, d, o))
    norm = None if n is None else _InputNorm(layer, matrices, n, x)
    if norm is not None:
        yield from norm.meet_values(level, A, moved_V)

    # the level of T, the heads side by side
    if config.linear:
        P, curvature = torch.diag_embed(layer.allowed(Q, mask).to(A).expand_as(A)), None
    else:
        P, curvature = softmax_jacobian(A), _block_diagonal(softmax_second_derivative(A, o @ V.mT))
    level.below(_block_diagonal(V.mT[:, :, None] @ P), curvature)
    q = layer.split(level.gradient)
    for h in heads:
        level.couple(moved_V[h], _of_head(h, P[:, h] @ x[:, None], config.heads))
    if norm is not None:
        norm.couple_values(level, P, o)
    W_Q, of_query = matrices["W_QK" if config.merged else "W_Q"], _split(config.heads * Q.shape[-1], config.heads)
    for h in heads if not config.merged else ():
        W_K = matrices["W_K"]
        keys = Side(W_K, Q[:, h], columns=of_query[h], transposed=True)
        yield level.meet(keys, _of_head(h, config.scale * x[:, None], config.heads))
        pair = Side(W_Q, x, columns=of_query[h]), Side(W_K, q[:, h] @ x, columns=of_query[h])
        yield Term(*pair, torch.full_like(Q[:1, 0, :1], config.scale), diagonal=True)
    yield level.meet(Side(W_Q, x), _block_diagonal(config.scale * K[:, :, None]))
    if norm is not None:
        yield from norm.meet_scores(level, Q, K, q, of_query)


def _through_projection(level: Level, output: Affine, joined: Tokens, matrix: WeightMatrix) -> Iterator[Meeting | Term]:
    """From F = (A V) W_O + b_O to A V."""
    d = joined.shape[-1]
    moved = Side(matrix, level.gradient, rows=slice(d), transposed=True)
    yield level.meet(Side(matrix, joined if output.b is None else with_one(joined)))
    level.below(output.W.mT[None, None])
    level.couple(moved, identity(d, d, joined))


class _InputNorm:
    """Gamma_1 and beta_1 of a normalisation before the attention: they move queries, keys and values of all tokens."""

    def __init__(
        self, layer: Attention, matrices: Mapping[str, WeightMatrix], n: Tokens, x: Float[Tensor, "s t rows"]
    ) -> None:
        self.config, self.matrices, self.x = layer.config, matrices, x
        self.side = Side(matrices["gamma_1"], one(n))
        dX = scale_and_shift(n)
        self.dx = functional.pad(dX, (0, 0, 0, x.shape[-1] - n.shape[-1]))
        heads = layer.config.heads
        W_K = torch.eye(n.shape[-1]).to(n).repeat(1, heads) if layer.key is None else layer.key.W
        self.dQ, self.dK, self.dV = (
            torch.einsum("ahk,stab->shtkb", W.unflatten(-1, (heads, -1)), dX)
            for W in (layer.query.W, W_K, layer.value.W)
        )

    def meet_values(self, level: Level, A: Tensor, moved_V: list[Side]) -> Iterator[Meeting | Term]:
        """The values of all tokens move A V; and the vector of W_V moves."""
        yield level.meet(self.side, torch.einsum("shtu,shueb->stheb", A, self.dV).flatten(2, 3))
        mixed = torch.einsum("shtu,suab->shtab", A, self.dx)
        for h, moved in enumerate(moved_V):
            yield Term(moved, self.side, mixed[:, h])

    def couple_values(self, level: Level, P: Tensor, o: Tensor) -> None:
        """The gradient at A moves with the values."""
        level.couple(self.side, _heads_in_rows(P @ torch.einsum("shte,shueb->shtub", o, self.dV)))

    def meet_scores(
        self, level: Level, Q: Tensor, K: Tensor, q: Tensor, columns: list[slice]
    ) -> Iterator[Meeting | Term]:
        """Queries and keys move T = Q K', and each the derivative of T in the other and in the weights."""
        scale, x = self.config.scale, self.x
        W_Q = self.matrices["W_QK" if self.config.merged else "W_Q"]
        dT = torch.einsum("shtk,shukb->shtub", Q, self.dK) + torch.einsum("shuk,shtkb->shtub", K, self.dQ)
        side = Side(self.side.matrix, self.side.vector)
        yield level.meet(side, _heads_in_rows(scale * dT))
        q_dK = scale * torch.einsum("shtu,shukb->shtkb", q, self.dK)
        q_dx = scale * torch.einsum("shtu,suab->shtab", q, self.dx)
        q_K, q_x = scale * q @ K, q @ x[:, None]
        for h, part in enumerate(columns):
            yield Term(Side(W_Q, x, columns=part), side, q_dK[:, h])
            yield Term(Side(W_Q, q_K[:, h], columns=part, transposed=True), side, self.dx)
            if not self.config.merged:
                W_K = self.matrices["W_K"]
                yield Term(Side(W_K, Q[:, h], columns=part, transposed=True), side, q_dx[:, h])
                yield Term(Side(W_K, q_x[:, h], columns=part), side, scale * self.dQ[:, h])
        both = torch.einsum("shtkb,shtkc->stbc", self.dQ, q_dK)
        yield Term(side, side, both + both.mT)


def _split(columns: int, heads: int) -> list[slice]:
    """The columns of each head."""
    each = columns // heads
    return [EVERY] if heads == 1 else [slice(h * each, (h + 1) * each) for h in range(heads)]


def _of_head(h: int, rows: Float[Tensor, "*batch rows columns"], heads: int) -> Float[Tensor, "*batch all columns"]:
    """A matrix with the given rows for one head, and zeros for the others."""
    each = rows.shape[-2]
    return functional.pad(rows, (0, 0, h * each, (heads - 1 - h) * each))


def _identity_of_head(h: int, d: int, o: Float[Tensor, "samples heads tokens each"]) -> Tensor | None:
    """The columns of one head in the identity; None for a single head, which has all of them."""
    heads, each = o.shape[1], o.shape[3]
    return None if heads == 1 else _of_head(h, identity(each, each, o), heads)


def _heads_in_rows(
    x: Float[Tensor, "samples heads tokens rows columns"],
) -> Float[Tensor, "samples tokens all columns"]:
    """The matrices of the heads of a token, stacked."""
    return x.transpose(1, 2).flatten(2, 3)


def _block_diagonal(x: Float[Tensor, "samples heads tokens rows columns"]) -> Float[Tensor, "samples tokens all each"]:
    """The matrices of the heads of a token, as the diagonal blocks of one."""
    samples, heads, tokens, rows, columns = x.shape
    if heads == 1:
        return x[:, 0]
    diagonal = x.new_zeros(samples, tokens, heads, rows, heads, columns)
    for h in range(heads):
        diagonal[:, :, h, :, h] = x[:, h]
    return diagonal.flatten(4, 5).flatten(2, 3)
