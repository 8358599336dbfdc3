"""Graphs of first derivatives, through which second ones are taken by double backward; kept where they fit."""

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import CheckpointError

from suffice.curvature.autograd import pulled_back, recording
from suffice.curvature.double_backward import gradient_along, with_graph
from suffice.curvature.written_out import WrittenOut
from suffice.errors import InputError
from suffice.memory import has_run_out, too_large
from suffice.problem import Batch, Problem, as_tensor

Part: TypeAlias = Literal["full", "outer", "functional"]
"""Of the Hessian: all of it, its outer (Gauss-Newton) part, or its functional part."""

Parameters: TypeAlias = Mapping[str, nn.Parameter]
"""Those that move, by name."""

Positions: TypeAlias = Int64[np.ndarray, " batch"]
"""Of the samples of a batch in the problem's order."""

Vector: TypeAlias = Mapping[str, Tensor]
"""The parts of a vector by the names of their parameters; parameters that are left out have zeros."""


Forward: TypeAlias = contextlib.AbstractContextManager[Any]
"""Within it, the model runs."""


class Graph(ABC):
    """The graph of one batch of samples. A product goes through it as often as one likes."""

    @abstractmethod
    def product(self, vector: Vector) -> list[Tensor]:
        """The sum of the samples' Hessians times a vector, for the parameters of the vector."""


@final
class TwiceBackward(Graph):
    r"""Of a number f: :math:`\nabla (\nabla f)^\top v`, a reverse pass through the graph of the gradient."""

    def __init__(self, value: Float[Tensor, ""], parameters: Parameters) -> None:
        self._parameters, self._gradients = parameters, with_graph(value, parameters)

    def product(self, vector: Vector) -> list[Tensor]:
        return gradient_along(self._gradients, vector, [self._parameters[name] for name in vector])


@final
class Outer(Graph):
    r""":math:`\sum_i J_i^\top S_i J_i v`, with :math:`S_i` the Hessian of the loss in the outputs.

    J v is the derivative of :math:`(J^\top u)^\top v` in u, which is linear in u.
    """

    def __init__(
        self, problem: Problem, batch: Batch, positions: Positions, parameters: Parameters, forward: Forward
    ) -> None:
        with forward:
            self._parameters, self._outputs = parameters, as_tensor(problem.outputs(batch))
        self._direction = torch.zeros_like(self._outputs, requires_grad=True)
        self._pulled = with_graph(self._outputs, parameters, self._direction)
        self._at, loss = _loss_of_outputs(problem, self._outputs, batch, positions, parameters)
        self._slopes = with_graph(loss, {"outputs": self._at})

    def product(self, vector: Vector) -> list[Tensor]:
        (pushed,) = gradient_along(self._pulled, vector, [self._direction])
        (bent,) = gradient_along(self._slopes, {"outputs": pushed}, [self._at])
        return pulled_back(self._outputs, [self._parameters[name] for name in vector], bent, keep=True)


def full(problem: Problem, batch: Batch, positions: Positions, parameters: Parameters, forward: Forward) -> Graph:
    """The Hessians of the losses."""
    with forward:
        loss = problem.weighted_sum(problem.losses(batch, len(positions)), positions)
    return TwiceBackward(loss, parameters)


def functional(problem: Problem, batch: Batch, positions: Positions, parameters: Parameters, forward: Forward) -> Graph:
    r""":math:`\sum_{ia} r_{ia} \nabla^2 z_{ia} v`, with :math:`r_i` the gradient of the loss in the outputs, fixed."""
    with forward:
        outputs = as_tensor(problem.outputs(batch))
    at, loss = _loss_of_outputs(problem, outputs, batch, positions, parameters)
    (slopes,) = pulled_back(loss, [at])
    return TwiceBackward((slopes * outputs).sum(), parameters)


