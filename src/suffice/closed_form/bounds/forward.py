"""Forward through the layers of a module, with the samples themselves (`known`) or with their norms (`bounded`).

`Forward.collect` then goes back from the loss to the first weights. It follows `suffice.closed_form.tokenwise` and
`suffice.closed_form.attention` term by term, with a norm in place of each matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

from torch import Tensor

from suffice.closed_form.bounds.attention import AttentionNorms, BoundedAttention, KnownAttention, through_attention
from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.feed_forward import (
    BoundedFeedForward,
    FeedForwardNorms,
    KnownFeedForward,
    through_feed_forward,
)
from suffice.closed_form.bounds.head import BoundedHead, KnownHead, through_head
from suffice.closed_form.bounds.level_bound import LevelBound
from suffice.closed_form.bounds.loss import BoundedLogitsLoss, BoundedTokenLoss, KnownLoss, LossNorms
from suffice.closed_form.bounds.normalization import (
    BoundedNormalization,
    KnownNormalization,
    NormalizationNorms,
    through_normalization,
)
from suffice.closed_form.bounds.tokens import BoundedTokens, bounded_tokens, only_norms
from suffice.closed_form.bounds.vectors import Bounded, Known, V, spectral_norm
from suffice.closed_form.layers import (
    Attention,
    Block,
    BlockClassifier,
    FeedForward,
    LayerNorm,
    Mask,
    SelfAttention,
    Tokens,
)
from suffice.closed_form.losses import SampleLoss
from suffice.errors import InputError

T = TypeVar("T")
"""Tokens between the layers: `Tokens` or `BoundedTokens`."""

Step: TypeAlias = Callable[[LevelBound[V], Blocks], LevelBound[V]]
"""From the level at the output of a layer to that at its input."""


@dataclass(frozen=True, eq=False)
class Forward(Generic[V]):
    """The result of a forward pass.

    Attributes:
        loss: the loss of the outputs.
        steps: back through the layers, from the outputs down to the attention.
        attention: the lowest layer.
    """

    loss: LossNorms[V]
    steps: Sequence[Step[V]]
    attention: AttentionNorms[V]

    def collect(self, blocks: Blocks) -> Blocks:
        """Adds up all bounds."""
        level = self.loss.level
        for step in self.steps:
            level = step(level, blocks)
        through_attention(self.attention, level, blocks)
        return blocks


class Source(Protocol[T, V]):
    """The two kinds of forward pass. Each method returns the norms of a layer, and its output."""

    def attention(self, layer: Attention, X: T, norm: LayerNorm | None, residual: bool) -> tuple[AttentionNorms[V], T]:
        """Attention(X), or Attention(LN(X)); plus X with a residual connection."""

    def normalization(self, layer: LayerNorm, x: T) -> tuple[NormalizationNorms[V], T]:
        """LN(x)."""

    def feed_forward(self, layer: FeedForward, R: T, norm: LayerNorm | None) -> tuple[FeedForwardNorms[V], T]:
        """R + FFN(R), or R + FFN(LN(R))."""


def through_layers(block: Block, X: T, source: Source[T, V]) -> tuple[AttentionNorms[V], list[Step[V]], T]:
    """The norms of the attention, the steps from the output back down to it, and the output."""
    if isinstance(block, SelfAttention):
        attention, Z = source.attention(block.attention, X, norm=None, residual=False)
        return attention, [], Z
    pre = block.norm == "pre"
    steps: list[Step[V]] = []
    attention, x = source.attention(block.attention, X, block.norm_1 if pre else None, residual=True)
    if block.norm == "post":
        normalization, x = source.normalization(block.norm_1, x)
        steps.append(partial(through_normalization, normalization, 1))
    feed_forward, x = source.feed_forward(block.feed_forward, x, block.norm_2 if pre else None)
    steps.append(partial(through_feed_forward, feed_forward))
    if block.norm == "post":
        normalization, x = source.normalization(block.norm_2, x)
        steps.append(partial(through_normalization, normalization, 2))
    return attention, steps[::-1], x


@dataclass(frozen=True, eq=False)
class KnownSource:
    """From the data.

    Attributes:
        mask: which tokens are real.
        one: a one for each token that the loss sees, else 0, as for padding.
    """

    mask: Mask | None
    one: Known

    def attention(
        self, layer: Attention, X: Tokens, norm: LayerNorm | None, residual: bool
    ) -> tuple[KnownAttention, Tokens]:
        normalization, x = (None, X) if norm is None else self.normalization(norm, X)
        attention = KnownAttention(layer, normalization, x, self.mask, self.one)
        return attention, X + attention.output if residual else attention.output

    def normalization(self, layer: LayerNorm, x: Tokens) -> tuple[KnownNormalization, Tokens]:
        normalization = KnownNormalization(layer, x, self.one)
        return normalization, normalization.output

    def feed_forward(self, layer: FeedForward, R: Tokens, norm: LayerNorm | None) -> tuple[KnownFeedForward, Tokens]:
        normalization, Y = (None, R) if norm is None else self.normalization(norm, R)
        network = KnownFeedForward(layer, normalization, Y, self.one)
        return network, network.output(R)


@dataclass(frozen=True, eq=False)
class BoundedSource:
    """A priori.

    Attributes:
        one: a one per token.
    """

    one: Bounded

    def attention(
        self, layer: Attention, X: BoundedTokens, norm: LayerNorm | None, residual: bool
    ) -> tuple[BoundedAttention, BoundedTokens]:
        normalization, x = (None, X) if norm is None else self.normalization(norm, X)
        attention = BoundedAttention(layer, normalization, x, self.one)
        return attention, X.plus(attention.output) if residual else only_norms(attention.output)

    def normalization(self, layer: LayerNorm, x: BoundedTokens) -> tuple[BoundedNormalization, BoundedTokens]:
        normalization = BoundedNormalization(layer, x, self.one)
        return normalization, normalization.output

    def feed_forward(
        self, layer: FeedForward, R: BoundedTokens, norm: LayerNorm | None
    ) -> tuple[BoundedFeedForward, BoundedTokens]:
        normalization, Y = (None, R) if norm is None else self.normalization(norm, R)
        network = BoundedFeedForward(layer, normalization, Y.vectors, self.one)
        return network, network.output(R)


def known(
    module: Block | BlockClassifier, X: Tokens, targets: Tensor, loss: str | SampleLoss, mask: Mask | None
) -> Forward[Known]:
    """From the data; arguments as for `hessian_norm`."""
    classifier = module if isinstance(module, BlockClassifier) else None
    block = module.block if isinstance(module, BlockClassifier) else module
    if classifier is not None:
        seen = (classifier.shares(X, mask) > 0).to(X.dtype)
    else:
        seen = X.new_ones(X.shape[:2]) if mask is None or callable(loss) else mask.to(X.dtype)
    attention, steps, Z = through_layers(block, X, KnownSource(mask, Known(seen[:, None, :, None])))
    if classifier is None:
        return Forward(KnownLoss(loss, Z, targets, mask), steps, attention)
    of_logits = KnownLoss(loss, classifier.head(Z, mask), targets, mask)
    head = KnownHead(classifier.W_C, Z, classifier.shares(Z, mask), of_logits)
    return Forward(of_logits, [partial(through_head, head), *steps], attention)


def bounded(
    module: Block | BlockClassifier, X: Tokens, targets: Tensor, loss: str | SampleLoss, mask: Mask | None
) -> Forward[Bounded]:
    """A priori; arguments as for `hessian_norm`.

    Raises:
        InputError: a loss given as a function, or an activation without bounds of its derivatives.
    """
    if not isinstance(loss, str):
        raise InputError('a loss given as a function has no a-priori bound: use kind="data"')
    classifier = module if isinstance(module, BlockClassifier) else None
    block = module.block if isinstance(module, BlockClassifier) else module
    real = X.new_ones(X.shape[:2]) if mask is None else mask.to(X.dtype)
    tokens = bounded_tokens(X, real, first=classifier is not None and classifier.pool == "first")
    one = Bounded(X.new_ones(1, 1, 1), X.shape[1])
    attention, steps, Z = through_layers(block, tokens, BoundedSource(one))
    if classifier is None:
        share = (real / real.sum(1, keepdim=True))[:, None]
        return Forward(BoundedTokenLoss(Z, targets * real[..., None], share), steps, attention)
    logits = spectral_norm(classifier.W_C) * Z.vectors.norms + classifier.b_C.norm()
    head = BoundedHead(classifier.W_C, Z, classifier.shares(X, mask))
    return Forward(
        BoundedLogitsLoss(logits, classifier.classes, targets), [partial(through_head, head), *steps], attention
    )
