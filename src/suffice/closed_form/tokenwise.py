"""Normalisation and feed-forward network, which act on each token by itself."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from suffice.closed_form.derivatives import layer_norm_jacobian, layer_norm_second_derivative
from suffice.closed_form.kronecker import Meeting, Side, Term, WeightMatrix
from suffice.closed_form.layers import Tokens, TransformerBlock, normalize
from suffice.closed_form.level import Level, identity, one, with_one


def through_normalization(
    level: Level,
    block: TransformerBlock,
    number: int,
    x: Tokens,
    matrices: Mapping[str, WeightMatrix],
    around: bool = False,
) -> Iterator[Meeting | Term]:
    """From u = gamma * n(x) + beta to x; or, where x also goes around it, from u = [x, gamma * n(x) + beta]."""
    d = x.shape[-1]
    u = 2 * d if around else d
    gamma = block.gamma_1 if number == 1 else block.gamma_2
    f = level.gradient[..., -d:]
    N = layer_norm_jacobian(x, block.eps)
    side = None
    if f"gamma_{number}" in matrices:
        side = Side(matrices[f"gamma_{number}"], one(x))
        yield level.meet(side, _last(scale_and_shift(normalize(x, block.eps)), u))
    level.below(
        around * identity(u, d, x) + _last(gamma[:, None] * N, u),
        layer_norm_second_derivative(x, gamma * f, block.eps),
    )
    if side is not None:
        level.couple(side, functional.pad(N.mT * f[..., None, :], (0, d)))


def through_feed_forward(
    level: Level, block: TransformerBlock, Y: Tokens, matrices: Mapping[str, WeightMatrix], around: bool = False
) -> Iterator[Meeting | Term]:
    """From u = Y + sigma(B) W_2 + b_2 with B = Y W_1 + b_1 to Y; or from u = R + sigma(B) W_2 + b_2 to [R, Y]."""
    d = Y.shape[-1]
    lower = 2 * d if around else d
    B = Y @ block.W_1 + block.b_1
    first, second = block.activation.first(B), block.activation.second(B)
    f = level.gradient
    f_S = f @ block.W_2.mT  # the gradient at sigma(B)
    F = block.W_2.mT * first[..., None, :]  # du/dB
    W = _last(block.W_1, lower)  # dB/d[R, Y], transposed

    side_2 = Side(matrices["W_2"], with_one(block.activation.value(B)))
    yield level.meet(side_2)
    moved_2 = Side(side_2.matrix, f, rows=slice(block.W_2.shape[0]), transposed=True)
    side_1 = Side(matrices["W_1"], with_one(Y))
    yield level.meet(side_1, F)
    yield Term(side_1, side_1, second * f_S, diagonal=True)
    yield Term(side_1, moved_2, first, diagonal=True)
    moved_1 = Side(side_1.matrix, first * f_S, rows=slice(d), transposed=True)

    bent = W * (second * f_S)[..., None, :]
    level.below(identity(d, lower, Y) + F @ W.mT, bent @ W.mT)
    level.couple(side_1, bent)
    level.couple(moved_1, _last(identity(d, d, Y), lower))
    level.couple(moved_2, W * first[..., None, :])


def scale_and_shift(n: Tokens) -> Float[Tensor, "samples tokens width both"]:
    """[diag(n), I]: the derivative of gamma * n + beta in gamma and beta."""
    d = n.shape[-1]
    return torch.cat([torch.diag_embed(n), identity(d, d, n).expand(*n.shape, d)], -1)


def _last(part: Float[Tensor, "*batch part columns"], rows: int) -> Float[Tensor, "*batch rows columns"]:
    """A matrix of so many rows whose last ones are given; the others are zero."""
    return functional.pad(part, (0, 0, rows - part.shape[-2], 0))
