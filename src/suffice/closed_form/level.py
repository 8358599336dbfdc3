"""The second derivatives of a loss, carried down through the layers token by token.

Going down from the output, a `Level` holds the derivatives of the loss in a vector u of each token: the gradient f, the
Hessian M, and the mixed derivatives K in u and in every weight above. Weights that move u by
du/dW[a, b] = v[a] G[:, b] meet each weight above once, in one `Meeting`. Everything is linear in the gradient and the
Hessian of the loss in the outputs: with gradient 0 the outer-product part remains, with Hessian 0 the functional part.

It is the chain rule for second derivatives, written out for every pair of weights at once.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from suffice.closed_form.kronecker import Meeting, Side


class Level:
    """The derivatives of the loss in a vector u of each token, and in the weights above it.

    Attributes:
        gradient: f = dl/du.
        hessian: M = d2l/dudu of each token.
        sides, K: the weights above, with the columns of each in K, where d2l/du dW[a, b] = v[a] K[:, b]. Weights whose
            vector v moves with u have a second side, transposed, with their gradient in place of v and (dv/du)' in
            place of K.
    """

    def __init__(
        self, gradient: Float[Tensor, "samples tokens u"], hessian: Float[Tensor, "samples tokens u u"]
    ) -> None:
        self.gradient, self.hessian = gradient, hessian
        self.sides: dict[Side, slice] = {}
        self.K = hessian[..., :0]

    def meet(self, side: Side, G: Float[Tensor, "#samples #tokens u columns"] | None = None) -> Meeting:
        """The second derivatives of weights that move u by du/dW[a, b] = v[a] G[:, b]; G = None is the identity."""
        self.couple(side, self.hessian if G is None else self.hessian @ G)
        return Meeting(side, G, list(self.sides), self.K, list(self.sides.values()))

    def couple(self, side: Side, K: Float[Tensor, "#samples #tokens u columns"]) -> None:
        """Adds K to the mixed derivatives in u and the weights of a side."""
        if side in self.sides:
            self.K = self.K.clone()
            self.K[..., self.sides[side]] += K
        else:
            start = self.K.shape[-1]
            self.sides[side] = slice(start, start + K.shape[-1])
            self.K = torch.cat([self.K, K.expand(*self.K.shape[:-1], -1)], -1)

    def below(
        self,
        J: Float[Tensor, "#samples #tokens u lower"],
        curvature: Float[Tensor, "samples tokens lower lower"] | None = None,
    ) -> None:
        """Goes down to a vector x that u depends on, with J = du/dx and curvature = sum_a f_a d2u_a/dxdx."""
        self.gradient = (J.mT @ self.gradient[..., None])[..., 0]
        self.hessian = J.mT @ self.hessian @ J
        if curvature is not None:
            self.hessian = self.hessian + curvature
        self.K = J.mT @ self.K


def one(like: Tensor) -> Float[Tensor, "1 1 1"]:
    """The vector v = (1) of a bias, the same for all tokens."""
    return like.new_ones(1, 1, 1)


def with_one(x: Float[Tensor, "samples tokens width"]) -> Float[Tensor, "samples tokens rows"]:
    """[x, 1]: the vector of a matrix that has its bias as the last row."""
    return functional.pad(x, (0, 1), value=1.0)


def identity(rows: int, columns: int, like: Tensor) -> Float[Tensor, "1 1 rows columns"]:
    """Ones on the diagonal and zeros elsewhere, the same for all tokens."""
    return torch.eye(rows, columns, dtype=like.dtype, device=like.device)[None, None]
