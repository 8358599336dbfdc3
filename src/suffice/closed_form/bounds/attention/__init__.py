"""Bounds for the weights of the attention: a file each for queries, keys, values and the output projection."""

from suffice.closed_form.bounds.attention.bounded import BoundedAttention
from suffice.closed_form.bounds.attention.known import KnownAttention
from suffice.closed_form.bounds.attention.layer import through_attention
from suffice.closed_form.bounds.attention.protocols import AttentionNorms

__all__ = ["AttentionNorms", "BoundedAttention", "KnownAttention", "through_attention"]
