"""The one rule for derivatives of single samples: ``torch.func.vmap`` where it runs and is right, else plain autograd.

``vmap`` runs many samples together and is several times faster. Some models it cannot run (recurrent layers, sparse
gradients, checkpointing, code that looks at values), and for some it gives another number without an error: behind
reentrant checkpointing torch.func has zeros. So the first samples are run both ways, and no error's text is read.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from suffice.curvature.autograd import pulled_back, recording
from suffice.memory import has_run_out
from suffice.problem import Batch, Problem

Function: TypeAlias = Callable[[Batch], Float[Tensor, " outputs"]]
"""Of a batch of one sample, with the model's parameters as they are."""

AGREEMENT = 1e-3
"""Relative difference of the two ways: rounding is far below it in float32, what vmap gets wrong is not."""


LOOKED_AT = 16
"""Samples of which some are run both ways, at most."""


class Cost(NamedTuple):
    """Of one sample: bytes that it leaves for its reverse pass, in all and for one layer at most; numbers put out."""

    saved: int
    largest: int
    outputs: int


class SampleGradients:
    r"""Gradients of :math:`u^\top f_i(w)` in moving parameters, for several samples i and directions u.

    How the model can be run is found out once, and kept for further calls. To be used within ``problem.measuring()``.

    Args:
        problem: the model, and the samples.
        function: f, a vector for each sample.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[5.0, 7.0]] * 3), torch.tensor([0, 1, 2]))
        >>> problem = Problem(nn.Linear(2, 3), data)
        >>> gradients = SampleGradients(problem, lambda batch: problem.outputs(batch)[0])
        >>> gradients(np.array([0]), torch.tensor([[[0.0, 1.0, 0.0]]]), ["weight"])["weight"]
        tensor([[[[0., 0.],
                  [5., 7.],
                  [0., 0.]]]])
    """

    def __init__(self, problem: Problem, function: Function) -> None:
        self._problem = problem
        self._function = function
        self._wrapped = Wrapped(problem.model, function)
        self._together: bool | None = None  # not known yet

    def __call__(
        self,
        positions: Int64[np.ndarray, " samples"],
        directions: Float[Tensor, "samples directions outputs"],
        names: Sequence[str],
    ) -> dict[str, Float[Tensor, "samples directions ..."]]:
        """The gradients by parameter, each of its shape.

        Args:
            positions: of the samples, in the problem's order.
            directions: as many for each of them.
            names: which of the moving parameters.

        Raises:
            InputError: the model can be differentiated in neither way; the reason is that of the plain one.
            torch.OutOfMemoryError: memory ran out: that is no reason to go sample by sample.
        """
        if self._together is None:
            self._together = self._vmap_is_right(positions[:LOOKED_AT], directions.shape[2])
        if self._together:
            found = self._by_vmap(positions, directions, names)
            if found is not None:
                return found
            self._together = False
        return self._one_by_one(positions, directions, names)

    @cached_property
    def cost(self) -> Cost:
        """That of the first sample."""
        model = self._problem.model
        own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
        saved: dict[int, int] = {}

        def look(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage().data_ptr()
            if storage not in own:
                saved[storage] = tensor.numel() * tensor.element_size()
            return tensor

        batch = self._problem.batch(slice(0, 1))
        with recording(self._problem), torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
            outputs = self._function(batch)
        return Cost(sum(saved.values()), max(saved.values(), default=0), len(outputs))

    def _vmap_is_right(self, candidates: Int64[np.ndarray, " candidates"], outputs: int) -> bool:
        """Whether some samples have the same gradients in two random directions each as by plain autograd.

        ``vmap`` runs over samples and over directions, and what it gets wrong may be either. A sample whose gradients
        vanish tells nothing, so two with the largest ones are taken.
        """
        if len(candidates) == 1:
            candidates = np.append(candidates, (candidates + 1) % len(self._problem))
        draw = torch.Generator().manual_seed(0)
        directions = torch.randn(len(candidates), 2, outputs, generator=draw, dtype=torch.float64)
        directions = directions.to(self._problem.device)
        names = list(self._problem.moving)
        found = self._by_vmap(candidates, directions, names)
        if found is None:
            return False
        squares = [part.detach().double().square().flatten(1).sum(1) for part in found.values()]
        largest = torch.stack(squares).sum(0).nan_to_num().argsort(descending=True, stable=True)[:2]
        expected = self._one_by_one(candidates[largest.cpu().numpy()], directions[largest], names)
        weights = [value for value in self._problem.model.parameters() if value.is_floating_point()]
        precision = max(torch.finfo(value.dtype).eps for value in weights)
        chosen = {name: part[largest] for name, part in found.items()}
        return _agree(chosen, expected, max(AGREEMENT, precision**0.5))

    def _by_vmap(
        self, positions: Int64[np.ndarray, " samples"], directions: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor] | None:
        """None where it does not run."""
        weights = {name: self._problem.moving[name].detach() for name in names}

        def of_one(row: Tensor, some: Tensor) -> dict[str, Tensor]:
            outputs, pull, *_ = vjp(lambda weights: self._wrapped.at(weights, sample_of(batch, row)), weights)
            return cast(dict[str, Tensor], vmap(lambda direction: pull(direction)[0])(some.to(outputs.dtype)))

        rows = torch.arange(len(positions), device=directions.device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what vmap runs slowly; the model's own came by the plain way
                batch = self._problem.batch(positions)
                return vmap(of_one)(rows, directions)
        except Exception as error:  # whatever the model, or vmap, says: plain autograd decides
            if has_run_out(error):
                raise
            return None

    def _one_by_one(
        self, positions: Int64[np.ndarray, " samples"], directions: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor]:
        parameters = [self._problem.moving[name] for name in names]
        of_each = [
            self._of_one(self._problem.batch(positions[number : number + 1]), directions[number], parameters)
            for number in range(len(positions))
        ]
        return dict(zip(names, map(torch.stack, zip(*of_each, strict=True)), strict=True))

    def _of_one(
        self, sample: Batch, directions: Float[Tensor, "directions outputs"], parameters: Sequence[Tensor]
    ) -> list[Tensor]:
        with recording(self._problem):
            outputs = self._function(sample)
            found = [pulled_back(outputs, parameters, one, keep=True) for one in directions.to(outputs.dtype)]
        return [torch.stack(of_one) for of_one in zip(*found, strict=True)]


class Wrapped(nn.Module):
    """A function of a model as a module, so that torch.func can put other parameters into the model."""

    def __init__(self, model: nn.Module, function: Function) -> None:
        super().__init__()
        self.model = model
        self._function = function

    def forward(self, batch: Batch) -> Tensor:
        return self._function(batch)

    def at(self, weights: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " outputs"]:
        moved = {f"model.{name}": value for name, value in weights.items()}
        return cast(Tensor, functional_call(self, moved, (batch,)))


def _agree(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> bool:
    """Parameter by parameter, up to rounding: a small one must not hide behind a large one."""
    norms = {name: float(value.double().norm()) for name, value in expected.items()}
    whole = sum(norm**2 for norm in norms.values()) ** 0.5
    return all(
        float((found[name].double() - value.double()).norm()) <= tolerance * (norms[name] + tolerance * whole)
        for name, value in expected.items()
    )


def sample_of(batch: Batch, row: Int64[Tensor, ""]) -> Batch:
    """One sample of a batch, as a batch."""
    if isinstance(batch, Tensor):
        return batch.index_select(0, row.reshape(1))
    if isinstance(batch, Mapping):
        return {key: sample_of(value, row) for key, value in batch.items()}
    return tuple(sample_of(value, row) for value in batch) if isinstance(batch, tuple) else batch