def _loss_of_outputs(
    problem: Problem, outputs: Tensor, batch: Batch, positions: Positions, parameters: Parameters
) -> tuple[Tensor, Float[Tensor, ""]]:
    """The outputs as a leaf, and the loss as a function of them alone."""
    at = outputs.detach().requires_grad_()
    loss = problem.weighted_sum(problem.losses_of(at, batch, len(positions)), positions)
    if callable(problem.loss) and loss.requires_grad:
        found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, part in zip(parameters, found, strict=True):
            if part is not None:
                raise InputError(
                    f"the loss depends on {name} other than through the outputs, so there is no outer and functional "
                    'part: take part="full", or put what depends on it into the outputs'
                )
    return at, loss


BUILD: Mapping[Part, Callable[[Problem, Batch, Positions, Parameters, Forward], Graph]] = {
    "full": full,
    "outer": Outer,
    "functional": functional,
}


@final
class Graphs:
    """Sums over samples of :math:`n_i h_i`, at the moving weights that the model has at first, whatever it gets later.

    Graphs are kept as long as they fit into the memory; others are built anew for each product. Sums are taken over the
    batches in their order, in float64, and so do not depend on which of them are kept. Where memory runs out, graphs
    are given up, and then batches are halved.

    Args:
        problem: the model and the samples.
        part: of the Hessian.
        memory: bytes for the graphs that are kept.
    """

    def __init__(self, problem: Problem, part: Part, memory: int) -> None:
        self._problem, self._build, self._memory = problem, BUILD[part], memory
        self._center = problem.center()
        self._kept: dict[bytes, Graph] = {}
        self._writes_out = True
        self._together = len(problem)
        self._versions = self._present_versions()
        moving = set(problem.moving.values())
        self._frozen = [parameter for parameter in problem.model.parameters() if parameter not in moving]
        self._frozen_contents = self._contents_of_frozen()

    def add(
        self,
        totals: Float64[Tensor, "columns parameters"],
        vectors: Float[Tensor, "columns parameters"],
        positions: Int64[np.ndarray, " batch"],
        names: Sequence[str],
    ) -> None:
        """Adds, to the total of each vector, its product with the Hessians of a batch of samples.

        Args:
            totals: are added to.
            vectors: in the parameters that are named, one after the other.
            positions: of the samples.
            names: of parameters: theirs is the block of the Hessian.
        """
        if self._contents_of_frozen() != self._frozen_contents:
            raise InputError("parameters that do not move have changed since the Hessian was made: make it anew")
        self._add(list(zip(totals, vectors, strict=True)), positions, names)

    def _add(
        self, pairs: list[tuple[Tensor, Tensor]], positions: Int64[np.ndarray, " batch"], names: Sequence[str]
    ) -> None:
        together = self._together
        for start in range(0, len(positions), together):
            some, left = positions[start : start + together], list(pairs)
            try:
                self._add_products(left, some, names)
            except Exception as error:
                if not has_run_out(error):
                    raise
                self._make_room(some, error)
            if left:  # after the clause above, whose error keeps alive what there was in memory
                self._add(left, some, names)

    def _add_products(
        self, left: list[tuple[Tensor, Tensor]], positions: Int64[np.ndarray, " batch"], names: Sequence[str]
    ) -> None:
        """Adds the products of one batch, and takes each pair whose product is added out of those left."""
        with self.entered():
            graph = self._graph(positions)
            while left:
                total, vector = left[-1]
                found = [part.double() for part in graph.product(self._split(vector, names))]
                torch._foreach_add_(list(self._split(total, names).values()), found)
                left.pop()

    def bytes_of(self, samples: int) -> int:
        """Bytes that the graph of a batch of so many samples holds beside the weights, about."""
        fixed, sample = self._cost
        return fixed + samples * sample

    def memory(self, samples: int, batch_size: int) -> int:
        """Bytes that graphs of so many samples take at most, with one that is built anew."""
        whole, rest = divmod(samples, batch_size)
        needed = whole * self.bytes_of(batch_size) + (self.bytes_of(rest) if rest else 0)
        return min(needed, self._memory + self.bytes_of(min(batch_size, samples)))

    def forget(self, positions: Int64[np.ndarray, " batch"]) -> None:
        """Gives up the graph of a batch that is not needed again."""
        self._kept.pop(positions.tobytes(), None)

    def release(self) -> None:
        """Gives up all graphs."""
        self._kept.clear()

    def _split(self, vector: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        parameters = [self._problem.moving[name] for name in names]
        parts = vector.split([parameter.numel() for parameter in parameters])
        return {
            name: part.view(parameter.shape) for name, parameter, part in zip(names, parameters, parts, strict=True)
        }

    def _graph(self, positions: Int64[np.ndarray, " batch"]) -> Graph:
        versions = self._present_versions()
        if versions != self._versions:  # changed in place: kept graphs mix old and new weights
            self._kept.clear()
            self._versions = versions
        key = positions.tobytes()
        if key in self._kept:
            return self._kept[key]
        graph = self._built(positions)
        sizes = [len(other) // positions.itemsize for other in self._kept] + [len(positions)]
        if sum(map(self.bytes_of, sizes)) <= self._memory:
            self._kept[key] = graph
        return graph

    def _built(self, positions: Positions) -> Graph:
        arguments = self._problem, self._problem.batch(positions), positions, self._problem.moving
        if self._writes_out:
            mode = WrittenOut()
            # not what is written out, if a checkpoint runs forward again in a reverse pass, where no mode reaches, or
            # if forward takes gradients or maps itself over samples
            with contextlib.suppress(CheckpointError, InputError):
                graph = self._build(*arguments, mode)
                if not mode.gradients_are_taken:
                    return graph
            self._writes_out = False
        return self._build(*arguments, contextlib.nullcontext())

    def _make_room(self, positions: Int64[np.ndarray, " batch"], error: Exception) -> None:
        if self._kept:
            self._memory = 0
            self._kept.clear()
        elif len(positions) > 1:
            self._together = (len(positions) + 1) // 2
        else:
            raise too_large(error) from error

    @functools.cached_property
    def _cost(self) -> tuple[int, int]:
        """Bytes that a graph holds beside the weights: of itself, and for each sample."""
        one, three = self._bytes_of(1), self._bytes_of(3)
        sample = max((three - one) // 2, 1)
        return max(one - sample, 0), sample

    def _bytes_of(self, samples: int) -> int:
        model = self._problem.model
        own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
        saved: dict[int, int] = {}

        def look(tensor: Tensor) -> Tensor:
            storage = (tensor._values() if tensor.is_sparse else tensor).untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with self.entered(), torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
            graph = self._built(np.arange(samples))
        del graph  # not before: no storage may be used twice while they are counted
        return sum(saved.values())

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The model at its first weights, gradients recorded, attention and recurrent layers written out."""
        mkldnn: Any = torch.backends.mkldnn
        was_enabled = mkldnn.enabled
        try:
            if any(isinstance(module, nn.RNNBase) for module in self._problem.model.modules()):
                mkldnn.enabled = False  # its recurrent layers have no second derivative
            with (
                self._problem.measuring(),
                self._problem.at(self._center),
                sdpa_kernel(SDPBackend.MATH),
                recording(self._problem, twice=True),
            ):
                yield
        finally:
            mkldnn.enabled = was_enabled

    def _contents_of_frozen(self) -> list[tuple[int, int, float]]:
        """A change in place has another version; one of ``.data``, which has not, another sum or place in memory."""
        return [
            (value._version, value.data_ptr(), float(value.detach().sum()) if value.is_floating_point() else 0.0)
            for value in self._frozen
        ]

    def _present_versions(self) -> list[int]:
        return [parameter._version for parameter in self._problem.moving.values()]
