"""Bounds of the spectral norms of a Hessian and of the norms of a gradient, without either."""

import copy
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.activations import Activations
from suffice.closed_form.bounds.family import Family
from suffice.closed_form.bounds.level import Blocks
from suffice.closed_form.bounds.vectors import spectral_bound
from suffice.closed_form.bounds.walk import collect
from suffice.closed_form.bounds.weight_norms import WeightNorms
from suffice.closed_form.hessian import check_inputs
from suffice.closed_form.layers import Block, Classifier, Mask, Tokens, check_word
from suffice.closed_form.losses import SampleLoss

Kind: TypeAlias = Literal["a_priori", "data"]

CHUNK_BYTES = 256 << 20
"""About so much memory goes into the samples that are bounded at a time."""

ROUNDING = 1e-9
"""What is added to every bound, relative to that of the whole, for the rounding of what it is compared with."""


def hessian_norm(
    module: Block | Classifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = "mse",
    kind: Kind = "a_priori",
    mask: Mask | None = None,
) -> dict[str | tuple[str, str], float]:
    """Bounds of ||h_i||_2 and of the norms of all blocks of h_i = d2l_i/dwdw, each the mean over the samples i.

    The mean of norms is at least the norm of the mean: both are bounded. No Hessian, no block of one and no product
    with either is formed. Blocks are bounded by ||h_ab|| <= j_a j_b + f_ab, of the outer-product and the functional
    part, and the whole by the norm of the matrix of these, ||h|| <= || [||h_ab||]_ab ||.

    Args:
        module: a `SelfAttention`, `TransformerBlock` or `Classifier`.
        inputs, targets, loss, mask: as for `suffice.closed_form.hessian`.
        kind: "a_priori" from the norms of weights, inputs and targets; "data" from the samples' activations and
            gradients as well, which takes about as long as some evaluations of the gradient.

    Returns:
        "total" for the whole, and (a, b) for the block of each two parameters, in both orders.

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
    module: Block | Classifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss = "mse",
    kind: Kind = "a_priori",
    mask: Mask | None = None,
) -> dict[str, float]:
    """Bounds of ||g_i|| and of the norms of its parts, g_i = dl_i/dw, each the mean over the samples i.

    Arguments and errors as for `hessian_norm`. With kind="data" each parameter's norm is exact but for rounding, as the
    gradient is a small sum over tokens of v_t u_t'; gamma_1 and beta_1 before the attention as well.

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
    """Bounds for each sample, of the norm of its Hessian and of its gradient, and of its loss.

    Attributes:
        hessian, gradient: of the norms.
        losses: of the loss, which kind="data" gives as it is.
    """

    hessian: Float[Tensor, " samples"]
    gradient: Float[Tensor, " samples"]
    losses: Float[Tensor, " samples"]


@torch.no_grad()
def sample_bounds(
    module: Block | Classifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss,
    kind: Kind,
    mask: Mask | None = None,
) -> SampleBounds:
    """The bounds of each sample; arguments and errors as for `hessian_norm`."""
    parts = [
        (_hessian(blocks)[1], _gradient(blocks).norm(dim=1), family.losses())
        for family, blocks in _chunks(module, inputs, targets, loss, kind, mask)
    ]
    return SampleBounds(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _chunks(
    module: Block | Classifier,
    X: Tokens,
    targets: Tensor,
    loss: str | SampleLoss,
    kind: Kind,
    mask: Mask | None,
) -> Iterator[tuple[Family[Any], Blocks]]:
    """Some samples at a time, in float64."""
    check_inputs(module, X, targets, loss, mask)
    check_word("kind", kind, ("a_priori", "data"))
    if X.dtype != torch.float64:
        module, X = copy.deepcopy(module).double(), X.double()
    if targets.is_floating_point():
        targets = targets.double()
    block = module.block if isinstance(module, Classifier) else module
    tokens, width = X.shape[1:]
    each = X.element_size() * tokens * (8 * width**2 + block.config.heads * tokens * (min(tokens, width) + tokens))
    chunk = max(1, CHUNK_BYTES // each)
    for start in range(0, len(X), chunk):
        some = slice(start, start + chunk)
        given = module, X[some], targets[some], loss, None if mask is None else mask[some]
        with torch.no_grad():
            family: Family[Any] = WeightNorms(*given) if kind == "a_priori" else Activations(*given)
            blocks = collect(module, family, len(X[some]))
        yield family, blocks


@torch.no_grad()
def _hessian(blocks: Blocks) -> tuple[Float[Tensor, "samples names names"], Float[Tensor, " samples"]]:
    """Bounds of all blocks and of the whole, with room for rounding."""
    each = blocks.hessian()
    total = spectral_bound(each, 3)
    each = (1 + ROUNDING) * each + ROUNDING * total[:, None, None]
    return _finite(each), _finite((1 + ROUNDING) * total)


@torch.no_grad()
def _gradient(blocks: Blocks) -> Float[Tensor, "samples names"]:
    """Bounds of the gradient in every parameter, with room for rounding."""
    each = blocks.gradient()
    return _finite((1 + ROUNDING) * each + ROUNDING * each.norm(dim=1, keepdim=True))


def _finite(bounds: Tensor) -> Tensor:
    """Where numbers are too large for float64, nothing is known."""
    return bounds.nan_to_num(torch.inf, torch.inf)
