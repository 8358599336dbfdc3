"""Bounds of an attention layer, from its output down to its weights."""

from collections.abc import Sequence

from suffice.closed_form.bounds.attention.input_norm import through_input_norm
from suffice.closed_form.bounds.attention.keys import through_keys
from suffice.closed_form.bounds.attention.output import through_output
from suffice.closed_form.bounds.attention.protocols import AttentionNorms, ScoreWeight
from suffice.closed_form.bounds.attention.queries import through_queries
from suffice.closed_form.bounds.attention.values import through_values
from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.level_bound import LevelBound
from suffice.closed_form.bounds.vectors import Number, V


def through_attention(norms: AttentionNorms[V], level: LevelBound[V], blocks: Blocks) -> None:
    """From F down to the last weights of a module; terms as in `suffice.closed_form.attention`.

    Args:
        norms: of the layer.
        level: at F.
        blocks: where the bounds are added up.
    """
    level = through_output(norms, level, blocks)
    scores = norms.scores(level.gradient)
    level, with_scores = through_values(norms, scores, level, blocks)
    level, keys = through_keys(norms, scores, level, blocks)
    level, queries = through_queries(norms, scores, level, blocks)
    moving = keys + queries
    if scores.input_norm is not None and "gamma_1" in blocks:
        more_with_scores, more_moving = through_input_norm(norms, scores, scores.input_norm, level, blocks)
        with_scores, moving = with_scores + more_with_scores, moving + more_moving
    _through_scores(with_scores, moving, scores.bend, blocks)


def _through_scores(
    with_scores: Sequence[ScoreWeight], moving: Sequence[ScoreWeight], bend: Number, blocks: Blocks
) -> None:
    """Adds the second derivatives through the scores.

    Args:
        with_scores: weights whose vectors move with the scores.
        moving: weights that move the scores; softmax is curved, so they also meet each other.
        bend: the curvature of softmax, relative to P.
        blocks: where the bounds are added up.
    """
    for number, (weight, root) in enumerate(moving):
        for other in with_scores:
            blocks.add(other.weight, weight, other.root * root, mixed=False)
        for other in moving[:number]:
            blocks.add(other.weight, weight, bend * other.root * root, mixed=False)
        blocks.add_own(weight, bend * root * root, mixed=False)
