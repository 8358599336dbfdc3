r"""What one more sample does to the loss at Gaussian points of a subspace, to second order, without drawing any."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from suffice.curvature import PerSample
from suffice.errors import InputError


class GaussianMoments(NamedTuple):
    r"""Of :math:`\Delta L = L_{k+1}(w) - L_k(w)` over w.

    Attributes:
        mean: :math:`\mathbb E\,\Delta L`.
        square: :math:`\mathbb E\,\Delta L^2`.
    """

    mean: Float64[np.ndarray, " sizes"]
    square: Float64[np.ndarray, " sizes"]


def gaussian_moments(
    rows: PerSample, sizes: Sequence[int], sigma: float, order: Int64[np.ndarray, " chosen"] | None = None
) -> GaussianMoments:
    r"""Mean and mean square of :math:`L_{k+1} - L_k` over :math:`w = w^* + \sigma U z`, with z standard normal.

    With a, c and B the differences of losses, projected gradients and projected Hessians over k + 1,

    .. math:: a = \frac{l_{k+1} - L_k}{k+1}, \quad c = \frac{U^\top (g_{k+1} - G_k)}{k+1}, \quad
        B = \frac{U^\top (h_{k+1} - H_k)\, U}{k+1},

    .. math:: \mathbb E\,\Delta L = a + \tfrac12 \sigma^2\, \mathrm{Tr}\,B, \qquad
        \mathbb E\,\Delta L^2 = \left(a + \tfrac12 \sigma^2\, \mathrm{Tr}\,B\right)^2 + \sigma^2 \|c\|^2
        + \tfrac12 \sigma^4\, \mathrm{Tr}\,B^2,

    exactly where the losses are quadratic. They are those of `Probes.gaussian` with the same basis. On a sphere the
    terms in :math:`\sigma^4` have another factor.

    Args:
        rows: by `suffice.curvature.per_sample` with the basis U, in the order that k counts.
        sizes: k, from 1 to m - 1.
        sigma: standard deviation of each coordinate.
        order: the rows in another order.

    Raises:
        InputError: other sizes, a sigma that is not positive, or rows that are not there.

    Source: docs/theory.md, section 4.2, (8); for moments of quadratic forms A. M. Mathai, S. B. Provost, "Quadratic
    forms in random variables", Dekker 1992, section 3.2.

    Example:
        >>> rows = PerSample(np.array([0.0, 2.0]), np.array([[0.0], [4.0]]), np.array([[[0.0]], [[6.0]]]))
        >>> found = gaussian_moments(rows, [1], sigma=1.0)  # of 1 + 2 z + 3/2 z^2
        >>> float(found.mean[0]), float(found.square[0])  # 1 + 3/2 and 1 + 4 + 27/4 + 3
        (2.5, 14.75)
    """
    if not 0 < sigma < np.inf:
        raise InputError(f"sigma = {sigma}: must be positive and finite")
    count = len(rows.losses) if order is None else len(order)
    k = np.asarray(sizes)
    if k.ndim != 1 or k.size == 0 or k.dtype.kind not in "iu" or k.min() < 1 or k.max() >= count:
        raise InputError(f"sizes {list(sizes)} must be whole numbers from 1 to {count - 1}, less than the samples")
    chosen = np.arange(count) if order is None else np.asarray(order)
    means = rows.prefix_means(chosen)
    a, c, B = (  # noqa: N806
        (getattr(rows, name)[chosen[k]] - getattr(means, name)[k - 1]) / (k + 1.0).reshape(-1, *[1] * axes)
        for axes, name in enumerate(("losses", "gradients", "hessians"))
    )
    mean = a + sigma**2 / 2 * np.trace(B, axis1=1, axis2=2)
    variance = sigma**2 * np.square(c).sum(1) + sigma**4 / 2 * np.square(B).sum((1, 2))
    return GaussianMoments(mean, mean**2 + variance)
