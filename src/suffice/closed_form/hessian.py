"""The exact Hessian of a loss in the weights of a transformer layer: dense, by blocks, products, norms, traces."""

import copy
import functools
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal, overload

import psutil
import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.dense import Assembly, slices_in_order
from suffice.closed_form.kronecker import KroneckerSum, Summand, WeightMatrix, Workspace, pieces
from suffice.closed_form.layers import Block, BlockClassifier, Mask, SelfAttention, Tokens, TransformerBlock, check_word
from suffice.closed_form.losses import SampleLoss, check_targets
from suffice.closed_form.norms import COLUMNS, Norm, Operator, norm_of, of_matrix
from suffice.closed_form.summands import Part, summands, weight_matrices
from suffice.errors import InputError, nearest

CHUNK_BYTES = 16 << 20
"""The approximate memory for the samples that are expanded at a time; half of a dense Hessian if that is more."""

KEPT_BYTES = 1 << 30
"""A sum of at most so many bytes is kept for the next product; a larger one is computed again each time."""

SMALL_BYTES = 256 << 20
"""A Hessian of at most so many bytes is made dense for its norms, which is faster than many products."""


@overload
def hessian(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = ...,
    part: Part = ...,
    reduction: Literal["mean"] = ...,
    mask: Mask | None = ...,
) -> "Hessian": ...


@overload
def hessian(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = ...,
    part: Part = ...,
    *,
    reduction: Literal["none"],
    mask: Mask | None = ...,
) -> "SampleHessians": ...


