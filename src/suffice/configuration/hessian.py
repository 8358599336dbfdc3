"""Which transformer block has its exact Hessian derived, and how it is trained: ``suffice hessian``."""

from typing import Literal

from pydantic import Field

from suffice.configuration.base import Config
from suffice.configuration.values import LARGEST_SIDE, MOST


class HessianConfig(Config):
    """The configuration of ``suffice hessian``; every key is a flag as well."""

    data: str = Field(default="builtin:digits", description="folder of images, IDX files, or builtin:digits")
    image_size: int = Field(
        default=8, ge=1, le=LARGEST_SIDE, description="side of an image in pixels; images become grey and square"
    )
    patch_size: int = Field(
        default=4, ge=1, le=LARGEST_SIDE, description="side of a patch in pixels; each patch is a token"
    )
    samples: int = Field(default=128, ge=2, description="use this many samples, drawn at random")
    key_width: int = Field(default=16, ge=1, le=MOST, description="total width of queries and keys")
    hidden_width: int = Field(default=64, ge=1, le=MOST, description="width of the feed-forward network's hidden layer")
    heads: int = Field(default=1, ge=1, le=MOST, description="number of heads")
    norm: Literal["post", "pre", "none"] = Field(default="post", description="normalisation: post, pre or none")
    activation: str = Field(default="gelu", description="gelu, relu, tanh or identity")
    attention: Literal["softmax", "linear"] = Field(default="softmax", description="softmax or linear")
    causal: bool = Field(default=False, description="causal mask: a token attends to itself and earlier tokens")
    query_key: Literal["split", "merged"] = Field(default="split", description="split W_Q, W_K, or merged W_QK")
    output_projection: bool = Field(default=False, description="add an output projection W_O")
    attention_bias: bool = Field(default=False, description="add biases to the attention")
    pool: Literal["mean", "first"] = Field(
        default="mean", description="input of the classifier: mean of the tokens, or first token"
    )
    epochs: int = Field(default=30, ge=0, description="passes over the training samples")
    learning_rate: float = Field(default=1e-2, gt=0, description="peak learning rate")
    moments: int = Field(
        default=4, ge=1, le=MOST, description="number of moments: initialisation and along the training"
    )
