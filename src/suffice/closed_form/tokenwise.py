"""The second derivatives through a normalisation and a feed-forward network, which act on each token separately."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from suffice.closed_form.derivatives import layer_norm_jacobian, layer_norm_second_derivative
from suffice.closed_form.kronecker import Meeting, Side, Term, WeightMatrix
from suffice.closed_form.layers import FeedForward, LayerNorm, Tokens, normalize
from suffice.closed_form.level import Level, identity, one, with_one


def through_normalization(
    level: Level,
    layer: LayerNorm,
    x: Tokens,
    gamma: WeightMatrix | None,
    around: bool = False,
) -> Iterator[Meeting | Term]:
    """From u = gamma * n(x) + beta to x; or, with a residual connection around, from u = [x, gamma * n(x) + beta].

    Args:
        level: the level of u.
        layer: the normalisation.
        x: its input.
        gamma: the weights gamma and beta; None where they are fixed.
        around: whether u contains x as well.
    """
    d = x.shape[-1]
    u = 2 * d if around else d
    f = level.gradient[..., -d:]
    N = layer_norm_jacobian(x, layer.eps)
    side = None
    if gamma is not None:
        side = Side(gamma, one(x))
        yield level.meet(side, _last(scale_and_shift(normalize(x, layer.eps)), u))
    level.below(
        around * identity(u, d, x) + _last(layer.gamma[:, None] * N, u),
        layer_norm_second_derivative(x, layer.gamma * f, layer.eps),
    )
    if side is not None:
        level.couple(side, functional.pad(N.mT * f[..., None, :], (0, d)))


def through_feed_forward(
    level: Level, layer: FeedForward, Y: Tokens, W_1: WeightMatrix, W_2: WeightMatrix, around: bool = False
) -> Iterator[Meeting | Term]:
    """From u = Y + sigma(B) W_2 + b_2 with B = Y W_1 + b_1 to Y; or from u = R + sigma(B) W_2 + b_2 to [R, Y].

    Args:
        level: the level of u.
        layer: the network.
        Y: its input.
        W_1, W_2: its weights, with b_1 and b_2.
        around: whether the residual connection starts at another vector R, before a normalisation.
    """
    d = Y.shape[-1]
    lower = 2 * d if around else d
    B = layer.hidden(Y)
    first, second = layer.activation.first(B), layer.activation.second(B)
    f = level.gradient
    f_S = f @ layer.W_2.mT  # the gradient at sigma(B)
    F = layer.W_2.mT * first[..., None, :]  # du/dB
    W = _last(layer.W_1, lower)  # dB/d[R, Y], transposed

    side_2 = Side(W_2, with_one(layer.activation.value(B)))
    yield level.meet(side_2)
    moved_2 = Side(W_2, f, rows=slice(layer.W_2.shape[0]), transposed=True)
    side_1 = Side(W_1, with_one(Y))
    yield level.meet(side_1, F)
    yield Term(side_1, side_1, second * f_S, diagonal=True)
    yield Term(side_1, moved_2, first, diagonal=True)
    moved_1 = Side(W_1, first * f_S, rows=slice(d), transposed=True)

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
    """Rows of zeros, and the given ones last: so many rows in all."""
    return functional.pad(part, (0, 0, rows - part.shape[-2], 0))
