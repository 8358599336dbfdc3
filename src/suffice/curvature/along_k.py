r"""Top eigenvalues and their subspace as samples are added."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from suffice.curvature.eigenpairs import Eigenpairs, top_eigenpairs
from suffice.curvature.hessian import GRAPH_MEMORY, Hessian
from suffice.engine import Ranks
from suffice.errors import InputError
from suffice.problem import Problem
from suffice.results import EigenvaluesAlongK
from suffice.shown import Shown


@dataclass(frozen=True, eq=False)
class AlongK(Shown):
    r"""The eigenpairs of :math:`H_k` that are largest by magnitude, at some k along some orders of the samples.

    Attributes:
        sizes: k.
        values: :math:`\lambda_j(H_k)`, the largest by magnitude first.
        residuals: :math:`\|H_k v_j - \lambda_j v_j\|`.
        overlap: :math:`\|U_k^\top U_m\|_F^2 / \mathrm{count}` of their subspace with that of all samples: 1 for the
            same, count / P for independent random ones.
        whole: the eigenpairs of all samples.
    """

    sizes: Int64[np.ndarray, " sizes"]
    values: Float64[np.ndarray, "orders sizes count"]
    residuals: Float64[np.ndarray, "orders sizes count"]
    overlap: Float64[np.ndarray, "orders sizes"]
    whole: Eigenpairs

    def plain(self) -> EigenvaluesAlongK:
        """The eigenvalues and overlaps, without the vectors."""
        return EigenvaluesAlongK(
            sizes=self.sizes.tolist(),
            values=self.values.tolist(),
            residuals=self.residuals.tolist(),
            overlap=self.overlap.tolist(),
        )


def along_k(
    problem: Problem,
    sizes: Sequence[int],
    count: int,
    orders: Sequence[Int64[np.ndarray, " samples"]] | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
    memory: int = GRAPH_MEMORY,
    progress: Callable[[int], None] = lambda sizes: None,
    ranks: Ranks | None = None,
) -> AlongK:
    r"""Eigenpairs of :math:`H_k = \frac1k \sum_{i \le k} h_i` at fixed weights, each size started afresh.

    In a random order all that moves is the sample of size k: :math:`\mathbb E\,\lambda_{\max}(H_k)` falls with k, since
    the largest eigenvalue is convex and :math:`H_k` is a mean of means of k - 1 samples each. So a curve along one
    order is to be read against the band of random orders, such as ``[draw.permutation(m) for _ in range(10)]``. The
    overlap depends on gaps in the spectrum: where the eigenvalues of number ``count`` and after it are alike, it stays
    below 1 for that reason.

    Args:
        problem: the model at its present parameters, and the samples.
        sizes: the k, ascending, from 1 to m.
        count: number of eigenpairs.
        orders: permutations of the problem's positions; its own order by default.
        tolerance: of each residual relative to its eigenvalue.
        seed: random seed.
        memory: bytes for graphs that are kept.
        progress: called with 1 after each size of each order.
        ranks: processes that share the products; as of `Hessian`.

    Raises:
        InputError: sizes that do not ascend from 1 to at most m, an order that is no permutation, or as `Hessian` and
            `top_eigenpairs`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
        >>> data = torch.utils.data.TensorDataset(x, torch.zeros(3))
        >>> problem = Problem(torch.nn.Linear(2, 1, bias=False), data, "mse", order="source")
        >>> found = along_k(problem, [1, 2, 3], count=1)
        >>> found.values.round(4).ravel(), found.overlap.round(4)  # of 2 x x', along the first axis, then the second
        (array([2.    , 4.    , 2.6667]), array([[0., 1., 1.]]))
    """
    k = [int(size) for size in sizes]
    if not k or any(after <= before for before, after in zip([0, *k], k, strict=False)) or k[-1] > len(problem):
        raise InputError(f"sizes {k} must ascend from 1 to at most {len(problem)}, the number of samples")
    rows = np.arange(len(problem))
    given = [rows] if orders is None else [np.asarray(order) for order in orders]
    for order in given:
        if not np.array_equal(np.sort(order), rows):
            raise InputError(f"an order must be a permutation of 0 to {len(problem) - 1}")

    def pairs_of(positions: Int64[np.ndarray, " chosen"]) -> Eigenpairs:
        hessian = Hessian(problem, positions=positions, memory=memory, ranks=ranks)
        return top_eigenpairs(hessian, count, tolerance, seed=seed)

    whole = pairs_of(rows)
    shape = len(given), len(k)
    values, residuals, overlap = np.empty((*shape, count)), np.empty((*shape, count)), np.empty(shape)
    for row, order in enumerate(given):
        for column, size in enumerate(k):
            found = whole if size == len(problem) else pairs_of(order[:size])
            values[row, column] = found.values.cpu().numpy()
            residuals[row, column] = found.residuals.cpu().numpy()
            overlap[row, column] = subspace_overlap(found.vectors, whole.vectors)
            progress(1)
    return AlongK(np.array(k), values, residuals, overlap, whole)


def subspace_overlap(one: Float[Tensor, "rows columns"], other: Float[Tensor, "others more"]) -> float:
    r"""How much two subspaces have in common: :math:`\|U^\top V\|_F^2 / \mathrm{count}`, from 0 to 1.

    It is the mean of the squared cosines of the principal angles between them.

    Args:
        one: U, with orthonormal columns.
        other: V, with as many.

    Raises:
        InputError: another shape.

    Source: G. Gur-Ari, D. A. Roberts, E. Dyer, "Gradient descent happens in a tiny subspace", arXiv 1812.04754,
    section 3.

    Example:
        >>> import torch
        >>> axes = torch.eye(3)
        >>> subspace_overlap(axes[:, :2], axes[:, 1:])
        0.5
    """
    if one.shape != other.shape:
        raise InputError(f"bases of shapes {tuple(one.shape)} and {tuple(other.shape)}: give two of the same shape")
    return float((one.double().T @ other.double()).square().sum()) / one.shape[1]
