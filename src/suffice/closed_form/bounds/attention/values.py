"""Bounds for the values: (A V)_t = W_V' (A x)_t + b_V (A 1)_t."""

from suffice.closed_form.bounds.attention.protocols import AttentionNorms, ScoreNorms, ScoreWeight
from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.level_bound import LevelBound
from suffice.closed_form.bounds.vectors import V


def through_values(
    norms: AttentionNorms[V], scores: ScoreNorms[V], level: LevelBound[V], blocks: Blocks
) -> tuple[LevelBound[V], list[ScoreWeight]]:
    """W_V moves A V by A x, and b_V by the sums of A's rows; both vectors move with the scores.

    Args:
        norms: of the attention.
        scores: of the scores.
        level: at A V.
        blocks: where the bounds are added up.

    Returns:
        The level, and W_V and b_V, whose vectors move with the scores.
    """
    o, weights = level.gradient, blocks.weights(W_V=norms.A_x, b_V=norms.A_1)
    blocks.add_gradient(weights, o)
    moving = [
        *(ScoreWeight(weight, scores.tokens.norms.root) for weight in blocks.weights(W_V=o)),
        *(ScoreWeight(weight, scores.ones.norms.root) for weight in blocks.weights(b_V=o)),
    ]
    return level.meet(blocks, weights, blocks.unit), moving
