r"""How far the expansion of the loss to second order reaches, measured along directions through w*."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, final

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.curvature import PerSample, per_sample
from suffice.errors import InputError
from suffice.landscape.ledger import Ledger, record
from suffice.landscape.probes import Probes
from suffice.problem import Problem, norm
from suffice.storage import Place, place

SMALL = 0.1
"""The remainder is small where its spread is at most so many times that of the loss."""

LOSSES, DERIVATIVES = "losses", "derivatives"
"""Folders in a store."""


class Shares(NamedTuple):
    r"""What each part of the expansion adds to the variance of the losses at a distance, relative to it.

    They add up to 1. The last two may be negative.

    Attributes:
        loss: :math:`\mathrm{Var}\,l_i`, at w*.
        gradient: :math:`r^2\,\mathrm{Var}\,g_i^\top u`.
        hessian: :math:`\tfrac14 r^4\,\mathrm{Var}\,u^\top h_i u`.
        covariance: :math:`r^2\,\mathrm{Cov}(l_i, u^\top h_i u)`. Those with the gradient cancel between u and -u.
        remainder: the variance less that of the expansion: the remainder's own, and its covariances.
    """

    loss: Float64[np.ndarray, " radii"]
    gradient: Float64[np.ndarray, " radii"]
    hessian: Float64[np.ndarray, " radii"]
    covariance: Float64[np.ndarray, " radii"]
    remainder: Float64[np.ndarray, " radii"]


@final
class Expansion:
    r"""The losses at :math:`w^* \pm r u_j` against their expansion, sample by sample.

    .. math:: l_i(w^* + r u) = l_i + r\, g_i^\top u + \tfrac12 r^2\, u^\top h_i u + R_i(r u)

    In a random order of the samples, the root mean square of :math:`L_{k+1} - L_k` is that of the losses' spread over
    :math:`\sqrt{k (k+1)}`, and so it is for each part. All k are compared by comparing variances over samples. Here
    they are means over the directions and both signs. Made by `expansion`.

    Attributes:
        radii: distances over ``scale``, ascending.
        scale: the length of a radius of 1; :math:`\|w^*\|` by default.
        ledger: the losses, at w* and at `Probes.rays`.
        derivatives: :math:`l_i, U^\top g_i, U^\top h_i U`.
    """

    def __init__(
        self, radii: Float64[np.ndarray, " radii"], scale: float, ledger: Ledger, derivatives: PerSample
    ) -> None:
        self.radii, self.scale, self.ledger, self.derivatives = radii, scale, ledger, derivatives
        # (samples, radii, directions, signs)
        shape = len(ledger.index), len(radii), derivatives.gradients.shape[1], 2
        losses = ledger.losses
        self._center = losses[:, 0]
        self._losses = losses[:, 1:].reshape(shape)
        r = (scale * radii)[:, None, None] * np.array([1.0, -1.0])
        slopes = derivatives.gradients[:, None, :, None]
        curvatures = np.diagonal(derivatives.hessians, axis1=1, axis2=2)[:, None, :, None]
        self._quadratic = self._center[:, None, None, None] + r * slopes + r**2 / 2 * curvatures
        self._remainder = self._losses - self._quadratic

    @property
    def remainder(self) -> Float64[np.ndarray, "samples probes"]:
        """R_i at the probes of the ledger, its centre first; rows as in the ledger."""
        rows = self._remainder.reshape(len(self._center), -1)
        return np.concatenate([np.zeros((len(rows), 1)), rows], axis=1)

    @property
    def spread(self) -> Float64[np.ndarray, " radii"]:
        r""":math:`\bar S(r)`: the root of the mean over directions of the variance of the losses."""
        return _spread(self._losses)

    @property
    def quadratic_spread(self) -> Float64[np.ndarray, " radii"]:
        """The same of the expansion without its remainder."""
        return _spread(self._quadratic)

    @property
    def remainder_spread(self) -> Float64[np.ndarray, " radii"]:
        r""":math:`\bar S_R(r)`: the same of the remainder."""
        return _spread(self._remainder)

    @property
    def shares(self) -> Shares:
        """Of each part in the square of `spread`."""
        r = self.scale * self.radii
        total = self.spread**2
        curvatures = np.diagonal(self.derivatives.hessians, axis1=1, axis2=2)
        apart = self._center - self._center.mean()
        covariance = float((apart @ curvatures).mean()) / (len(apart) - 1)
        parts = (
            np.full(len(r), self._center.var(ddof=1)),
            r**2 * self.derivatives.gradients.var(0, ddof=1).mean(),
            r**4 / 4 * curvatures.var(0, ddof=1).mean(),
            r**2 * covariance,
        )
        loss, gradient, hessian, both = (part / total for part in parts)
        return Shares(loss, gradient, hessian, both, 1 - (loss + gradient + hessian + both))

    @property
    def quadratic_radius(self) -> float:
        r"""The radius up to which :math:`\bar S_R \le 0.1\, \bar S`, between two measured ones on log axes.

        Raises:
            InputError: it is not between the smallest and the largest radius measured.
        """
        ratio = self.remainder_spread / self.spread
        beyond = np.flatnonzero(ratio > SMALL)
        if len(beyond) == 0:
            raise InputError(
                f"the quadratic radius is above {self.radii[-1]:g}, the largest measured: the remainder's spread is "
                f"{ratio[-1]:.2g} of the loss's there; give larger radii"
            )
        first = int(beyond[0])
        if first == 0:
            raise InputError(
                f"the quadratic radius is below {self.radii[0]:g}, the smallest measured: the remainder's spread is "
                f"{ratio[0]:.2g} of the loss's there; give smaller radii"
            )
        low, high = self.radii[first - 1], self.radii[first]
        below, above = max(ratio[first - 1], np.finfo(float).tiny), ratio[first]
        return float(low * (high / low) ** (math.log(SMALL / below) / math.log(above / below)))


def expansion(
    problem: Problem,
    basis: Float[Tensor, "parameters directions"],
    radii: Sequence[float],
    scale: float | None = None,
    store: str | Place | None = None,
    batch_size: int | Literal["auto"] = "auto",
    progress: Callable[[int], None] = lambda losses: None,
) -> Expansion:
    r"""Measures the loss of every sample along directions through w*, and the derivatives that should predict it.

    It takes 1 + 2 D n forward passes for each sample, for D directions and n radii, and `per_sample`. Random directions
    are those of the random points in `Probes.sphere`; in many parameters they are orthogonal but for little:
    ``basis = torch.linalg.qr(torch.randn(parameter_count(problem), 8)).Q``.

    Args:
        problem: the model at w*, its samples and its loss.
        basis: orthonormal columns u_j, in the order of `suffice.curvature.flattened`.
        radii: distances from w*, ascending, in units of ``scale``.
        scale: the length of a radius of 1: ||w*|| by default, such as the distance travelled in training for LoRA,
            which begins at zero, or 1 for absolute distances.
        store: a folder to keep losses and derivatives in; None keeps them in memory.
        batch_size: samples to run at a time.
        progress: called with the number of losses measured since the last call.

    Raises:
        InputError: radii that do not ascend from above 0; a scale that is not positive; w* = 0 without a scale; and as
            `record` and `suffice.curvature.per_sample`.

    Example:
        >>> import torch, suffice
        >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
        >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
        >>> found = expansion(problem, torch.linalg.qr(torch.randn(18, 4)).Q, [0.01, 0.1, 1.0, 10.0])
        >>> [round(sum(parts), 6) for parts in zip(*(part.tolist() for part in found.shares))]
        [1.0, 1.0, 1.0, 1.0]
        >>> 0.01 < found.quadratic_radius < 10
        True
    """
    asked = np.asarray(radii, dtype=np.float64)
    if asked.ndim != 1 or len(asked) == 0 or not (np.diff(asked, prepend=0.0) > 0).all() or not np.isfinite(asked[-1]):
        raise InputError(f"radii {list(radii)} must ascend from above 0")
    length = norm(problem.center()) if scale is None else scale
    if length == 0 and scale is None:
        raise InputError("all moving parameters are zero, so a radius relative to ||w*|| has no meaning: give scale=")
    if not (length > 0 and math.isfinite(length)):
        raise InputError(f"scale = {scale}: must be positive and finite")
    folder = None if store is None else place(store)
    probes = Probes.rays(problem, basis, (length * asked).tolist())
    derivatives = per_sample(problem, basis, None if folder is None else folder / DERIVATIVES)
    ledger = record(problem, probes, None if folder is None else folder / LOSSES, batch_size, progress)
    return Expansion(asked, length, ledger, derivatives)


def _spread(values: Float64[np.ndarray, "samples radii directions signs"]) -> Float64[np.ndarray, " radii"]:
    """The root of the variance over samples, averaged over directions and signs."""
    spread: Float64[np.ndarray, " radii"] = np.sqrt(values.var(0, ddof=1).mean((1, 2)))
    return spread
