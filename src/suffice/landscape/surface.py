r"""The loss surface on a plane through w*, of the first k samples for every k."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, final

import numpy as np
from jaxtyping import Float64

from suffice.landscape.ledger import Ledger, checked_sizes, record
from suffice.landscape.plane import Plane
from suffice.landscape.probes import Probes
from suffice.problem import Problem
from suffice.results import SurfaceAlongK
from suffice.shown import Shown
from suffice.storage import Place

SIZES = 12
"""Sizes for which a result has the surface; a store has the losses of all."""


@final
class Surface(Shown):
    r""":math:`L_k(w) = \frac1k \sum_{i \le k} l_i(w)` on the grid of a plane, in the order of the problem.

    The losses of all samples at all points are measured once; any k is then a sum over them. Made by `surface`.

    Attributes:
        plane: where.
        ledger: the losses.
    """

    def __init__(self, plane: Plane, ledger: Ledger) -> None:
        self.plane, self.ledger = plane, ledger

    def at(self, sizes: Sequence[int]) -> Float64[np.ndarray, "sizes rows columns"]:
        """L_k on the grid, rows along y and columns along x.

        Args:
            sizes: k, from 1 to the number of samples.

        Raises:
            InputError: other sizes.
        """
        return self.ledger.prefix_means(sizes)[:, self.plane.probes]

    def distance(self, sizes: Sequence[int]) -> Float64[np.ndarray, " sizes"]:
        """How far L_k is from L_m, the surface of all samples: root mean square over the grid."""
        surfaces = self.at([*sizes, len(self.ledger.index)])
        return np.asarray(np.sqrt(np.square(surfaces[:-1] - surfaces[-1]).mean((1, 2))))

    def chance(self, sizes: Sequence[int]) -> Float64[np.ndarray, " sizes"]:
        r"""What `distance` is in a random order: the root of its expected square.

        .. math:: \sqrt{\bar S^2 \left(\tfrac1k - \tfrac1m\right)}

        with :math:`\bar S^2` the mean over the grid of the variance of the losses: the variance of a mean of k that are
        drawn from m without replacement.

        Args:
            sizes: as `at`.

        Raises:
            InputError: other sizes.

        Source: W. G. Cochran, "Sampling techniques", 3rd edition, 1977, theorem 2.2.
        """
        variance = self.ledger.variances()[self.plane.probes].mean()
        samples = len(self.ledger.index)
        left = 1 / checked_sizes(sizes, samples) - 1 / samples
        return np.asarray(np.sqrt(variance * left))

    def plain(self) -> SurfaceAlongK:
        """The surfaces of some sizes."""
        return self.result("given")

    def result(
        self,
        directions: Literal["random", "eigenvectors", "minima", "given"],
        minima: Mapping[int, tuple[float, float]] | None = None,
    ) -> SurfaceAlongK:
        """The surfaces of `SIZES` sizes on a log axis, to be written and drawn.

        Args:
            directions: what spans the plane.
            minima: the coordinates of w*_k, if there are any on the plane.
        """
        samples = len(self.ledger.index)
        sizes = np.unique(np.geomspace(1, samples, SIZES).round().astype(int)).tolist()
        centers = self.ledger.prefix_means(sizes)[:, 0]
        return SurfaceAlongK(
            directions=directions,
            labels=self.plane.labels,
            x=self.plane.x.tolist(),
            y=self.plane.y.tolist(),
            sizes=sizes,
            **SurfaceAlongK.packed(self.at(sizes)),
            distance=self.distance(sizes).tolist(),
            at_center=np.abs(centers - centers[-1]).tolist(),
            chance=self.chance(sizes).tolist(),
            minima=dict(minima or {}),
        )


def surface(
    problem: Problem,
    plane: Plane,
    store: str | Place | None = None,
    batch_size: int | Literal["auto"] = "auto",
    progress: Callable[[int], None] = lambda losses: None,
) -> Surface:
    """Measures the loss of every sample at every point of a plane's grid, in one pass over the samples.

    It takes one forward pass for each sample and point. The store, the guards and the resume are those of `record`.

    Args:
        problem: the model at w*, its samples and its loss.
        plane: where to measure.
        store: a folder to keep the losses in; None keeps them in memory, 8 bytes each.
        batch_size: samples to run at a time.
        progress: called with the number of losses measured since the last call.

    Raises:
        InputError: as `record`.

    Example:
        >>> import torch, suffice
        >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
        >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
        >>> found = suffice.surface(problem, suffice.Plane.random(problem, points=11))
        >>> found.at([10, 20, 50]).shape
        (3, 11, 11)
        >>> found.distance([10, 50])[1]
        np.float64(0.0)
    """
    return Surface(plane, record(problem, Probes.plane(problem, plane), store, batch_size, progress))
