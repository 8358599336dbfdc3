"""Gradients of the outputs of single samples: rows of their Jacobians, in any directions of the outputs."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from suffice.errors import InputError
from suffice.problem import Batch, Problem

CHUNK_BYTES = 128 << 20
"""What the samples that are run together may take: more is not faster, less is."""

NOT_MAPPABLE = re.compile(r"vmap|functorch|[Bb]atching rule")
"""Found in what torch says of a model that vmap cannot run, as one that decides by the values of its inputs."""


def output_gradients(
    problem: Problem,
    places: Int64[np.ndarray, " rows"],
    directions: Float[Tensor, "rows outputs"],
    columns: slice = slice(None),
    progress: Callable[[int], None] = lambda rows: None,
) -> Float[Tensor, "rows columns"]:
    r"""The gradients of :math:`u^\top z_i` in the moving parameters, one row for each pair of a sample i and a u.

    A row is :math:`u^\top J_i` with :math:`J_i = \partial z_i / \partial w`. Several directions of one sample share its
    forward pass. Samples are run together by ``torch.func.vmap``; a model that it cannot run, as Hugging Face's with a
    2-D attention mask, is run sample by sample, which gives the same and is slower. All is done in evaluation mode, and
    attention is written out ("math"), whatever was chosen before.

    Args:
        problem: the model at its present parameters, and the samples.
        places: of each row's sample in the problem's order; a sample may come several times.
        directions: u of each row, of any length.
        columns: which of the P moving parameters, one after the other as in ``problem.moving``; all by default.
        progress: called with the number of rows done since the last call.

    Returns:
        The rows in the model's dtype, or in float32 for one of lower precision.

    Raises:
        InputError: places that are not there, or directions of another number of outputs.

    Source: A. Griewank, A. Walther, "Evaluating Derivatives", 2nd edition, SIAM 2008, chapter 3: products of a vector
    with a Jacobian by the reverse mode.

    Example:
        >>> model = torch.nn.Linear(2, 3)
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[5.0, 7.0]] * 3), torch.tensor([0, 1, 2]))
        >>> output_gradients(Problem(model, data), np.array([0]), torch.tensor([[0.0, 1.0, 0.0]]))
        tensor([[0., 0., 5., 7., 0., 0., 0., 1., 0.]])
    """
    if len(places) and (places.min() < 0 or places.max() >= len(problem)):
        raise InputError(f"places go from {places.min()} to {places.max()}: there are samples 0 to {len(problem) - 1}")
    parts = list(_parts(problem, columns))
    precision = row_dtype(problem)
    rows = _empty((len(places), sum(part.width for part in parts)), precision, problem.device)
    if rows.numel() == 0:
        return rows
    with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
        gradients = _Gradients(problem, [part.name for part in parts])
        cost = gradients.cost()
        if directions.shape[1] != cost.outputs:
            raise InputError(f"directions of {directions.shape[1]} outputs, but the model has {cost.outputs}")
        for chunk in _chunks(places, cost):
            batch = problem.batch(places[chunk[:, 0]])
            here = torch.from_numpy(chunk)
            found = gradients(batch, directions[here].to(problem.device))
            for part in parts:
                rows[here.flatten(), part.start : part.start + part.width] = (
                    found[part.name].flatten(2).flatten(0, 1)[:, part.taken].to(precision)
                )
            progress(chunk.size)
    return rows


def row_dtype(problem: Problem) -> torch.dtype:
    """Of the gradients that `output_gradients` gives."""
    return torch.promote_types(next(iter(problem.moving.values())).dtype, torch.float32)


class _Part(NamedTuple):
    """What some columns hold of one parameter: its entries ``taken``, from the column ``start`` on."""

    name: str
    taken: slice
    start: int

    @property
    def width(self) -> int:
        return cast(int, self.taken.stop - self.taken.start)


class _Cost(NamedTuple):
    """What a sample takes besides its rows, what a row of it takes, in bytes; and the number of outputs."""

    sample: int
    row: int
    outputs: int


def _parts(problem: Problem, columns: slice) -> Iterator[_Part]:
    sizes = [parameter.numel() for parameter in problem.moving.values()]
    first, last, _ = columns.indices(sum(sizes))
    before = 0
    for name, size in zip(problem.moving, sizes, strict=True):
        taken = slice(max(first - before, 0), min(last - before, size))
        if taken.start < taken.stop:
            yield _Part(name, taken, before + taken.start - first)
        before += size


def _chunks(places: Int64[np.ndarray, " rows"], cost: _Cost) -> Iterator[Int64[np.ndarray, "samples directions"]]:
    """The numbers of rows that are run together: of some samples, with as many directions each."""
    longest = max(1, (CHUNK_BYTES - cost.sample) // cost.row)
    order = np.argsort(places, kind="stable")
    samples = defaultdict(list)
    for of_one in np.split(order, np.flatnonzero(np.diff(places[order])) + 1):
        for start in range(0, len(of_one), longest):
            some = of_one[start : start + longest]
            samples[len(some)].append(some)
    for directions, alike in samples.items():
        together = max(1, CHUNK_BYTES // (cost.sample + directions * cost.row))
        for start in range(0, len(alike), together):
            yield np.stack(alike[start : start + together])


class _Outputs(nn.Module):
    """The outputs of a problem as a module, so that torch.func can put other parameters into the model."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.model = problem.model
        self._problem = problem

    def forward(self, batch: Batch) -> Tensor:
        return cast(Tensor, self._problem.outputs(batch)).reshape(-1)