def hessian(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = "mse",
    part: Part = "full",
    reduction: Literal["mean", "none"] = "mean",
    mask: Mask | None = None,
) -> "Hessian | SampleHessians":
    """H = d2L/dwdw of the mean loss L over the samples in all weights w of a module, exactly, in closed form.

    H = H_o + H_f, split at the outputs z of the module: the outer-product part H_o = mean_i J_i' (d2l_i/dzdz) J_i with
    J_i = dz_i/dw, and the functional part H_f = mean_i sum_a (dl_i/dz_a) d2z_ia/dwdw.

    Args:
        module: a `SelfAttention`, `TransformerBlock` or `BlockClassifier`; its weights are copied.
        inputs: X, of the weights' dtype.
        targets: one per sample, as the loss needs them.
        loss: "mse", the mean of (z - target)^2 over the (real) tokens and the width, or over the classes;
            "cross_entropy" for a `BlockClassifier`, with class numbers (samples,); or a twice differentiable function
            of one sample's outputs and its target that returns a scalar.
        part: "full" for H, "outer" for H_o, "functional" for H_f.
        reduction: "mean" over the samples, or "none" for one Hessian per sample.
        mask: (samples, tokens), True where a token is real; padding is not attended to, and counts in no mean.

    Raises:
        InputError: arguments that do not fit together, or are not finite.

    Source: W. Ormaniec et al., "What Does It Mean to Be a Transformer?", arXiv 2410.10986, for H_o and H_f of the
    attention; A. Petrov, arXiv 2510.16927, for the block. The formulas here are derived anew, and hold for both.

    Example:
        >>> from suffice.closed_form import TransformerBlock
        >>> block = TransformerBlock(width=4, key_width=4, hidden_width=8).double()
        >>> X, Y = torch.randn(2, 10, 3, 4, dtype=torch.float64)
        >>> H = hessian(block, X, Y)
        >>> H["W_Q", "W_K"].shape
        torch.Size([16, 16])
        >>> torch.allclose(H.dense() @ torch.ones(H.shape[0]).double(), H @ torch.ones(H.shape[0]).double())
        True
    """
    check_inputs(module, inputs, targets, loss, mask)
    check_word("part", part, ("full", "outer", "functional"))
    check_word("reduction", reduction, ("mean", "none"))
    module = copy.deepcopy(module).requires_grad_(False)
    inputs, targets = inputs.detach().clone(), targets.detach().clone()
    matrices = weight_matrices(module)
    of = functools.partial(summands, module, matrices, inputs, targets, loss, part, mask)
    next(of(slice(1), 1.0))  # a loss that cannot be used says so at once
    samples = len(inputs)
    each = _bytes_per_sample(module, matrices.values(), inputs, coupled=callable(loss))
    made = functools.partial(Hessian, [name for name, _ in module.named_parameters()], list(matrices.values()))
    if reduction == "none":
        one = [functools.partial(of, slice(sample, sample + 1), 1.0) for sample in range(samples)]
        return SampleHessians([made([chunk], each, inputs) for chunk in one])
    size = sum(matrix.size for matrix in matrices.values())
    some = max(CHUNK_BYTES, inputs.element_size() * size**2 // 2) / each
    chunk = math.ceil(samples / max(1, round(samples / some)))
    chunks = [slice(start, start + chunk) for start in range(0, samples, chunk)]
    return made([functools.partial(of, some, 1 / samples) for some in chunks], chunk * each, inputs)


def check_inputs(
    module: Block | BlockClassifier, X: Tensor, targets: Tensor, loss: str | SampleLoss, mask: Tensor | None
) -> None:
    """Raises an InputError for arguments that do not fit together."""
    if not isinstance(module, SelfAttention | TransformerBlock | BlockClassifier):
        raise InputError(
            f"a {type(module).__name__} has no closed form: give a SelfAttention, TransformerBlock or BlockClassifier "
            "of suffice.closed_form"
        )
    width = (module.block if isinstance(module, BlockClassifier) else module).width
    weights = dict(module.named_parameters())
    dtype = next(iter(weights.values())).dtype
    if X.ndim != 3 or X.shape[2] != width or 0 in X.shape:
        raise InputError(f"inputs must be (samples, tokens, {width}), at least one of each, not {tuple(X.shape)}")
    if X.dtype != dtype:
        raise InputError(f"inputs are {X.dtype} and the weights {dtype}: convert one, inputs.to({dtype})")
    if not isinstance(targets, Tensor) or targets.shape[:1] != X.shape[:1]:
        given = tuple(targets.shape) if isinstance(targets, Tensor) else f"a {type(targets).__name__}"
        raise InputError(f"targets must be a tensor with one entry for each of the {len(X)} samples, not {given}")
    outputs = (len(X), module.classes) if isinstance(module, BlockClassifier) else tuple(X.shape)
    check_targets(loss, outputs, targets)
    for name, tensor in {"inputs": X, **weights}.items():
        if not bool(tensor.isfinite().all()):
            raise InputError(f"{name} has values that are not finite (nan or infinite)")
    if mask is None:
        return
    if mask.shape != X.shape[:2] or mask.dtype != torch.bool:
        raise InputError(
            f"mask must be {tuple(X.shape[:2])} of bool, True where a token is real, not {tuple(mask.shape)} of "
            f"{str(mask.dtype).removeprefix('torch.')}"
        )
    if not bool(mask.any(1).all()):
        raise InputError("mask leaves a sample without any real token: leave that sample out")


def _bytes_per_sample(
    module: Block | BlockClassifier, matrices: Collection[WeightMatrix], X: Tensor, coupled: bool
) -> int:
    """The approximate memory for the expansion of one sample."""
    block = module.block if isinstance(module, BlockClassifier) else module
    tokens = X.shape[1]
    heads = block.config.heads
    level = block.width + heads * tokens
    columns = sum(sum(matrix.shape) for matrix in matrices)
    tokenwise = tokens * (2 * level * columns + 3 * heads * tokens * level)
    outputs = module.classes if isinstance(module, BlockClassifier) else tokens * block.width * coupled
    return X.element_size() * (tokenwise + 2 * outputs * sum(matrix.size for matrix in matrices))


class Hessian:
    """A symmetric matrix over all parameters of a module, as a sum of Kronecker products, from `hessian`.

    Products with vectors, the trace and, for a large matrix, norms need no dense matrix; `dense` and
    ``H["W_Q", "W_K"]`` make one.

    Attributes:
        names: the parameters, in the order of ``module.named_parameters()``; each is flattened row by row.
        shape: (P, P).
    """

    def __init__(
        self,
        names: Sequence[str],
        matrices: Sequence[WeightMatrix],
        chunks: Sequence[Callable[[], Iterator[Summand]]],
        chunk_bytes: int,
        like: Tensor,
    ) -> None:
        sizes = {name: size for matrix in matrices for name, size in matrix.sizes.items()}
        self._slices = slices_in_order({name: sizes[name] for name in names})
        self.names, self.shape = tuple(names), (sum(sizes.values()),) * 2
        self._matrices, self._chunks, self._like = matrices, chunks, like.new_empty(0)

        @functools.lru_cache(maxsize=max(1, KEPT_BYTES // chunk_bytes))
        def kronecker_sum(number: int) -> KroneckerSum:
            return KroneckerSum(chunks[number]())

        self._sum = kronecker_sum

    def dense(self) -> Float[Tensor, "P P"]:
        """All entries.

        Raises:
            InputError: it does not fit in memory.
        """
        check_memory(self._like, *self.shape)
        assembly = Assembly(self._matrices, self._like)
        workspace = Workspace()
        for chunk in self._chunks:
            for piece in pieces(chunk(), workspace):
                assembly.add(piece)
        H = assembly.finish()
        del assembly
        order = self._order()
        if order is not None:  # biases of the attention stand apart from their matrices
            H = H.index_select(0, order)
            H = H.index_select(1, order)
        return H

    def __getitem__(self, names: tuple[str, str]) -> Float[Tensor, "rows columns"]:
        """The dense block of two parameters, such as ``H["W_Q", "W_K"]``.

        Raises:
            InputError: an unknown name, or a block that does not fit in memory.
        """
        operator = self._operator(*names)
        check_memory(self._like, *operator.shape)
        units = torch.eye(operator.shape[1], dtype=self._like.dtype, device=self._like.device)
        return torch.cat([operator.times(some) for some in units.split(COLUMNS, dim=1)], 1)

    def __matmul__(self, vectors: Float[Tensor, "P *k"]) -> Float[Tensor, "P *k"]:
        """The product with a vector, or with each column of a matrix, without a dense block."""
        if vectors.ndim not in (1, 2) or len(vectors) != self.shape[0]:
            raise InputError(f"a vector must have {self.shape[0]} entries, not shape {tuple(vectors.shape)}")
        columns = vectors.reshape(len(vectors), -1)
        weights = {
            matrix: torch.cat([columns[self._slices[name]] for name in matrix.sizes]).unflatten(0, matrix.shape)
            for matrix in self._matrices
        }
        product = torch.empty_like(columns)
        for matrix, part in self._multiply(weights, self._matrices).items():
            for name, rows in slices_in_order(matrix.sizes).items():
                product[self._slices[name]] = part.flatten(0, 1)[rows]
        return product.view(vectors.shape)

    def trace(self) -> float:
        """The sum of all eigenvalues."""
        return math.fsum(self._sum(number).trace() for number in range(len(self._chunks)))

    def norm(self, kind: Norm = "spectral") -> float:
        """The largest ``|eigenvalue|`` ("spectral") or the root of the sum of squares ("frobenius")."""
        if self._is_small():
            return norm_of(of_matrix(self.dense()), kind, self._like)
        return norm_of(Operator(self.shape, self.__matmul__, self.__matmul__), kind, self._like)

    def block_norms(self, kind: Norm = "spectral") -> dict[tuple[str, str], float]:
        """The norm of every block, under both orders of its names.

        Args:
            kind: "spectral", the largest singular value, or "frobenius", the root of the sum of squares.
        """
        norms = {}
        dense = self.dense() if self._is_small() else None
        for left, right in itertools.combinations_with_replacement(self.names, 2):
            if dense is None:
                block = self._operator(left, right)
            else:
                block = of_matrix(dense[self._slices[left], self._slices[right]])
            norms[left, right] = norms[right, left] = norm_of(block, kind, self._like)
        return {(left, right): norms[left, right] for left in self.names for right in self.names}

    def _multiply(
        self, weights: Mapping[WeightMatrix, Tensor], wanted: Sequence[WeightMatrix]
    ) -> dict[WeightMatrix, Tensor]:
        some = next(iter(weights.values()))
        total = {matrix: some.new_zeros(*matrix.shape, some.shape[-1]) for matrix in wanted}
        for number in range(len(self._chunks)):
            for matrix, product in self._sum(number).multiply(weights, wanted).items():
                total[matrix] += product
        return total

    def _is_small(self) -> bool:
        """Whether the norms are computed from a dense matrix."""
        return _bytes(self._like, self.shape) <= min(SMALL_BYTES, _free_bytes(self._like) // 3)

    def _operator(self, left: str, right: str) -> Operator:
        """The block of two parameters as products with it and with its transpose."""
        shape = tuple(part.stop - part.start for _, part in (self._locate(left), self._locate(right)))
        times = functools.partial(self._multiply_block, left, right)
        return Operator(shape, times, functools.partial(self._multiply_block, right, left))

    def _multiply_block(self, row: str, column: str, vectors: Float[Tensor, "columns k"]) -> Float[Tensor, "rows k"]:
        """The product with the block of two parameters."""
        (out, rows), (into, columns) = self._locate(row), self._locate(column)
        weights = vectors.new_zeros(math.prod(into.shape), vectors.shape[1])
        weights[columns] = vectors
        product = self._multiply({into: weights.unflatten(0, into.shape)}, [out])[out]
        return product.flatten(0, 1)[rows]

    def _locate(self, name: str) -> tuple[WeightMatrix, slice]:
        """The matrix that holds a parameter, and the parameter's slice of it, flattened row by row."""
        for matrix in self._matrices:
            if name in matrix.sizes:
                return matrix, slices_in_order(matrix.sizes)[name]
        raise InputError(
            f"there is no parameter {name!r}{nearest(name, self.names)}; there are {', '.join(self.names)}"
        )

    def _order(self) -> Tensor | None:
        """The index of each parameter's weights among those of all matrices in turn; None if that is the order."""
        slices = slices_in_order({name: size for matrix in self._matrices for name, size in matrix.sizes.items()})
        if slices == self._slices:
            return None
        return torch.cat([torch.arange(slices[name].start, slices[name].stop) for name in self.names]).to(
            self._like.device
        )


class SampleHessians:
    """One `Hessian` per sample; their values are stacked along a first dimension.

    Example:
        >>> attention = SelfAttention(width=4, key_width=4)
        >>> H = hessian(attention, torch.randn(5, 3, 4), torch.randn(5, 3, 4), reduction="none")
        >>> len(H), H.dense().shape, H[0].shape
        (5, torch.Size([5, 48, 48]), (48, 48))
    """

    def __init__(self, each: Sequence[Hessian]) -> None:
        self._each = each
        self.names, self.shape = each[0].names, (len(each), *each[0].shape)

    def __len__(self) -> int:
        return len(self._each)

    def __getitem__(self, key: int | tuple[str, str]) -> "Hessian | Tensor":
        """The Hessian of one sample, or the dense block of two parameters of every sample."""
        return self._each[key] if isinstance(key, int) else torch.stack([one[key] for one in self._each])

    def __iter__(self) -> Iterator[Hessian]:
        return iter(self._each)

    def dense(self) -> Float[Tensor, "samples P P"]:
        """All entries.

        Raises:
            InputError: they do not fit in memory.
        """
        check_memory(self._each[0]._like, *self.shape)
        return torch.stack([one.dense() for one in self._each])

    def __matmul__(self, vectors: Float[Tensor, "P *k"]) -> Float[Tensor, "samples P *k"]:
        """The product of every Hessian with a vector, or with each column of a matrix."""
        return torch.stack([one @ vectors for one in self._each])


def check_memory(like: Tensor, *shape: int) -> None:
    """Raises an InputError if a tensor of this shape does not fit into free memory."""
    needed, free = _bytes(like, shape), _free_bytes(like)
    if needed > free:
        raise InputError(
            f"P = {shape[-1]:,}: a dense Hessian {shape} takes {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            'use products (H @ vector), norms (H.norm(), H.block_norms()) or one block (H["W_Q", "W_K"]) instead'
        )


def _bytes(like: Tensor, shape: Sequence[int]) -> int:
    return math.prod(shape) * like.element_size()


def _free_bytes(like: Tensor) -> int:
    if like.is_cuda:
        return torch.cuda.mem_get_info(like.device)[0]
    return int(psutil.virtual_memory().available)
