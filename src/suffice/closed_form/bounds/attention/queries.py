"""Bounds for the queries: T_ts = scale Q_t.K_s with Q = x W_Q + b_Q, or x W_QK + b_Q and K = x."""

from suffice.closed_form.bounds.attention.protocols import AttentionNorms, ScoreNorms, ScoreWeight
from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.level_bound import LevelBound
from suffice.closed_form.bounds.vectors import V


def through_queries(
    norms: AttentionNorms[V], scores: ScoreNorms[V], level: LevelBound[V], blocks: Blocks
) -> tuple[LevelBound[V], list[ScoreWeight]]:
    """W_Q or W_QK moves T_t by (x_t, scale K), and b_Q by (1, scale K); W_Q meets W_K in T, which is bilinear.

    Args:
        norms: of the attention.
        scores: of the scores.
        level: at A V.
        blocks: where the bounds are added up.

    Returns:
        The level, and W_Q or W_QK and b_Q, which move the scores.
    """
    weights, keys = blocks.weights(W_Q=norms.x, W_QK=norms.x, b_Q=norms.one), scores.keys
    blocks.add_gradient(weights, keys.gradient)
    for query in ("W_Q", "b_Q"):
        for key in ("W_K", "b_K"):
            if query in blocks and key in blocks:
                blocks.add_norm(query, key, scores.bilinear(query, key))
    moving = [ScoreWeight(weight, norms.layer.config.scale * keys.norms.root) for weight in weights]
    return level.meet(blocks, weights, keys.norms.with_values), moving
