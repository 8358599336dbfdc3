"""Losses, gradients and Hessians of all samples in a subspace: measured in one pass, kept on disk, resumed."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from suffice.curvature.hessian import check_hessian
from suffice.curvature.operator import check_tensor
from suffice.curvature.parameters import parameter_count
from suffice.curvature.second_order_ways import SampleProjections
from suffice.digest import digest, digest_of_samples
from suffice.errors import InputError
from suffice.memory import Halving
from suffice.problem import Problem
from suffice.storage import Place, RowShards, locked, place

SHARD_SAMPLES = 256
"""Samples of a shard, which is what a kill loses."""

DERIVATIVES = "derivatives.zarr"
"""What lies in a store."""

ORTHONORMAL, ROUNDING = 1e-4, 10
"""Inner products of the basis may be off by so much, or by so many times the precision times the root of its length:

a QR decomposition in float32 is off by 1e-3 on vectors of 22 million entries.
"""

SAME = 1e-4
"""Relative difference of losses that were stored and taken again, and over their mean; rounding is below."""

ROWS = 1 << 16
"""Rows of the basis that are taken to float64 at a time."""


@dataclass(frozen=True, eq=False)
class PerSample:
    r"""Losses, gradients and Hessians along D directions U, one row for each sample, or for each mean of some.

    Attributes:
        losses: :math:`l_i`.
        gradients: :math:`U^\top g_i`.
        hessians: :math:`U^\top h_i U`, symmetric.

    Example:
        >>> rows = PerSample(np.array([1.0, 3.0]), np.array([[0.0], [4.0]]), np.array([[[1.0]], [[2.0]]]))
        >>> rows.prefix_means().hessians.ravel().tolist(), rows.prefix_means(np.array([1, 0])).losses.tolist()
        ([1.0, 1.5], [3.0, 2.0])
    """

    losses: Float64[np.ndarray, " rows"]
    gradients: Float64[np.ndarray, "rows directions"]
    hessians: Float64[np.ndarray, "rows directions directions"]

    def prefix_means(self, order: Int64[np.ndarray, " chosen"] | None = None) -> "PerSample":
        r"""Of the first k samples for all k: :math:`L_k`, :math:`U^\top G_k` and :math:`U^\top H_k U` in row k - 1.

        Args:
            order: the rows in the order that k counts; as they are by default.

        Raises:
            InputError: rows that are not there.
        """
        count = len(self.losses)
        chosen = np.arange(count) if order is None else np.asarray(order)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < count:
            raise InputError(f"order goes from {chosen.min()} to {chosen.max()}: there are rows 0 to {count - 1}")
        sizes = np.arange(1, len(chosen) + 1)

        def means(values: np.ndarray) -> np.ndarray:
            sums = values[chosen].cumsum(0)
            return sums / sizes.reshape(-1, *[1] * (sums.ndim - 1))

        return PerSample(means(self.losses), means(self.gradients), means(self.hessians))


def per_sample(
    problem: Problem,
    basis: Float[Tensor, "parameters *directions"],
    store: str | Place | None = None,
    batch_size: int | Literal["auto"] = "auto",
    progress: Callable[[int], None] = lambda samples: None,
    elsewhere: Callable[[Sequence[slice]], None] | None = None,
) -> PerSample:
    r"""The loss, the gradient and the Hessian of every sample in a subspace, in one pass over the data.

    With :math:`g_i` and :math:`h_i` the gradient and the Hessian of the loss of sample i in the P moving parameters,
    and U the basis, they are :math:`U^\top g_i` and :math:`U^\top h_i U`: what the loss does for steps within the
    subspace, :math:`l_i(w + U t) \approx l_i + t^\top U^\top g_i + \tfrac12 t^\top U^\top h_i U\, t`.

    The samples are run together, over the graph of operations of one of them: an adjoint pass, and one sweep of D
    tangents, see `suffice.curvature.second_order_graph`. A model that this does not fit is run by ``vmap`` or by
    reverse passes over reverse passes, which is slower; see `suffice.curvature.second_order_ways`. The derivatives are
    computed in the model's dtype; the model is in evaluation mode, and attention is written out ("math").

    With a store, each shard of samples is on disk when it is finished, and a later call with the same arguments
    computes only the shards that are missing or damaged.

    Args:
        problem: the model at its present parameters, and the samples.
        basis: U, with orthonormal columns; its rows are ordered as in `suffice.curvature.flattened`.
        store: a folder to keep the results in, or the URL of a place in a store; None keeps them in memory.
        batch_size: samples to run together; "auto" takes it from the size of the activations.
        progress: called with the number of samples measured, or found in the store, since the last call.
        elsewhere: called with the shards that are missing after the first, to measure them by `per_sample_shard` in
            other processes; those that are missing after that are measured here. Only with a store.

    Returns:
        Rows in the problem's order.

    Raises:
        InputError: a basis of another length, or that is not orthonormal; a model without second derivatives (names the
            operation), or whose derivatives differ from central differences (names the parameter); values that are not
            finite (names the sample); a store with results of other weights, samples or basis, or one in use; samples
            with weights.

    Source: A. Griewank, A. Walther, "Evaluating Derivatives", 2nd edition, SIAM 2008, chapter 5.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[3.0, 1.0], [0.0, 2.0], [1.0, 0.0]]), torch.zeros(3))
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> model.weight.data[:] = torch.tensor([[1.0, 2.0]])
        >>> rows = per_sample(Problem(model, data, "mse", order="source"), torch.eye(2))
        >>> rows.losses
        array([25., 16.,  1.])
        >>> rows.gradients[0], rows.hessians[0]
        (array([30., 10.]), array([[18.,  6.],
               [ 6.,  2.]]))
    """
    if batch_size != "auto" and batch_size < 1:
        raise InputError(f"batch_size = {batch_size}: must be at least 1")
    if elsewhere is not None and store is None:
        raise InputError("elsewhere: other processes write to a store; give one")
    problem.need_equal_weights("projections of each sample, whose means weigh all alike")
    check_basis(problem, basis)
    folder = None if store is None else place(store)
    directions = basis.shape[1]
    triangle = np.tril_indices(directions)
    with nullcontext() if folder is None else locked(folder), sdpa_kernel(SDPBackend.MATH):
        check_hessian(problem)
        shards = RowShards.resume(
            None if folder is None else folder / DERIVATIVES,
            shape=(len(problem), 1 + directions + len(triangle[0])),
            shard_rows=SHARD_SAMPLES,
            identity={} if folder is None else _contents(problem, basis),
        )
        missing = shards.missing()
        with problem.measuring():
            _check_same(problem, shards, [rows for rows in shards.shards() if rows not in missing], progress)
            projections, halving = SampleProjections(problem, basis.to(problem.device)), Halving(SHARD_SAMPLES)
            for rows in missing[:1]:
                shards.write(rows, _measured(problem, projections, rows, batch_size, halving, progress))
            later = missing[1:]
            if elsewhere is not None and later:
                elsewhere(later)
                later = shards.missing()
            for rows in later:
                shards.write(rows, _measured(problem, projections, rows, batch_size, halving, progress))
    values = shards.read()
    hessians = np.empty((len(problem), directions, directions))
    hessians[:, triangle[0], triangle[1]] = hessians[:, triangle[1], triangle[0]] = values[:, 1 + directions :]
    return PerSample(values[:, 0].copy(), values[:, 1 : 1 + directions].copy(), hessians)


def per_sample_shard(
    problem: Problem,
    basis: Float[Tensor, "parameters *directions"],
    store: str | Place,
    rows: slice,
    batch_size: int | Literal["auto"] = "auto",
) -> None:
    """Measures one shard of what `per_sample` has begun in another process.

    Args:
        problem: with the same samples, weights and order.
        basis: the same.
        store: that `per_sample` was given.
        rows: of the shard.
        batch_size: the same.

    Raises:
        InputError: there is no such store, or it is one of other weights, samples or basis; or as `per_sample`.

    Example:
        >>> import tempfile
        >>> data = torch.utils.data.TensorDataset(torch.randn(300, 4), torch.arange(300) % 3)
        >>> problem, basis = Problem(torch.nn.Linear(4, 3), data), torch.eye(15)[:, :2]
        >>> store = tempfile.mkdtemp()
        >>> def here(shards):  # or on any executor
        ...     for rows in shards:
        ...         per_sample_shard(problem, basis, store, rows)
        >>> per_sample(problem, basis, store, elsewhere=here).gradients.shape
        (300, 2)
    """
    shards = RowShards.open(place(store) / DERIVATIVES)
    own = _contents(problem, basis)
    if any(shards.identity.get(name) != value for name, value in own.items()):
        raise InputError(f"{store} is begun with other weights, samples or basis than a worker has: begin it anew")
    with sdpa_kernel(SDPBackend.MATH), problem.measuring():
        projections, halving = SampleProjections(problem, basis.to(problem.device)), Halving(SHARD_SAMPLES)
        shards.write(rows, _measured(problem, projections, rows, batch_size, halving, lambda samples: None))


def _measured(
    problem: Problem,
    projections: SampleProjections,
    rows: slice,
    batch_size: int | Literal["auto"],
    halving: Halving,
    progress: Callable[[int], None],
) -> Float64[np.ndarray, "rows columns"]:
    """A shard: of each sample the loss, the gradient, and the lower triangle of the Hessian."""
    found, start = [], rows.start
    while start < rows.stop:
        size = projections.together if batch_size == "auto" else batch_size
        positions = np.arange(start, min(start + size, rows.stop))
        for losses, gradients, hessians in halving(projections, positions):
            below = torch.tril_indices(*hessians.shape[1:], device=hessians.device)
            values = torch.cat([losses[:, None], gradients, hessians[:, below[0], below[1]]], 1)
            bad = (~values.isfinite().all(1)).nonzero()
            if len(bad):
                row = int(bad[0])
                what = "curvature" if bool(losses[row].isfinite()) else "loss"
                sample = problem.describe(start + row)
                raise InputError(f"the {what} of {sample} is not finite: look at that sample")
            found.append(values.cpu().numpy())
            progress(len(losses))
            start += len(losses)
    return np.concatenate(found)


def check_basis(problem: Problem, basis: Float[Tensor, "parameters *directions"]) -> None:
    """Refuses a basis whose rows are not the moving parameters, or whose columns are not orthonormal.

    Raises:
        InputError: another shape or dtype, or inner products that are off.
    """
    count = parameter_count(problem)
    check_tensor(basis, "basis")
    if basis.ndim != 2 or len(basis) != count or basis.shape[1] == 0 or not basis.is_floating_point():
        raise InputError(
            f"the basis has the shape {tuple(basis.shape)} and {basis.dtype}: it must be ({count}, D), with a row for "
            "each moving parameter and a column for each direction, of floating point numbers"
        )
    inner = torch.zeros(basis.shape[1], basis.shape[1], dtype=torch.float64, device=basis.device)
    for part in basis.split(ROWS):
        inner += part.double().T @ part.double()
    off = float((inner - torch.eye(len(inner), dtype=torch.float64, device=basis.device)).abs().max())
    if not off <= max(ORTHONORMAL, ROUNDING * torch.finfo(basis.dtype).eps * math.sqrt(count)):
        raise InputError(
            f"the basis is not orthonormal: inner products of its columns are off by up to {off:.2g}; "
            "use basis, _ = torch.linalg.qr(basis.double())"
        )


def _check_same(problem: Problem, shards: RowShards, finished: list[slice], progress: Callable[[int], None]) -> None:
    """Takes the losses of stored samples again: a callable loss, the prediction and the software have no hash."""
    if not finished:
        return
    stored = np.concatenate([shards.read(rows)[:, 0] for rows in finished])
    losses = np.concatenate([problem.all_losses(positions=rows).cpu().numpy() for rows in finished])
    if not np.allclose(stored, losses, rtol=SAME, atol=SAME * float(np.abs(stored).mean())):
        raise InputError(
            "the store holds other losses of these samples at these weights: the loss, the prediction or the software "
            "has changed; give another store"
        )
    progress(sum(rows.stop - rows.start for rows in finished))


def _contents(problem: Problem, basis: Float[Tensor, "parameters directions"]) -> dict[str, Any]:
    """What decides the results: samples, weights, loss and basis; a callable loss cannot be told from another."""
    return {
        "weights": digest(problem.model.state_dict()),
        "moving": digest(list(problem.moving)),
        "samples": digest_of_samples(problem.dataset),
        "order": digest(problem.index),
        "basis": digest(basis),
        "loss": "callable" if callable(problem.loss) else problem.loss,
    }
