"""Bounds for the keys: T_ts = scale Q_t.K_s with K = x W_K + b_K."""

from suffice.closed_form.bounds.attention.protocols import AttentionNorms, ScoreNorms, ScoreWeight
from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.level_bound import LevelBound
from suffice.closed_form.bounds.vectors import V


def through_keys(
    norms: AttentionNorms[V], scores: ScoreNorms[V], level: LevelBound[V], blocks: Blocks
) -> tuple[LevelBound[V], list[ScoreWeight]]:
    """W_K, transposed, moves T_t by (Q_t, scale x), and b_K by (Q_t, scale 1); neither is there for a merged W_QK.

    Args:
        norms: of the attention.
        scores: of the scores.
        level: at A V.
        blocks: where the bounds are added up.

    Returns:
        The level, and W_K and b_K, which move the scores.
    """
    moving = []
    for weights, factor in ((blocks.weights(W_K=norms.Q), scores.tokens), (blocks.weights(b_K=norms.Q), scores.ones)):
        level = level.meet(blocks, weights, factor.norms.with_values)
        blocks.add_gradient(weights, factor.gradient)
        moving += [ScoreWeight(weight, norms.layer.config.scale * factor.norms.root) for weight in weights]
    return level, moving
