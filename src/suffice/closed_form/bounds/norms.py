"""Bounds of the spectral norms of a Hessian and of the norms of a gradient, without either."""

import copy
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.activations import Activations
from suffice.closed_form.bounds.family import Family
from suffice.closed_form.bounds.vectors import spectral_bound
from suffice.closed_form.bounds.walk import collect
from suffice.closed_form.bounds.weight_norms import WeightNorms
from suffice.closed_form.hessian import check_inputs
from suffice.closed_form.layers import Classifier, Mask, SelfAttention, Tokens, check_word
from suffice.closed_form.losses import SampleLoss

Kind: TypeAlias = Literal["a_priori", "data"]

CHUNK_BYTES = 256 << 20
"""About so much memory goes into the samples that are bounded at a time."""

ROUNDING = 1e-9
"""What is added to every bound, relative to that of the whole, for the rounding of what it is compared with."""


def hessian_norm(
    module: SelfAttention | Classifier,
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
    bounds = sample_bounds(module, inputs, targets, loss, kind, mask)
    means = bounds.blocks.mean(0)
    norms: dict[str | tuple[str, str], float] = {"total": float(bounds.total.mean())}
    norms.update({(a, b): float(means[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)})
    return norms


def gradient_norm(
    module: SelfAttention | Classifier,
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
    gradient = sample_bounds(module, inputs, targets, loss, kind, mask).gradient
    return {
        "total": float(gradient.norm(dim=1).mean()),
        **dict(zip(names, gradient.mean(0).tolist(), strict=True)),
    }


class SampleBounds(NamedTuple):
    """Bounds for each sample.

    Attributes:
        blocks: of the norms of the Hessian's blocks, the parameters in their order.
        total: of the norm of the Hessian.
        gradient: of the norm of the gradient in each parameter.
        losses: of the loss, exact with kind="data".
    """

    blocks: Float[Tensor, "samples names names"]
    total: Float[Tensor, " samples"]
    gradient: Float[Tensor, "samples names"]
    losses: Float[Tensor, " samples"]


def sample_bounds(
    module: SelfAttention | Classifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss,
    kind: Kind,
    mask: Mask | None = None,
) -> SampleBounds:
    """The bounds of each sample, in float64; arguments as for `hessian_norm`."""
    check_inputs(module, inputs, targets, loss, mask)
    check_word("kind", kind, ("a_priori", "data"))
    if inputs.dtype != torch.float64:
        module, inputs = copy.deepcopy(module).double(), inputs.double()
    if targets.is_floating_point():
        targets = targets.double()
    block = module.block if isinstance(module, Classifier) else module
    tokens, width = inputs.shape[1:]
    each = 8 * tokens * (8 * width * width + block.heads * tokens * (min(tokens, width) + tokens))
    chunk = max(1, CHUNK_BYTES // each)
    parts = []
    with torch.no_grad():
        for start in range(0, len(inputs), chunk):
            some = slice(start, start + chunk)
            some_mask = None if mask is None else mask[some]
            given = module, inputs[some], targets[some], loss, some_mask
            family: Family[Any] = WeightNorms(*given) if kind == "a_priori" else Activations(*given)
            blocks = collect(module, family, len(inputs[some]))
            hessian, gradient = blocks.hessian(), blocks.gradient()
            total, length = spectral_bound(hessian, 3)[:, None, None], gradient.norm(dim=1, keepdim=True)
            hessian = (1 + ROUNDING) * hessian + ROUNDING * total
            gradient = (1 + ROUNDING) * gradient + ROUNDING * length
            parts.append((hessian, (1 + ROUNDING) * total[:, 0, 0], gradient, family.losses()))
    # where numbers are too large for float64, nothing is known
    return SampleBounds(*(torch.cat(tensors).nan_to_num(torch.inf, torch.inf) for tensors in zip(*parts, strict=True)))
