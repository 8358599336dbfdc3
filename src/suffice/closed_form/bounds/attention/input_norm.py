"""Bounds for gamma_1 and beta_1 of a normalisation before the attention: they move queries, keys and values."""

from suffice.closed_form.bounds.attention.protocols import AttentionNorms, InputNorm, ScoreNorms, ScoreWeight
from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.level_bound import LevelBound
from suffice.closed_form.bounds.vectors import V


def through_input_norm(
    norms: AttentionNorms[V], scores: ScoreNorms[V], input_norm: InputNorm[V], level: LevelBound[V], blocks: Blocks
) -> tuple[list[ScoreWeight], list[ScoreWeight]]:
    """Adds the second derivatives in gamma_1 and beta_1, except between the weights of the scores.

    Args:
        norms: of the attention.
        scores: of the scores.
        input_norm: of the normalisation.
        level: at A V.
        blocks: where the bounds are added up.

    Returns:
        Both parameters, first with the vectors by which they move the values, and which move with the scores; then
        with those by which they move the scores.
    """
    W, scale = norms.projections, norms.layer.config.scale
    shifts = {"gamma_1": input_norm.scale, "beta_1": input_norm.shift}
    blocks.add_gradient(blocks.weights(gamma_1=input_norm.every), input_norm.n_gradient)
    blocks.add_gradient(blocks.weights(beta_1=input_norm.every), input_norm.gradient)
    with_scores: list[ScoreWeight] = []
    moving: list[ScoreWeight] = []
    for name, shift in shifts.items():
        # the values of all tokens, and the vector of W_V
        level = level.meet(blocks, [Weight(name, shift.A_x)], W.value)
        for value in blocks.weights(W_V=level.gradient):
            blocks.add(value, Weight(name, shift.A_x), blocks.unit, mixed=False)
        with_scores.append(ScoreWeight(Weight(name, shift.to_V), shift.norms.root))
        # the scores, once by the keys and once by the query
        for v, factor in ((shift.to_K, shift.norms), (shift.x, input_norm.KW)):
            level = level.meet(blocks, [Weight(name, v)], factor.with_values)
            moving.append(ScoreWeight(Weight(name, v), scale * factor.root))
        # W_Q and W_K with the moving other factor of the scores, and with their own moving vectors
        for query in blocks.weights(W_Q=norms.x, W_QK=norms.x, b_Q=norms.one):
            blocks.add(query, Weight(name, shift.q_x), W.key, mixed=False)
        for key in blocks.weights(W_K=norms.Q):
            blocks.add(key, Weight(name, shift.q_x), blocks.unit, mixed=False)
        for query in blocks.weights(W_Q=scores.keys.gradient, W_QK=scores.keys.gradient):
            blocks.add(query, Weight(name, shift.x), blocks.unit, mixed=False)
        for key in blocks.weights(W_K=scores.tokens.gradient, b_K=scores.ones.gradient):
            blocks.add(key, Weight(name, shift.x), W.query, mixed=False)
    for left, by_query in shifts.items():
        for right, by_key in shifts.items():
            blocks.add(Weight(left, by_query.x), Weight(right, by_key.q_x), W.query * W.key, mixed=False)
    return with_scores, moving
