"""Bounds for the output projection: F = (A V) W_O + b_O."""

from dataclasses import replace

from suffice.closed_form.bounds.attention.protocols import AttentionNorms
from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.level_bound import Coupled, LevelBound
from suffice.closed_form.bounds.vectors import V


def through_output(norms: AttentionNorms[V], level: LevelBound[V], blocks: Blocks) -> LevelBound[V]:
    """From F to A V: W_O moves F by the concatenated heads, which move with A V."""
    f, o = level.gradient, norms.backward(level.gradient)
    if norms.jacobian is None:
        return replace(level, gradient=o)
    weights = blocks.weights(W_O=norms.joined, b_O=norms.one)
    blocks.add_gradient(weights, f)
    level = level.meet(blocks, weights, blocks.unit).below(o, norms.jacobian)
    return level.couple(Coupled(Weight("W_O", f), blocks.unit))
