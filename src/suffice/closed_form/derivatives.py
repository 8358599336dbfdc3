"""First and second derivatives of layer normalisation and softmax."""

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.layers import normalize

Vector = Float[Tensor, "*batch width"]
Matrix = Float[Tensor, "*batch width width"]


def layer_norm_jacobian(x: Vector, eps: float) -> Matrix:
    """dn/dx = (Pi - n n'/d) / s of n = (x - mean(x)) / s, with s = sqrt(var(x) + eps) and Pi = I - 11'/d.

    Its spectral norm is exactly 1/s for d >= 3. Entry [a, b] is the derivative of n_a with respect to x_b.

    Args:
        x: tokens of width d.
        eps: added to the variance, at least 0.

    Source: from the definition (J. L. Ba et al., "Layer Normalization", arXiv 1607.06450, section 3). The published
    bound of its norm (A. Petrov, arXiv 2510.16927) does not hold; this is exact for any eps.

    Example:
        >>> layer_norm_jacobian(torch.tensor([1.0, 3.0]), eps=0.0)
        tensor([[0., 0.],
                [0., 0.]])
    """
    n, s = normalize(x, eps), _deviation(x, eps)
    return (_centering(x) - _outer(n, n) / x.shape[-1]) / s[..., None]


def layer_norm_second_derivative(x: Vector, upstream: Vector, eps: float) -> Matrix:
    """sum_a u_a d2n_a/dxdx = [ -((Pi u) n' + n (Pi u)' + (u.n) Pi) / d + 3 (u.n) n n'/d^2 ] / s^2, symmetric.

    The second derivative of one n_a is that of the upstream u = e_a.

    Args:
        x: tokens of width d.
        upstream: u, the derivative of a scalar in n.
        eps: added to the variance, at least 0.

    Source: `layer_norm_jacobian`, differentiated once more; notation as there.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 4.0])
        >>> layer_norm_second_derivative(x, torch.ones(3), eps=0.0).abs().max() < 1e-6
        tensor(True)
    """
    d = x.shape[-1]
    n, s = normalize(x, eps), _deviation(x, eps)
    centered = upstream - upstream.mean(-1, keepdim=True)
    along = (upstream * n).sum(-1)[..., None, None]
    cross = _outer(centered, n)
    return (3 * along * _outer(n, n) / d - cross - cross.mT - along * _centering(x)) / (d * s[..., None] ** 2)


def softmax_jacobian(a: Vector) -> Matrix:
    """da/dt = diag(a) - a a' of a = softmax(t), from a; its spectral norm is at most 1/2.

    Source: from the definition; the norm by Gershgorin's circles, 2 a_i (1 - a_i) <= 1/2.

    Example:
        >>> softmax_jacobian(torch.tensor([0.5, 0.5]))
        tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]])
    """
    return torch.diag_embed(a) - _outer(a, a)


def softmax_second_derivative(a: Vector, upstream: Vector) -> Matrix:
    """sum_i u_i d2a_i/dtdt = diag(r) - r a' - a r' with r = a * (u - a.u), of a = softmax(t), from a; symmetric.

    Args:
        a: the probabilities.
        upstream: u, the derivative of a scalar in a.

    Source: `softmax_jacobian`, differentiated once more.

    Example:
        >>> softmax_second_derivative(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
        tensor([[0., 0.],
                [0., 0.]])
    """
    r = a * (upstream - (a * upstream).sum(-1, keepdim=True))
    cross = _outer(r, a)
    return torch.diag_embed(r) - cross - cross.mT


def _deviation(x: Vector, eps: float) -> Float[Tensor, "*batch 1"]:
    return (x.var(-1, correction=0, keepdim=True) + eps).sqrt()


def _centering(x: Vector) -> Float[Tensor, "width width"]:
    d = x.shape[-1]
    return torch.eye(d, dtype=x.dtype, device=x.device) - 1 / d


def _outer(a: Vector, b: Vector) -> Matrix:
    return a[..., :, None] * b[..., None, :]
