r"""Eigenvalues that stand apart from the bulk of the spectrum."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from suffice.curvature.density import SpectralDensity
from suffice.curvature.eigenpairs import Eigenpairs
from suffice.errors import InputError


@dataclass(frozen=True, eq=False)
class Outliers:
    """Eigenvalues above the bulk.

    Attributes:
        edge: where the bulk ends.
        values: the eigenvalues above it, the largest first.
    """

    edge: float
    values: Float64[np.ndarray, " outliers"]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)


def outliers(density: SpectralDensity, pairs: Eigenpairs) -> Outliers:
    r"""The eigenvalues above the bulk's edge, which comes from the spectral density.

    The edge is the first point of the grid to the right of the density's mode with

    .. math:: P\,\phi(t) < \frac{1}{2 \sigma \sqrt{2 \pi}}

    that is, where the smoothed density is below half the height of one isolated eigenvalue, or eigenvalues are rarer
    than one in about five widths :math:`\sigma`. The converged eigenvalues above the edge are the outliers. The method
    has no setting but the density's width: with a smaller one, the bulk ends earlier and more eigenvalues stand apart.

    Args:
        density: by `suffice.curvature.spectral_density`.
        pairs: by `suffice.curvature.top_eigenpairs` of the same operator, as many as reach down to the edge.

    Raises:
        InputError: eigenvalues that do not reach down to the edge, so that there may be more above it; a density that
            does not fall to it; an eigenvalue that is nearer to the edge than its residual.

    Example:
        >>> import torch
        >>> from suffice.curvature import SymmetricMatrix, spectral_density, top_eigenpairs
        >>> A = SymmetricMatrix(torch.diag(torch.cat([torch.linspace(0, 1, 97), torch.tensor([5.0, 7.0, 9.0])])))
        >>> found = outliers(spectral_density(A, width=0.1), top_eigenpairs(A, 10))
        >>> found.count, found.values.round(2), 1 < found.edge < 1.5
        (3, array([9., 7., 5.]), True)
    """
    parameters = pairs.vectors.shape[0]
    isolated = 1 / (density.width * math.sqrt(2 * math.pi))
    mode = int(density.density.argmax())
    below = np.flatnonzero(parameters * density.density[mode:] < isolated / 2)
    if len(below) == 0:
        raise InputError("the density does not fall to that of half an eigenvalue on its grid: it is of another size")
    edge = float(density.grid[mode + below[0]])
    values, residuals = pairs.values.cpu().numpy(), pairs.residuals.cpu().numpy()
    least = float(np.abs(values).min())
    if least > max(edge, 0.0) and len(values) < parameters:
        raise InputError(
            f"the {len(values)} eigenvalues reach down to {least:.4g} and the bulk ends at {edge:.4g}: there may be "
            f"more than {int((values > edge).sum())} outliers; ask top_eigenpairs for more"
        )
    unsure = np.flatnonzero(np.abs(values - edge) < residuals)
    if len(unsure):
        value, residual = values[unsure[0]], residuals[unsure[0]]
        raise InputError(
            f"the eigenvalue {value:.4g} has a residual of {residual:.2g} and the bulk ends at {edge:.4g}: "
            "give top_eigenpairs a smaller tolerance"
        )
    return Outliers(edge, np.sort(values[values > edge])[::-1])
