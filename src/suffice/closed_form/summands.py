"""The summands of a Hessian, from a module, its samples and a loss."""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.attention import through_attention
from suffice.closed_form.kronecker import Coupling, Meeting, Side, Summand, Term, WeightMatrix
from suffice.closed_form.layers import Block, BlockClassifier, Mask, SelfAttention, Tokens, normalize
from suffice.closed_form.level import Level, identity, one, with_one
from suffice.closed_form.losses import SampleLoss, loss_derivatives
from suffice.closed_form.tokenwise import through_feed_forward, through_normalization

Part: TypeAlias = Literal["full", "outer", "functional"]

BIASES = {
    "W_Q": "b_Q",
    "W_QK": "b_Q",
    "W_K": "b_K",
    "W_V": "b_V",
    "W_O": "b_O",
    "gamma_1": "beta_1",
    "W_1": "b_1",
    "W_2": "b_2",
    "gamma_2": "beta_2",
    "W_C": "b_C",
}
"""The bias of each matrix, or the shift of each scale, which share a `WeightMatrix`."""

NEGLIGIBLE = 1e-16
"""Eigenvalues of a loss's Hessian below this share of the largest are rounding errors."""


def weight_matrices(module: Block | BlockClassifier) -> dict[str, WeightMatrix]:
    """The weights of a module with their biases, under the name in the layer: "W_Q", also in a classifier's block."""
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    matrices = {}
    for name, shape in shapes.items():
        prefix, own = name[: -len(name.split(".")[-1])], name.split(".")[-1]
        if own in BIASES:
            names = [name, prefix + BIASES[own]]
            sizes = {each: shapes[each].numel() for each in names if each in shapes}
            columns = shape[-1] * len(names) if len(shape) == 1 else shape[-1]  # gamma and beta are side by side
            matrices[own] = WeightMatrix(sizes, (sum(sizes.values()) // columns, columns))
    return matrices


def summands(
    module: Block | BlockClassifier,
    matrices: Mapping[str, WeightMatrix],
    X: Tokens,
    targets: Tensor,
    loss: str | SampleLoss,
    part: Part,
    mask: Mask | None,
    some: slice,
    scale: float,
) -> Iterator[Summand]:
    """The summands of the Hessian of ``scale`` times the sum of the losses of some samples.

    Args:
        module: an attention layer, a block or a classifier.
        matrices: its weights.
        X: all samples.
        targets: one per sample.
        loss: as for `loss_derivatives`.
        part: "outer" omits the gradient of the loss, "functional" its Hessian, "full" neither.
        mask: which tokens are real.
        some: the samples that count.
        scale: the factor of their losses.
    """
    X, targets, mask = X[some], targets[some], None if mask is None else mask[some]
    classifier = module if isinstance(module, BlockClassifier) else None
    block = module.block if isinstance(module, BlockClassifier) else module
    Z = block(X, mask)
    outputs = Z if classifier is None else classifier.head(Z, mask)
    gradient, hessian = loss_derivatives(loss, outputs, targets, mask)
    gradient, hessian = gradient * (scale * (part != "outer")), hessian * (scale * (part != "functional"))

    level = Level(torch.zeros_like(Z), Z.new_zeros(*Z.shape, Z.shape[-1]))
    directions = None  # of the outputs, for each token; their second derivatives couple the tokens
    if classifier is not None:
        share = classifier.shares(Z, mask)[..., None, None]
        level.gradient = share[..., 0] * (gradient @ classifier.W_C.mT)[:, None]
        directions = share * classifier.W_C
    elif hessian.ndim == 4:
        level.gradient, level.hessian = gradient, hessian
    else:
        level.gradient = gradient
        values, vectors = _eigen(hessian)
        hessian, directions = torch.diag_embed(values), vectors.unflatten(1, Z.shape[1:])

    if directions is not None:  # treated as weights, so that they meet all others
        level.couple(Side(WeightMatrix({}, (1, directions.shape[-1])), one(Z)), directions)
    if classifier is not None:
        moved = Side(matrices["W_C"], gradient[:, None], rows=slice(block.width), transposed=True)
        level.couple(moved, share * identity(block.width, block.width, Z))
    items = _through_block(level, block, X, mask, matrices)
    if directions is None:
        yield from items
        return
    jacobian: dict[WeightMatrix, Tensor] = {}
    for item in items:
        if isinstance(item, Meeting):
            _add_jacobian(jacobian, item)
            yield _without_first(item)
        else:
            yield item
    if classifier is not None:
        pooled = with_one((classifier.shares(Z, mask)[..., None] * Z).sum(1, keepdim=True))
        classes = identity(classifier.classes, classifier.classes, Z)
        jacobian[matrices["W_C"]] = pooled[..., None] * classes[:, 0, :, None]
    yield Coupling(hessian, jacobian)


def _through_block(
    level: Level, block: Block, X: Tokens, mask: Mask | None, matrices: Mapping[str, WeightMatrix]
) -> Iterator[Meeting | Term]:
    """From the level of the output down through all layers."""
    gamma_1, gamma_2 = matrices.get("gamma_1"), matrices.get("gamma_2")
    if isinstance(block, SelfAttention):
        yield from through_attention(level, block.attention, X, mask, matrices)
        return
    feed_forward, W = block.feed_forward, (matrices["W_1"], matrices["W_2"])
    if block.norm == "post":
        R = X + block.attention(X, mask)
        Y = block.norm_1(R)
        yield from through_normalization(level, block.norm_2, Y + feed_forward(Y), gamma_2)
        yield from through_feed_forward(level, feed_forward, Y, *W)
        yield from through_normalization(level, block.norm_1, R, gamma_1)
        yield from through_attention(level, block.attention, X, mask, matrices)
    elif block.norm == "pre":
        X_1 = block.norm_1(X)
        R = X + block.attention(X_1, mask)
        yield from through_feed_forward(level, feed_forward, block.norm_2(R), *W, around=True)
        yield from through_normalization(level, block.norm_2, R, gamma_2, around=True)
        n = None if gamma_1 is None else normalize(X, block.eps)
        yield from through_attention(level, block.attention, X_1, mask, matrices, n)
    else:
        yield from through_feed_forward(level, feed_forward, X + block.attention(X, mask), *W)
        yield from through_attention(level, block.attention, X, mask, matrices)


def _eigen(
    hessian: Float[Tensor, "samples n n"],
) -> tuple[Float[Tensor, "samples rank"], Float[Tensor, "samples n rank"]]:
    """Eigenvalues and eigenvectors, without those that are negligible in every sample."""
    values, vectors = torch.linalg.eigh(hessian)
    sizes = values.abs()
    kept = (sizes > NEGLIGIBLE * sizes.amax(-1, keepdim=True)).sum(-1).amax()
    order = sizes.argsort(-1, descending=True)[:, :kept]
    return values.gather(-1, order), vectors.gather(-1, order[:, None].expand(-1, values.shape[-1], -1))


def _add_jacobian(jacobian: dict[WeightMatrix, Tensor], meeting: Meeting) -> None:
    """Adds the derivatives of the directions in the weights of a side, summed over the tokens of each sample."""
    K, side = meeting.K[..., meeting.columns[0]], meeting.side
    GK = K if meeting.G is None else meeting.G.mT @ K
    part = torch.einsum("sta,stbr->srab", side.vector.expand(*GK.shape[:2], -1), GK)
    if side.matrix not in jacobian:
        jacobian[side.matrix] = part.new_zeros(*part.shape[:2], *side.matrix.shape)
    side.part(jacobian[side.matrix], 2).add_(part)


def _without_first(meeting: Meeting) -> Meeting:
    """The meeting without the directions of the outputs."""
    start = meeting.columns[0].stop
    columns = [slice(some.start - start, some.stop - start) for some in meeting.columns[1:]]
    return Meeting(meeting.side, meeting.G, meeting.others[1:], meeting.K[..., start:], columns)
