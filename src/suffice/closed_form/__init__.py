"""Exact Hessians of transformer layers in closed form, and the layers themselves."""

from suffice.closed_form import bounds
from suffice.closed_form.activations import Activation
from suffice.closed_form.derivatives import (
    layer_norm_jacobian,
    layer_norm_second_derivative,
    softmax_jacobian,
    softmax_second_derivative,
)
from suffice.closed_form.hessian import Hessian, SampleHessians, hessian
from suffice.closed_form.layers import BlockClassifier, FeedForward, LayerNorm, SelfAttention, TransformerBlock

__all__ = [
    "Activation",
    "BlockClassifier",
    "FeedForward",
    "Hessian",
    "LayerNorm",
    "SampleHessians",
    "SelfAttention",
    "TransformerBlock",
    "bounds",
    "hessian",
    "layer_norm_jacobian",
    "layer_norm_second_derivative",
    "softmax_jacobian",
    "softmax_second_derivative",
]
