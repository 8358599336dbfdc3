"""The bound on how the loss surface changes with one more sample, term by term."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from suffice.curvature import Gaps, Spreads
from suffice.errors import InputError


@dataclass(frozen=True, eq=False)
class Bound:
    r"""Of :math:`|L_{k+1} - L_k|` at the distance :math:`\rho` from w*, to second order, with its three terms.

    .. math:: \frac{1}{k+1} \left( |l_{k+1} - L_k| + \rho \|g_{k+1} - G_k\|
        + \tfrac12 \rho^2 \|h_{k+1} - H_k\|_2 \right)

    with :math:`n_{k+1} / N_{k+1}` in place of :math:`1 / (k + 1)` for samples with weights.

    Attributes:
        sizes: k.
        radius: :math:`\rho / \|w^*\|`.
        loss: the first term.
        gradient: the second term.
        hessian: the third term, with the norm estimated from above.
    """

    sizes: Int64[np.ndarray, " sizes"]
    radius: float
    loss: Float64[np.ndarray, " sizes"]
    gradient: Float64[np.ndarray, " sizes"]
    hessian: Float64[np.ndarray, " sizes"]

    @property
    def total(self) -> Float64[np.ndarray, " sizes"]:
        """The sum of the terms."""
        total: Float64[np.ndarray, " sizes"] = self.loss + self.gradient + self.hessian
        return total


def bound(gaps: Gaps, radius: float) -> Bound:
    """The bound from measured gaps.

    Args:
        gaps: of losses, gradients and Hessians at w*.
        radius: distance from w* relative to its norm.

    Raises:
        InputError: a radius that is negative or not finite.
    """
    distance, after = _distance(radius, gaps.center_norm), gaps.ratio
    return Bound(
        gaps.sizes,
        radius,
        gaps.loss / after,
        distance * gaps.gradient / after,
        distance**2 * (gaps.hessian + gaps.residual) / (2 * after),
    )


def typical_bound(spreads: Spreads, radius: float, sizes: Int64[np.ndarray, " sizes"]) -> Bound:
    r"""The bound on the root mean square of :math:`L_{k+1} - L_k` over random orders of the samples.

    .. math:: \frac{S_l + \rho S_g + \tfrac12 \rho^2 S_h}{\sqrt{k (k+1)}}

    Args:
        spreads: of losses, gradients and Hessians at w*.
        radius: distance from w* relative to its norm.
        sizes: k.

    Raises:
        InputError: a radius that is negative or not finite.
    """
    distance, root = _distance(radius, spreads.center_norm), np.sqrt(sizes * (sizes + 1.0))
    return Bound(
        sizes,
        radius,
        spreads.loss / root,
        distance * spreads.gradient / root,
        distance**2 * (spreads.hessian + spreads.residual) / (2 * root),
    )


def _distance(radius: float, center_norm: float) -> float:
    if not 0 <= radius < np.inf:
        raise InputError(f"radius is {radius}: give a distance from w* relative to its norm, 0 or more")
    return radius * center_norm