class _Gradients:
    """Gradients in some of the parameters: of several samples at a time, if the model allows it."""

    def __init__(self, problem: Problem, names: list[str]) -> None:
        self._problem = problem
        self._model = _Outputs(problem)
        self._weights = {name: problem.moving[name].detach() for name in names}
        self._together = True

    def __call__(
        self, batch: Batch, directions: Float[Tensor, "samples directions outputs"]
    ) -> dict[str, Float[Tensor, "samples directions ..."]]:
        if self._together:
            try:
                return self._of_all(batch, directions)
            except RuntimeError as error:
                if not NOT_MAPPABLE.search(str(error)):
                    raise
                self._together = False
        of_each = [
            self._of_one(_sample(batch, row), some) for row, some in zip(_rows(directions), directions, strict=True)
        ]
        return {name: torch.stack([of_one[name] for of_one in of_each]) for name in self._weights}

    def cost(self) -> _Cost:
        """By what one sample leaves for its reverse pass."""
        own = {value.untyped_storage().data_ptr() for value in self._model.state_dict().values()}
        saved: dict[int, int] = {}

        def look(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage().data_ptr()
            if storage not in own:
                saved[storage] = tensor.numel() * tensor.element_size()
            return tensor

        batch = self._problem.batch(slice(0, 1))
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
            outputs = self._outputs(self._leaves(), batch)
        gradient = sum(value.numel() * value.element_size() for value in self._weights.values())
        # the gradient and its copy; on its way down, a few of what one layer leaves
        return _Cost(sum(saved.values()), 2 * gradient + 4 * max(saved.values(), default=0), len(outputs))

    def _of_all(self, batch: Batch, directions: Tensor) -> dict[str, Tensor]:
        def of_one(row: Tensor, some: Tensor) -> dict[str, Tensor]:
            outputs, pull, *_ = vjp(lambda weights: self._outputs(weights, _sample(batch, row)), self._weights)
            return cast(dict[str, Tensor], vmap(lambda direction: pull(direction)[0])(some.to(outputs.dtype)))

        return vmap(of_one)(_rows(directions), directions)

    def _of_one(self, sample: Batch, directions: Float[Tensor, "directions outputs"]) -> dict[str, Tensor]:
        leaves = self._leaves()
        with torch.enable_grad():
            outputs = self._outputs(leaves, sample)
        found = [
            torch.autograd.grad(
                outputs, list(leaves.values()), direction, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for direction in directions.to(outputs.dtype)
        ]
        return {name: torch.stack(of_one) for name, of_one in zip(leaves, zip(*found, strict=True), strict=True)}

    def _leaves(self) -> dict[str, Tensor]:
        return {name: value.detach().requires_grad_() for name, value in self._weights.items()}

    def _outputs(self, weights: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " outputs"]:
        moved = {f"model.{name}": value for name, value in weights.items()}
        return cast(Tensor, functional_call(self._model, moved, (batch,)))


def _empty(shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "rows columns"]:
    """New memory. NumPy asks the system for huge pages, which are written to sooner than small ones."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(shape, np.float64 if dtype == torch.float64 else np.float32))


def _rows(tensor: Tensor) -> Int64[Tensor, " rows"]:
    return torch.arange(len(tensor), device=tensor.device)


def _sample(batch: Batch, row: Int64[Tensor, ""]) -> Batch:
    """One sample of a batch, as a batch."""
    if isinstance(batch, Tensor):
        return batch.index_select(0, row.reshape(1))
    if isinstance(batch, Mapping):
        return {key: _sample(value, row) for key, value in batch.items()}
    return tuple(_sample(value, row) for value in batch) if isinstance(batch, tuple) else batch
