"""The exact Hessian of a loss in the weights of a transformer layer, apart from its values."""

import copy
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import psutil
import torch
from jaxtyping import Float
from scipy.sparse import linalg
from torch import Tensor

from suffice.closed_form.expansion import Expansion, Part, expand, weight_matrices
from suffice.closed_form.kronecker import WeightMatrix, Workspace
from suffice.closed_form.layers import Classifier, Mask, SelfAttention, Tokens, check_word
from suffice.closed_form.losses import SampleLoss
from suffice.errors import InputError, nearest

Norm: TypeAlias = Literal["spectral", "frobenius"]

EXPANSION_BYTES = 64 << 20
"""About so much of the sum of Kronecker products is made at a time."""

KEPT_BYTES = 1 << 30
"""A sum that fits in here is kept; a larger one is made anew each time that it is used."""

DENSE_SIDE = 512
"""Blocks with fewer entries than the square of this are made dense for their norms."""

COLUMNS = 64
"""Columns of a block that are measured at a time."""

PANEL = 512
"""Rows that are added to a dense Hessian at a time."""


def hessian(
    module: SelfAttention | Classifier,
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
        module: a `SelfAttention`, `TransformerBlock` or `Classifier`; its weights are copied.
        inputs: X, of the weights' dtype.
        targets: one a sample, as the loss needs them.
        loss: "mse", the mean of (z - target)^2 over the (real) tokens and the width, or over the classes;
            "cross_entropy" for a `Classifier`, with class numbers (samples,); or a twice differentiable function of
            one sample's outputs and its target that returns a scalar.
        part: "full" for H, "outer" for H_o, "functional" for H_f.
        reduction: "mean" over the samples, or "none" for one Hessian a sample.
        mask: (samples, tokens), True where a token is real; padding is not attended to, and counts in no mean.

    Raises:
        InputError: what is given does not fit together, or is not finite.

    Source: theory, section 4; H_o and H_f as in W. Ormaniec et al., "What Does It Mean to Be a Transformer?", arXiv
    2410.10986, for the layers that they have in common.

    Example:
        >>> block = TransformerBlock(width=4, key_width=4, hidden_width=8).double()
        >>> X, Y = torch.randn(2, 10, 3, 4, dtype=torch.float64)
        >>> H = hessian(block, X, Y)
        >>> H["W_Q", "W_K"].shape
        torch.Size([16, 16])
        >>> torch.allclose(H.dense() @ torch.ones(H.shape[0]).double(), H @ torch.ones(H.shape[0]).double())
        True
    """
    _check(module, inputs, targets, mask)
    check_word("part", part, ("full", "outer", "functional"))
    check_word("reduction", reduction, ("mean", "none"))
    module = copy.deepcopy(module)
    matrices = weight_matrices(module)
    samples = len(inputs)
    each = _bytes_per_sample(module, matrices.values(), inputs)
    chunk = max(1, EXPANSION_BYTES // each)
    scale = 1 / samples if reduction == "mean" else 1.0

    def expanded(start: int) -> Expansion:
        some = slice(start, start + chunk)
        some_mask = None if mask is None else mask[some]
        return expand(module, matrices, inputs[some], targets[some], loss, part, some_mask, scale)

    if samples * each <= KEPT_BYTES:
        expanded = functools.cache(expanded)
    expanded(0)  # what does not fit is said at once
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    like = inputs.new_empty(0)
    if reduction == "mean":
        expansions = [functools.partial(expanded, start) for start in range(0, samples, chunk)]
        return Hessian(sizes, list(matrices.values()), expansions, like)
    return SampleHessians(
        [
            Hessian(sizes, list(matrices.values()), [functools.partial(_one_sample, expanded, chunk, sample)], like)
            for sample in range(samples)
        ]
    )


def _check(module: SelfAttention | Classifier, X: Tensor, targets: Tensor, mask: Tensor | None) -> None:
    """Raises an InputError for what does not fit together."""
    if not isinstance(module, SelfAttention | Classifier):
        raise InputError(
            f"a {type(module).__name__} has no closed form here: give a SelfAttention, TransformerBlock or Classifier "
            "of suffice.closed_form"
        )
    width = (module.block if isinstance(module, Classifier) else module).width
    weights = dict(module.named_parameters())
    dtype = next(iter(weights.values())).dtype
    if X.ndim != 3 or X.shape[2] != width or 0 in X.shape:
        raise InputError(f"inputs must be (samples, tokens, {width}), at least one of each, not {tuple(X.shape)}")
    if X.dtype != dtype:
        raise InputError(f"inputs are {X.dtype} and the weights {dtype}: convert one, inputs.to({dtype})")
    if len(targets) != len(X):
        raise InputError(f"targets must be one for each of the {len(X)} samples, not {tuple(targets.shape)}")
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


def _bytes_per_sample(module: SelfAttention | Classifier, matrices: Iterable[WeightMatrix], X: Tensor) -> int:
    """About how much the expansion of one sample takes."""
    block = module.block if isinstance(module, Classifier) else module
    tokens = X.shape[1]
    level = block.width + block.heads * tokens
    columns = sum(sum(matrix.shape) for matrix in matrices)
    return tokens * X.element_size() * (2 * level * columns + 3 * block.heads * tokens * level)


def _one_sample(expanded: Callable[[int], Expansion], chunk: int, sample: int) -> Expansion:
    return expanded(sample - sample % chunk).of(sample % chunk)


class Hessian:
    """A symmetric matrix over all parameters of a module, as a sum of Kronecker products. Made by `hessian`.

    Products with vectors, norms and the trace need no dense matrix; `dense` and ``H["W_Q", "W_K"]`` make one.

    Attributes:
        names: the parameters, in the order of ``module.named_parameters()``; each is flattened row by row.
        shape: (P, P).
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        matrices: Sequence[WeightMatrix],
        expansions: Sequence[Callable[[], Expansion]],
        like: Tensor,
    ) -> None:
        ends = list(itertools.accumulate(sizes.values()))
        self.names, self.shape = tuple(sizes), (ends[-1], ends[-1])
        self._places = {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}
        self._matrices, self._expansions, self._like = matrices, expansions, like

    def dense(self) -> Float[Tensor, "P P"]:
        """All entries.

        Raises:
            InputError: it does not fit in memory.
        """
        check_memory(self._like, *self.shape)
        H = self._like.new_empty(self.shape)
        workspace = Workspace(self._like)
        for number, expansion in enumerate(self._expansions):
            tokenwise, coupling = expansion().tokenwise, expansion().coupling
            for left, right in itertools.combinations_with_replacement(self._matrices, 2):
                self._write(H, tokenwise.block(left, right, workspace), left, right, add=number > 0)
            if coupling is not None:
                _add_product(H, self._flat(coupling.jacobian), coupling.middle)
        return H

    def __getitem__(self, names: tuple[str, str]) -> Float[Tensor, "rows columns"]:
        """The dense block of two parameters, such as ``H["W_Q", "W_K"]``.

        Raises:
            InputError: an unknown name, or a block that does not fit in memory.
        """
        (left, rows), (right, columns) = (self._locate(name) for name in names)
        check_memory(self._like, rows.stop - rows.start, columns.stop - columns.start)
        workspace = Workspace(self._like)
        total = self._like.new_zeros(rows.stop - rows.start, columns.stop - columns.start)
        for expansion in self._expansions:
            tokenwise, coupling = expansion().tokenwise, expansion().coupling
            block = tokenwise.block(left, right, workspace)
            if block is not None:
                total += block.flatten(2).flatten(0, 1)[rows, columns]
            if coupling is not None:
                J, K = (coupling.jacobian[matrix].flatten(2)[..., part] for matrix, part in ((left, rows), (right, columns)))
                total += J.flatten(0, 1).mT @ (coupling.middle @ K).flatten(0, 1)
        return total

    def __matmul__(self, vectors: Float[Tensor, "P *k"]) -> Float[Tensor, "P *k"]:
        """The product with a vector, or with each column of a matrix; no dense block is made."""
        if vectors.ndim not in (1, 2) or len(vectors) != self.shape[0]:
            raise InputError(f"a vector must have {self.shape[0]} entries, not shape {tuple(vectors.shape)}")
        columns = vectors.reshape(len(vectors), -1)
        weights = {
            matrix: torch.cat([columns[self._places[name]] for name in matrix.sizes]).unflatten(0, matrix.shape)
            for matrix in self._matrices
        }
        product = torch.empty_like(columns)
        for matrix, part in self._multiply(weights, self._matrices).items():
            for name, rows in _rows(matrix).items():
                product[self._places[name]] = part.flatten(0, 1)[rows]
        return product.view(vectors.shape)

    def trace(self) -> float:
        """The sum of all eigenvalues."""
        return math.fsum(expansion().trace() for expansion in self._expansions)

    def norm(self, kind: Norm = "spectral") -> float:
        """The largest |eigenvalue| ("spectral") or the root of the sum of squares ("frobenius")."""
        return _norm(_Operator(self.shape, self.__matmul__, self.__matmul__), kind, self._like)

    def block_norms(self, kind: Norm = "spectral") -> dict[tuple[str, str], float]:
        """The norm of every block, in both orders of its names.

        Args:
            kind: "spectral", the largest singular value, or "frobenius", the root of the sum of squares.
        """
        norms = {}
        for left, right in itertools.combinations_with_replacement(self.names, 2):
            norms[left, right] = norms[right, left] = _norm(self._operator(left, right), kind, self._like)
        return {(left, right): norms[left, right] for left in self.names for right in self.names}

    def _multiply(
        self, weights: Mapping[WeightMatrix, Tensor], wanted: Sequence[WeightMatrix]
    ) -> dict[WeightMatrix, Tensor]:
        some = next(iter(weights.values()))
        total = {matrix: some.new_zeros(*matrix.shape, some.shape[-1]) for matrix in wanted}
        for expansion in self._expansions:
            for matrix, product in expansion().multiply(weights, wanted).items():
                total[matrix] += product
        return total

    def _operator(self, left: str, right: str) -> "_Operator":
        """The block of two parameters as products with it and with its transpose."""

        def times(row: str, column: str, vectors: Tensor) -> Tensor:
            (out, rows), (into, columns) = self._locate(row), self._locate(column)
            weights = vectors.new_zeros(math.prod(into.shape), vectors.shape[1])
            weights[columns] = vectors
            product = self._multiply({into: weights.unflatten(0, into.shape)}, [out])[out]
            return product.flatten(0, 1)[rows]

        size = {name: place.stop - place.start for name, place in self._places.items()}
        return _Operator(
            (size[left], size[right]), functools.partial(times, left, right), functools.partial(times, right, left)
        )

    def _locate(self, name: str) -> tuple[WeightMatrix, slice]:
        """The matrix that holds a parameter, and where in it, read row by row."""
        for matrix in self._matrices:
            if name in matrix.sizes:
                return matrix, _rows(matrix)[name]
        raise InputError(f"there is no parameter {name!r}{nearest(name, self.names)}; there are {', '.join(self.names)}")

    def _write(self, H: Tensor, block: Tensor | None, left: WeightMatrix, right: WeightMatrix, add: bool) -> None:
        """Puts a block of two matrices, and its transpose, where their parameters are."""
        for (rows, upper), (columns, lower) in itertools.product(self._spans(left), self._spans(right)):
            place = H[upper, lower]
            if block is None:
                if not add:
                    place.zero_()
            else:
                # a bias alone is the last row of its matrix
                part = block[rows, :, columns, :]
                place = place.unflatten(1, part.shape[2:]).unflatten(0, part.shape[:2])
                (place.add_ if add else place.copy_)(part)
            if left is not right:
                H[lower, upper].copy_(H[upper, lower].mT)

    def _spans(self, matrix: WeightMatrix) -> Iterator[tuple[slice, slice]]:
        """Rows of a matrix, and where they are among all parameters: all rows at once if its bias follows it."""
        places = [self._places[name] for name in matrix.sizes]
        if all(place.stop == following.start for place, following in itertools.pairwise(places)):
            yield slice(None), slice(places[0].start, places[-1].stop)
        else:
            for place, rows in zip(places, _rows(matrix).values(), strict=True):
                columns = matrix.shape[1]
                yield slice(rows.start // columns, rows.stop // columns), place

    def _flat(self, jacobian: Mapping[WeightMatrix, Tensor]) -> Float[Tensor, "samples rank P"]:
        some = next(iter(jacobian.values()))
        flat = some.new_zeros(*some.shape[:2], self.shape[0])
        for matrix, part in jacobian.items():
            for name, rows in _rows(matrix).items():
                flat[..., self._places[name]] = part.flatten(2)[..., rows]
        return flat


class SampleHessians:
    """One Hessian a sample, each a `Hessian`; their values are stacked along a first dimension.

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
        """The product of each with a vector, or with each column of a matrix."""
        return torch.stack([one @ vectors for one in self._each])


class _Operator(NamedTuple):
    """A matrix by its products."""

    shape: tuple[int, int]
    times: Callable[[Tensor], Tensor]
    transposed_times: Callable[[Tensor], Tensor]


def _norm(matrix: _Operator, kind: Norm, like: Tensor) -> float:
    """Frobenius norm, or largest singular value, from products alone."""
    if kind not in ("spectral", "frobenius"):
        raise InputError(f'kind = {kind!r}: a norm is "spectral" or "frobenius"')
    rows, columns = matrix.shape
    if rows < columns:
        return _norm(_Operator((columns, rows), matrix.transposed_times, matrix.times), kind, like)
    if kind == "spectral" and rows * columns > DENSE_SIDE**2:
        return _largest_singular_value(matrix, like)
    units = torch.eye(columns, dtype=like.dtype, device=like.device)
    if kind == "spectral":
        return float(torch.linalg.matrix_norm(matrix.times(units), 2))
    return math.hypot(*(float(matrix.times(some).norm()) for some in units.split(COLUMNS, dim=1)))


def _largest_singular_value(matrix: _Operator, like: Tensor) -> float:
    """By Lanczos with full re-orthogonalisation (ARPACK), from a fixed start."""

    def by(times: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda vector: times(torch.as_tensor(vector.reshape(len(vector), -1)).to(like)).cpu().numpy()

    start = np.random.default_rng(0).standard_normal(matrix.shape[1])
    if not by(matrix.times)(start).any():
        return 0.0
    operator = linalg.LinearOperator(
        matrix.shape,
        matvec=by(matrix.times),
        rmatvec=by(matrix.transposed_times),
        dtype=by(matrix.times)(start).dtype,
    )
    (value,) = linalg.svds(operator, k=1, v0=start, return_singular_vectors=False)
    return float(value)


def _add_product(H: Tensor, J: Float[Tensor, "samples rank P"], middle: Float[Tensor, "samples rank rank"]) -> None:
    """H += sum_i J_i' M_i J_i, a panel of rows and its transpose at a time."""
    right = (middle @ J).flatten(0, 1)
    J = J.flatten(0, 1)
    for start in range(0, len(H), PANEL):
        stop = min(start + PANEL, len(H))
        panel = J[:, start:stop].mT @ right[:, start:]
        H[start:stop, start:] += panel
        H[stop:, start:stop] += panel[:, stop - start :].mT


def check_memory(like: Tensor, *shape: int) -> None:
    """Raises an InputError if a tensor of this shape does not fit into free memory."""
    needed = math.prod(shape) * like.element_size()
    free = torch.cuda.mem_get_info(like.device)[0] if like.is_cuda else psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"a dense Hessian of shape {shape} takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: "
            'ask for products (H @ vector), norms (H.norm(), H.block_norms()) or one block (H["W_Q", "W_K"]) instead'
        )


def _rows(matrix: WeightMatrix) -> dict[str, slice]:
    """Where each parameter is in a matrix that is read row by row."""
    ends = list(itertools.accumulate(matrix.sizes.values()))
    return {name: slice(end - size, end) for (name, size), end in zip(matrix.sizes.items(), ends, strict=True)}
