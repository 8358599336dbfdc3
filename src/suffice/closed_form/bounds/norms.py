"""Bounds of the spectral norms of a Hessian and of the norms of a gradient, without either."""

import copy
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.forward import Forward, bounded, known
from suffice.closed_form.bounds.vectors import spectral_bound
from suffice.closed_form.hessian import check_inputs
from suffice.closed_form.layers import Block, BlockClassifier, Mask, Tokens, TransformerBlock, check_word
from suffice.closed_form.losses import SampleLoss

Kind: TypeAlias = Literal["a_priori", "data"]

CHUNK_BYTES = 256 << 20
"""The approximate memory for the samples that are bounded at a time."""

ROUNDING = 1e-9
"""Added to every bound, relative to that of the whole, for the rounding errors of the norm that it is compared with."""


def hessian_norm(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = "mse",
    kind: Kind = "a_priori",
    mask: Mask | None = None,
) -> dict[str | tuple[str, str], float]:
    """Bounds of ||h_i||_2 and of the norms of all blocks of h_i = d2l_i/dwdw, each the mean over the samples i.

    The mean of the norms is at least the norm of the mean, so both are bounded. No Hessian, no block and no product
    with either is formed. A block is bounded by ||h_ab|| <= j_a j_b + f_ab, its outer-product and functional parts,
    and the whole by the norm of the matrix of block norms, ||h|| <= || [||h_ab||]_ab ||.

    Args:
        module: a `SelfAttention`, `TransformerBlock` or `BlockClassifier`.
        inputs, targets, loss, mask: as for `suffice.closed_form.hessian`.
        kind: "a_priori" from the norms of weights, inputs and targets; "data" also from the activations and gradients
            of the samples, which takes as long as several evaluations of the gradient.

    Returns:
        "total" for the whole, and (a, b) for the block of every two parameters, in both orders.

    Raises:
        InputError: as `suffice.closed_form.hessian`; a priori also a loss given as a function, or an activation
            without bounds of its derivatives.

    Source: derived anew, docs/theory.md, section 5. Bounds of single layers: W. Ormaniec et al., arXiv 2410.10986; of a
    block: A. Petrov, arXiv 2510.16927.

    Example:
        >>> from suffice.closed_form import SelfAttention, hessian
        >>> attention = SelfAttention(width=4, key_width=4).double()
        >>> X, Y = torch.randn(2, 10, 3, 4, dtype=torch.float64)
        >>> bound, H = hessian_norm(attention, X, Y, kind="data"), hessian(attention, X, Y)
        >>> H.norm() <= bound["total"] <= hessian_norm(attention, X, Y, kind="a_priori")["total"]
        True
        >>> H.block_norms()["W_Q", "W_K"] <= bound["W_Q", "W_K"]
        True
    """
    names = [name for name, _ in module.named_parameters()]
    parts = [_hessian(blocks) for _, blocks in _chunks(module, inputs, targets, loss, kind, mask)]
    each, total = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    norms: dict[str | tuple[str, str], float] = {"total": float(total.mean())}
    for a, row in zip(names, each.mean(0).tolist(), strict=True):
        norms.update({(a, b): norm for b, norm in zip(names, row, strict=True)})
    return norms


def gradient_norm(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = "mse",
    kind: Kind = "a_priori",
    mask: Mask | None = None,
) -> dict[str, float]:
    """Bounds of ||g_i|| and of the norms of its parts, g_i = dl_i/dw, each the mean over the samples i.

    Arguments and errors as for `hessian_norm`. With kind="data" the norms are exact up to rounding, since the gradient
    in a parameter is a sum over tokens of v_t u_t'.

    Example:
        >>> from suffice.closed_form import SelfAttention
        >>> attention = SelfAttention(width=4, key_width=4)
        >>> bound = gradient_norm(attention, torch.randn(10, 3, 4), torch.zeros(10, 3, 4), kind="data")
        >>> list(bound)
        ['total', 'W_Q', 'W_K', 'W_V']
    """
    names = [name for name, _ in module.named_parameters()]
    gradient = torch.cat([_gradient(blocks) for _, blocks in _chunks(module, inputs, targets, loss, kind, mask)])
    return {
        "total": float(gradient.norm(dim=1).mean()),
        **dict(zip(names, gradient.mean(0).tolist(), strict=True)),
    }


