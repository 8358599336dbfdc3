"""Products of the Hessians of single samples, each with a vector of its own."""

import warnings
from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.func import grad, jvp, vmap

from suffice.curvature.double_backward import gradient_along, with_graph
from suffice.curvature.graphs import Graphs
from suffice.curvature.parameters import unflattened
from suffice.curvature.second_order_ways import loss_of_samples
from suffice.curvature.vmap_or_plain import AGREEMENT, LOOKED_AT, Wrapped, sample_of
from suffice.memory import has_run_out
from suffice.problem import Problem

CHUNK_BYTES = 256 << 20
"""What the vectors of the samples that are run together may take."""


@final
class SampleProducts:
    r""":math:`h_i v_i` for several samples i: ``vmap`` of ``jvp(grad)`` where it runs and is right, else one by one.

    Args:
        problem: the model at its present parameters, and the samples.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3))
        >>> problem = Problem(torch.nn.Linear(1, 1, bias=False), data, "mse", order="source")
        >>> SampleProducts(problem)(np.array([0, 2]), torch.tensor([[1.0], [10.0]]))  # 2 x^2 v
        tensor([[  2.],
                [180.]])
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._graphs = Graphs(problem, "full", memory=0)
        self._loss = loss_of_samples(problem)
        self._wrapped = Wrapped(problem.model, self._loss)
        self._together: bool | None = None  # not known yet

    def chunk(self, parameters: int) -> int:
        """Samples that are best run together."""
        return max(1, CHUNK_BYTES // (4 * parameters * 4))

    def __call__(
        self, positions: Int64[np.ndarray, " samples"], vectors: Float[Tensor, "samples parameters"]
    ) -> Float[Tensor, "samples parameters"]:
        """The products, one for each sample.

        Args:
            positions: of the samples in the problem's order.
            vectors: as many, in the order of the moving parameters.

        Raises:
            InputError: no second derivatives.
            torch.OutOfMemoryError: memory ran out.
        """
        with self._graphs.entered():
            if self._together is None:
                self._together = self._vmap_is_right(positions[:LOOKED_AT], vectors[:LOOKED_AT])
            found = self._by_vmap(positions, vectors) if self._together else None
            return self._one_by_one(positions, vectors) if found is None else found

    def _vmap_is_right(
        self, positions: Int64[np.ndarray, " samples"], vectors: Float[Tensor, "samples parameters"]
    ) -> bool:
        """For the two largest products, as those that vanish tell nothing."""
        found = self._by_vmap(positions, vectors)
        if found is None:
            return False
        sizes = torch.linalg.vector_norm(found.double(), dim=1).nan_to_num()
        rows = sizes.argsort(descending=True, stable=True)[:2].tolist()
        found, expected = found[rows], self._one_by_one(positions[rows], vectors[rows])
        differences = torch.linalg.vector_norm((found - expected).double(), dim=1)
        precision = max(
            torch.finfo(value.dtype).eps for value in self._problem.model.parameters() if value.is_floating_point()
        )
        limits = max(AGREEMENT, precision**0.5) * torch.linalg.vector_norm(expected.double(), dim=1)
        return bool((differences <= limits).all())

    def _by_vmap(
        self, positions: Int64[np.ndarray, " samples"], vectors: Float[Tensor, "samples parameters"]
    ) -> Float[Tensor, "samples parameters"] | None:
        """None where it does not run."""
        batch = self._problem.batch(positions)
        weights = {name: value.detach() for name, value in self._problem.moving.items()}

        def of_one(row: Tensor, vector: Tensor) -> Tensor:
            def loss(weights: Mapping[str, Tensor]) -> Tensor:
                return self._wrapped.at(weights, sample_of(batch, row)).sum()

            parts = {name: part.to(weights[name].dtype) for name, part in unflattened(self._problem, vector).items()}
            product = jvp(grad(loss), (weights,), (parts,))[1]
            return torch.cat([product[name].flatten().to(vector.dtype) for name in weights])

        rows = torch.arange(len(positions), device=vectors.device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what vmap runs slowly
                return vmap(of_one)(rows, vectors).detach()
        except Exception as error:  # whatever the model, or vmap, says: the plain way decides
            if has_run_out(error):
                raise
            return None

    def _one_by_one(
        self, positions: Int64[np.ndarray, " samples"], vectors: Float[Tensor, "samples parameters"]
    ) -> Float[Tensor, "samples parameters"]:
        moving, found = self._problem.moving, []
        for position, vector in zip(positions, vectors, strict=True):
            loss = self._loss(self._problem.batch(np.array([position]))).sum()
            gradients = with_graph(loss, moving)
            product = gradient_along(gradients, unflattened(self._problem, vector), list(moving.values()))
            found.append(torch.cat([part.flatten().to(vector.dtype) for part in product]))
        return torch.stack(found)
