r"""The one rule for second derivatives of single samples in a subspace: the fastest way that runs and is right.

1. The sample's loss as a graph of operations, and one adjoint pass over it (`suffice.curvature.second_order_graph`).
2. ``vmap`` over samples and directions of ``jvp(grad)``.
3. Reverse passes over reverse passes, sample by sample, with the model's own parameters: this runs wherever second
   derivatives exist.

A graph has the branches that the model took for one sample, and what neither knows of may be missing in the first two.
So what they find for some samples is taken only if it adds up, with random signs and each sample at its own scale, to
what a reverse pass over a reverse pass gives for all of them together: in the gradient, and in the Hessian along a
random direction of the subspace. No error's text is read.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.func import grad, grad_and_value, jvp, vmap
from torch.nn import functional
from torch.utils import _pytree as pytree

from suffice.curvature.autograd import recording
from suffice.curvature.double_backward import gradient_along, with_graph
from suffice.curvature.second_order_graph import SecondOrderGraph
from suffice.curvature.second_order_rules import gram
from suffice.curvature.vmap_or_plain import AGREEMENT, Function, Wrapped, sample_of
from suffice.errors import InputError
from suffice.memory import has_run_out
from suffice.problem import Batch, Problem, as_tensor

SAME_LOSS = 1e-5
"""Relative difference of the losses of a graph and of the model: branches change more, rounding less."""

SMALL = 1e-2
"""Over the median size of the derivatives of samples: smaller ones are taken to be as large, as rounding is."""

CHUNK_BYTES = 192 << 20
"""What the samples that are run together may take: more is not faster (benchmarks/per_sample.py)."""

CHUNK_SAMPLES = 64
"""The most samples that are run together."""


class Projections(NamedTuple):
    r"""Of some samples: :math:`l_i`, :math:`U^\top g_i`, :math:`U^\top h_i U`."""

    losses: Float64[Tensor, " samples"]
    gradients: Float64[Tensor, "samples directions"]
    hessians: Float64[Tensor, "samples directions directions"]


Way: TypeAlias = Callable[[Batch, int], Projections | None]
"""To take the derivatives of a batch of so many samples; None where it does not run."""


class SampleProjections:
    r"""Losses, gradients and Hessians of single samples along the columns of a matrix U.

    What is found out about the model is kept for further calls. To be used within ``problem.measuring()``, with the
    "math" kernel of attention.

    Args:
        problem: the model at its present parameters, and the samples.
        basis: U.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[3.0, 1.0]] * 3), torch.zeros(3))
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> model.weight.data[:] = torch.tensor([[1.0, 2.0]])
        >>> with (problem := Problem(model, data, "mse")).measuring():
        ...     SampleProjections(problem, torch.eye(2))(np.array([0])).hessians
        tensor([[[18.,  6.],
                 [ 6.,  2.]]], dtype=torch.float64)
    """

    def __init__(self, problem: Problem, basis: Float[Tensor, "parameters directions"]) -> None:
        self._problem = problem
        self._loss = loss_of_samples(problem)
        self._wrapped = Wrapped(problem.model, self._loss)
        self._weights = {name: value.detach() for name, value in problem.moving.items()}
        self._directions = _by_parameter(problem, basis)
        self._graphs: dict[Any, SecondOrderGraph] = {}
        draw = torch.Generator().manual_seed(0)
        combination = torch.randn(basis.shape[1], 1, generator=draw, dtype=torch.float64).to(problem.device)
        self._combination = combination / combination.norm()
        weights = [value for value in problem.model.parameters() if value.is_floating_point()]
        precision = max(torch.finfo(value.dtype).eps for value in weights)
        self._tolerance = max(AGREEMENT, precision**0.5)

    def __call__(self, positions: Int64[np.ndarray, " samples"]) -> Projections:
        """Those of some samples, which are run together.

        Args:
            positions: in the problem's order.

        Raises:
            InputError: the model has no second derivatives; names the operation.
            torch.OutOfMemoryError: memory ran out.
        """
        batch = self._problem.batch(positions)
        for way in self._ways.values():
            found = way(batch, len(positions))
            if found is not None and self._adds_up(found, batch):
                return found
        return self._one_by_one(positions)

    @cached_property
    def together(self) -> int:
        """The number of samples that is best run together, a power of two."""
        first = self._problem.batch(slice(0, 1))
        for name, way in self._ways.items():
            found = way(first, 1)
            if found is not None and self._adds_up(found, first):
                if name == "vmap":
                    return self._together_by_vmap
                directions = len(next(iter(self._directions.values())))
                return _fitting(max(graph.bytes(directions) for graph in self._graphs.values()))
        return 1

    @property
    def _together_by_vmap(self) -> int:
        return _fitting(4 * sum(direction.nbytes for direction in self._directions.values()))

    @property
    def _ways(self) -> dict[str, Way]:
        """But for the plain one, in the order in which they are tried."""
        return {"graph": self._by_graph, "vmap": self._by_vmap}

    def _adds_up(self, found: Projections, batch: Batch) -> bool:
        """Whether sums over the samples with random signs are those of plain autograd.

        Each sample counts as much as any other, whatever the size of its derivatives, so that none hides behind a large
        one. Rounding is relative to the whole gradient or product where its projection is small.
        """
        if not all(bool(part.isfinite().all()) for part in found):
            return not bool(found.losses.isfinite().all())  # such a loss is refused by the caller
        along = found.hessians @ self._combination
        sizes = found.gradients.norm(dim=1) + along.norm(dim=(1, 2))
        nonzero = sizes[sizes > 0]
        least = SMALL * float(nonzero.median()) if len(nonzero) else 1.0
        signs = 2 * torch.randint(2, sizes.shape, generator=torch.Generator().manual_seed(len(sizes))) - 1
        weights = signs.to(sizes) * (sizes.clamp(min=least).min() / sizes.clamp(min=least))
        combined = {name: _combined(value, self._combination) for name, value in self._directions.items()}
        try:
            truth = self._plain(batch, combined, weights)
        except InputError:  # a model of single samples, or a sample that is refused when it is alone
            return False
        pairs = [
            (weights[:, None] * found.gradients, truth.gradient, truth.gradient_norm),
            (weights[:, None] * along[..., 0], truth.products[:, 0], truth.product_norm),
        ]
        return all(
            float((parts.sum(0) - whole).norm()) <= self._tolerance * (float(parts.norm()) + self._tolerance * norm)
            for parts, whole, norm in pairs
        )

    def _by_graph(self, batch: Batch, samples: int) -> Projections | None:
        leaves, form = pytree.tree_flatten(batch)
        inputs = [leaf.unsqueeze(1) for leaf in leaves if isinstance(leaf, Tensor)]
        key = (str(form), tuple((leaf.shape[2:], leaf.dtype) for leaf in inputs))

        def traced(row: int) -> SecondOrderGraph:
            def loss(*tensors: Tensor) -> Tensor:
                weights, rest = tensors[: len(self._weights)], iter(tensors[len(self._weights) :])
                sample = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
                named = dict(zip(self._weights, weights, strict=True))
                return self._wrapped.at(named, pytree.tree_unflatten(sample, form)).sum()

            return SecondOrderGraph(loss, list(self._weights.values()), [leaf[row] for leaf in inputs])

        def run() -> Projections | None:
            own = self._problem.losses(batch).double()
            finite = own.isfinite()
            row = None if key in self._graphs else 0
            for _ in range(2):
                if row is not None:
                    self._graphs[key] = traced(row)
                losses, gradients, hessians = self._graphs[key](list(self._directions.values()), inputs)
                apart = torch.where(finite, (losses - own).abs(), 0.0)
                limit = SAME_LOSS * (own.abs() + own[finite].abs().mean())
                if not bool((apart > limit).any()):
                    return Projections(own, gradients, hessians)
                row = int((apart - limit).nan_to_num().argmax())  # the model takes another branch for this sample
            return None

        return _unless_it_fails(run)

    def _by_vmap(self, batch: Batch, samples: int) -> Projections | None:
        def of_one(row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            def loss(weights: Mapping[str, Tensor]) -> Tensor:
                return self._wrapped.at(weights, sample_of(batch, row)).sum()

            def product(along: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
                found: Mapping[str, Tensor] = jvp(grad(loss), (self._weights,), (along,))[1]
                return found

            gradient, value = grad_and_value(loss)(self._weights)
            return value, self._projected(gradient), self._grams(vmap(product)(self._directions))

        rows = torch.arange(samples, device=self._problem.device)
        return _unless_it_fails(lambda: Projections(*vmap(of_one, chunk_size=self._together_by_vmap)(rows)))

    def _one_by_one(self, positions: Int64[np.ndarray, " samples"]) -> Projections:
        one = torch.ones(1, dtype=torch.float64, device=self._problem.device)
        found = [
            self._plain(self._problem.batch(positions[row : row + 1]), self._directions, one)
            for row in range(len(positions))
        ]
        losses, gradients, products = (torch.stack(parts) for parts in list(zip(*found, strict=True))[:3])
        return Projections(losses, gradients, (products + products.mT) / 2)

    def _plain(
        self,
        batch: Batch,
        directions: Mapping[str, Float[Tensor, "several ..."]],
        weights: Float64[Tensor, " samples"],
    ) -> "_Sums":
        """By reverse passes over reverse passes."""
        moving = self._problem.moving
        with recording(self._problem, twice=True):
            losses = self._problem.losses(batch)
            loss = (losses.double() * weights).sum()
            gradients = with_graph(loss, moving)
            each = (dict(zip(moving, one, strict=True)) for one in zip(*directions.values(), strict=True))
            products = [gradient_along(gradients, one, list(moving.values())) for one in each]
        named = dict(zip(moving, map(torch.stack, zip(*products, strict=True)), strict=True))
        first = {
            name: torch.zeros_like(moving[name]) if part is None else part.detach() for name, part in gradients.items()
        }
        sizes = [_norm(part.values()) for part in (first, named)]
        return _Sums(loss.detach().double(), self._projected(first), self._grams(named).mT, *sizes)

    def _projected(self, gradient: Mapping[str, Tensor]) -> Float64[Tensor, " directions"]:
        parts = [gram(along, gradient[name][None]) for name, along in self._directions.items()]
        return torch.stack(parts).sum(0).flatten()

    def _grams(self, products: Mapping[str, Float[Tensor, "several ..."]]) -> Float64[Tensor, "several directions"]:
        parts = [gram(products[name], along) for name, along in self._directions.items()]
        return torch.stack(parts).sum(0)


class _Sums(NamedTuple):
    """Over some samples with weights, by plain autograd: loss, U'g, U'hV for some V, and the norms of g and hV."""

    loss: Float64[Tensor, ""]
    gradient: Float64[Tensor, " directions"]
    products: Float64[Tensor, "directions several"]
    gradient_norm: float
    product_norm: float


def _fitting(size: int) -> int:
    """Samples of so many bytes that are run together."""
    return 1 << (min(max(1, CHUNK_BYTES // size), CHUNK_SAMPLES).bit_length() - 1)


def loss_of_samples(problem: Problem) -> Function:
    """The losses of a batch, without a look at the values of labels: the guards have looked at them."""
    if problem.loss != "cross_entropy":
        return problem.losses
    return lambda batch: functional.cross_entropy(
        as_tensor(problem.outputs(batch)).double(), problem.targets(batch).long(), reduction="none"
    )


def _by_parameter(problem: Problem, basis: Float[Tensor, "parameters directions"]) -> dict[str, Tensor]:
    """The columns as tensors of each parameter's shape and dtype."""
    parts = basis.split([parameter.numel() for parameter in problem.moving.values()])
    return {
        name: part.T.to(parameter).contiguous().reshape(-1, *parameter.shape)
        for (name, parameter), part in zip(problem.moving.items(), parts, strict=True)
    }


def _combined(directions: Float[Tensor, "directions ..."], combination: Float64[Tensor, "directions 1"]) -> Tensor:
    combined: Tensor = torch.tensordot(combination.to(directions.dtype), directions, dims=([0], [0]))
    return combined


def _norm(parts: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(part.double().square().sum()) for part in parts))


def _unless_it_fails(run: Callable[[], Projections | None]) -> Projections | None:
    """None where it does not run: whatever the model, or torch, says, the next way decides."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what vmap runs slowly; the model's own came by the plain way
            found = run()
    except Exception as error:
        if has_run_out(error):
            raise
        return None
    return None if found is None else Projections(*(part.detach().double() for part in found))
