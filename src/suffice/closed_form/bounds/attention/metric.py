"""Norms relative to the derivative of attention in its scores."""

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.vectors import Number, spectral_bound


class Metric:
    """P = dA_t/dT_t of each token t and head: diag(a) - a a' of a softmax with the row a, or diag(a) as it is.

    It is positive semidefinite, so that ||y' P z|| <= ||y' P y||^(1/2) ||z' P z||^(1/2). For a softmax, y' P z is the
    covariance of y_s and z_s where token s has the probability a_s.

    Args:
        weights: a of each token.
        softmax: whether a a' is subtracted.
    """

    def __init__(self, weights: Float[Tensor, "samples heads tokens tokens"], softmax: bool) -> None:
        self.weights, self.softmax = weights, softmax
        self._seen: dict[Tensor, tuple[Tensor, Number]] = {}

    def norm(self, y: Float[Tensor, "samples #heads tokens p"], z: Float[Tensor, "samples #heads tokens q"]) -> Number:
        """At least ||y' P z||: (Tr (M M')^2)^(1/4) of M = y' P z, from products of the smaller side."""
        if self._is_wide(y, z):
            (P_y, size_y), (P_z, size_z) = self._through(y), self._through(z)
            norm: Number = _trace_of_square(P_y @ P_z) ** 0.25 * (size_y * size_z)
            return norm
        return spectral_bound(self._moment(y, z))

    def root(self, y: Float[Tensor, "samples #heads tokens p"]) -> Number:
        """At least ||y' P y||^(1/2): ||y' P y||_F^(1/2)."""
        if self._is_wide(y, y):
            P_y, size = self._through(y)
            root: Number = _trace_of_square(P_y) ** 0.25 * size
            return root
        return self._moment(y, y).norm(dim=(-2, -1)).sqrt()  # type: ignore[no-any-return]

    def _is_wide(self, y: Tensor, z: Tensor) -> bool:
        """Whether there are fewer tokens than entries of a vector."""
        return self.weights.shape[-1] <= min(y.shape[-1], z.shape[-1])

    def _through(self, y: Tensor) -> tuple[Float[Tensor, "samples heads tokens tokens tokens"], Number]:
        """P y y' / size^2 of each token and head, and the size."""
        if y not in self._seen:
            size = y.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(y.dtype).tiny)
            unit = y / size
            gram = unit @ unit.mT
            centered = gram[:, :, None]
            if self.softmax:
                centered = centered - (self.weights @ gram)[..., None, :]
            self._seen[y] = self.weights[..., None] * centered, size[..., 0]
        return self._seen[y]

    def _moment(self, y: Tensor, z: Tensor) -> Float[Tensor, "samples heads tokens p q"]:
        """y' P z of each token and head."""
        pairs = (y[..., :, None] * z[..., None, :]).flatten(-2)
        moment = (self.weights @ pairs).unflatten(-1, (y.shape[-1], z.shape[-1]))
        if self.softmax:
            moment = moment - (self.weights @ y)[..., :, None] * (self.weights @ z)[..., None, :]
        return moment  # type: ignore[no-any-return]


def _trace_of_square(x: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch"]:
    return (x * x.mT).sum((-2, -1)).clamp(min=0)