class SampleBounds(NamedTuple):
    """Bounds for each sample.

    Attributes:
        hessian, gradient: of the norms of its Hessian and gradient.
        losses: of its loss; with kind="data" the loss itself.
    """

    hessian: Float[Tensor, " samples"]
    gradient: Float[Tensor, " samples"]
    losses: Float[Tensor, " samples"]


@torch.no_grad()
def sample_bounds(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss,
    kind: Kind,
    mask: Mask | None = None,
) -> SampleBounds:
    """The bounds of each sample; arguments and errors as for `hessian_norm`."""
    parts = [
        (_hessian(blocks)[1], _gradient(blocks).norm(dim=1), forward.loss.values())
        for forward, blocks in _chunks(module, inputs, targets, loss, kind, mask)
    ]
    return SampleBounds(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


@torch.no_grad()
def collect(
    module: Block | BlockClassifier, X: Tokens, targets: Tensor, loss: str | SampleLoss, kind: Kind, mask: Mask | None
) -> tuple[Forward[Any], Blocks]:
    """All samples at once, with their bounds added up; arguments as for `hessian_norm`."""
    forward: Forward[Any] = (bounded if kind == "a_priori" else known)(module, X, targets, loss, mask)
    block = module.block if isinstance(module, BlockClassifier) else module
    # all heads share a normalisation before the attention
    shared = ("gamma_1", "beta_1") if isinstance(block, TransformerBlock) and block.norm == "pre" else ()
    names = [name.split(".")[-1] for name, _ in module.named_parameters()]
    return forward, forward.collect(Blocks(names, len(X), X, shared))


def _chunks(
    module: Block | BlockClassifier, X: Tokens, targets: Tensor, loss: str | SampleLoss, kind: Kind, mask: Mask | None
) -> Iterator[tuple[Forward[Any], Blocks]]:
    """As `collect`, for some samples at a time, in float64."""
    check_inputs(module, X, targets, loss, mask)
    check_word("kind", kind, ("a_priori", "data"))
    if X.dtype != torch.float64:
        module, X = copy.deepcopy(module).double(), X.double()
    if targets.is_floating_point():
        targets = targets.double()
    block = module.block if isinstance(module, BlockClassifier) else module
    tokens, width = X.shape[1:]
    each = X.element_size() * tokens * (8 * width**2 + block.config.heads * tokens * (min(tokens, width) + tokens))
    chunk = max(1, CHUNK_BYTES // each)
    for start in range(0, len(X), chunk):
        some = slice(start, start + chunk)
        yield collect(module, X[some], targets[some], loss, kind, None if mask is None else mask[some])


@torch.no_grad()
def _hessian(blocks: Blocks) -> tuple[Float[Tensor, "samples names names"], Float[Tensor, " samples"]]:
    """Bounds of all blocks and of the whole, with `ROUNDING` added."""
    each = blocks.hessian()
    total = spectral_bound(each, 3)
    each = (1 + ROUNDING) * each + ROUNDING * total[:, None, None]
    return _finite(each), _finite((1 + ROUNDING) * total)


@torch.no_grad()
def _gradient(blocks: Blocks) -> Float[Tensor, "samples names"]:
    """Bounds of the gradient in every parameter, with `ROUNDING` added."""
    each = blocks.gradient()
    return _finite((1 + ROUNDING) * each + ROUNDING * each.norm(dim=1, keepdim=True))


def _finite(bounds: Tensor) -> Tensor:
    """Bounds that are too large for float64 are infinite."""
    return bounds.nan_to_num(torch.inf, torch.inf)
