"""The layers of a transformer in the notation of the paper, in plain tensor operations.

Weights act on the right: a sample is a matrix X with one token per row, and ``X @ W`` maps each token. Read from top to
bottom: first the layers, each at given weights (normalisation, attention, feed-forward network), then the modules that
hold the weights and compose the layers (attention, block, classifier).

Source: A. Petrov, "Closing the Curvature Gap", arXiv 2510.16927, section 3; heads, biases and orders of normalisation
as in A. Vaswani et al., "Attention Is All You Need", and A. Dosovitskiy et al., "An Image Is Worth 16x16 Words".
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from suffice.closed_form.activations import Activation, find_activation
from suffice.errors import InputError, nearest

Tokens: TypeAlias = Float[Tensor, "samples tokens width"]
Mask: TypeAlias = Bool[Tensor, "samples tokens"]
"""True where a token is real, False where it is padding."""


# layers at given weights


def normalize(x: Float[Tensor, "*batch width"], eps: float) -> Float[Tensor, "*batch width"]:
    """n = (x - mean(x)) / s with s = sqrt(var(x) + eps), over the last dimension.

    Example:
        >>> normalize(torch.tensor([1.0, 3.0]), eps=0.0)
        tensor([-1.,  1.])
    """
    centered = x - x.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + eps).sqrt()


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """LN(x) = gamma * n(x) + beta for each token, with n as in `normalize`.

    Attributes:
        gamma, beta: scale and shift.
        eps: added to the variance.

    Example:
        >>> LayerNorm(gamma=torch.full((2,), 3.0), beta=torch.ones(2), eps=0.0)(torch.tensor([[[1.0, 3.0]]]))
        tensor([[[-2.,  4.]]])
    """

    gamma: Float[Tensor, " width"]
    beta: Float[Tensor, " width"]
    eps: float

    def __call__(self, x: Tokens) -> Tokens:
        return normalize(x, self.eps) * self.gamma + self.beta


class Affine(NamedTuple):
    """x W + b for each token; b is None where there is no bias.

    Example:
        >>> Affine(torch.eye(2), torch.ones(2))(torch.tensor([[1.0, 3.0]]))
        tensor([[2., 4.]])
    """

    W: Float[Tensor, "rows columns"]
    b: Float[Tensor, " columns"] | None = None

    def __call__(self, x: Float[Tensor, "*batch rows"]) -> Float[Tensor, "*batch columns"]:
        return x @ self.W if self.b is None else x @ self.W + self.b


@dataclass(frozen=True)
class AttentionConfig:
    """The form of an attention layer; arguments and errors as for `SelfAttention`."""

    width: int
    key_width: int
    heads: int = 1
    attention: Literal["softmax", "linear"] = "softmax"
    causal: bool = False
    query_key: Literal["split", "merged"] = "split"
    output_projection: bool = False
    attention_bias: bool = False

    def __post_init__(self) -> None:
        _check_sizes(width=self.width, key_width=self.key_width, heads=self.heads)
        check_word("attention", self.attention, ("softmax", "linear"))
        check_word("query_key", self.query_key, ("split", "merged"))
        for name, size in (("width", self.width), ("key_width", self.key_width)):
            if size % self.heads:
                raise InputError(
                    f"{name} = {size} cannot be split evenly over {self.heads} heads: take a multiple of heads"
                )

    @property
    def linear(self) -> bool:
        return self.attention == "linear"

    @property
    def merged(self) -> bool:
        return self.query_key == "merged"

    @property
    def scale(self) -> float:
        """1 / sqrt(d_h)."""
        return 1 / math.sqrt(self.key_width / self.heads)

    def random_weights(self) -> dict[str, nn.Parameter | None]:
        """Matrices of normal numbers, then biases of zeros; None for those that this form does not have."""
        query_width = self.heads * self.width if self.merged else self.key_width
        matrices = {
            "W_QK" if self.merged else "W_Q": query_width,
            "W_K": None if self.merged else self.key_width,
            "W_V": self.width,
            "W_O": self.width if self.output_projection else None,
        }
        weights = {name: _random_matrix(self.width, columns) if columns else None for name, columns in matrices.items()}
        biases = {f"b_{name[2]}": columns if self.attention_bias else None for name, columns in matrices.items()}
        return weights | {name: _zeros(columns) if columns else None for name, columns in biases.items()}


@dataclass(frozen=True, eq=False)
class Attention:
    """Attention(X) = concat_h(A_h V_h) W_O + b_O, with A_h = softmax(T_h) by row and T_h = Q_h K_h' / sqrt(d_h).

    Attributes:
        config: its form.
        query, key, value: the maps from X to Q, K and V of all heads; for merged weights key is None, and K_h = X.
        output: the map from the concatenated heads; None without output projection.
    """

    config: AttentionConfig
    query: Affine
    key: Affine | None
    value: Affine
    output: Affine | None

    @classmethod
    def of(cls, module: nn.Module, config: AttentionConfig) -> "Attention":
        """The layer at the weights of a module."""
        return cls(
            config,
            query=_affine(module, "QK" if config.merged else "Q"),
            key=None if config.merged else _affine(module, "K"),
            value=_affine(module, "V"),
            output=_affine(module, "O") if config.output_projection else None,
        )

    def __call__(self, X: Tokens, mask: Mask | None = None) -> Tokens:
        Q, K, V = self.queries_keys_values(X)
        return self.project(self.join(self.attend(Q, K, mask) @ V))

    def queries_keys_values(self, X: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K and V of every head, each (samples, heads, tokens, width of its head)."""
        Q = self.split(self.query(X))
        K = X[:, None].expand_as(Q) if self.key is None else self.split(self.key(X))
        return Q, K, self.split(self.value(X))

    def attend(
        self,
        Q: Float[Tensor, "samples heads tokens key"],
        K: Float[Tensor, "samples heads tokens key"],
        mask: Mask | None = None,
    ) -> Float[Tensor, "samples heads tokens tokens"]:
        """A: the weight of each token (last dimension) in each token, 0 where the mask forbids it."""
        T = Q @ K.mT * self.config.scale
        allowed = self.allowed(Q, mask)
        if not self.config.linear:
            # the smallest number instead of -inf: a row without any allowed entry keeps finite derivatives
            T = T.masked_fill(~allowed, torch.finfo(T.dtype).min).softmax(-1)
        return T.masked_fill(~allowed, 0)

    def allowed(self, Q: Float[Tensor, "samples heads tokens key"], mask: Mask | None) -> Bool[Tensor, "..."]:
        """Which tokens (last dimension) each token may see; it broadcasts to (samples, heads, tokens, tokens)."""
        tokens = Q.shape[2]
        allowed = torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=Q.device)
        if self.config.causal:
            allowed = allowed.tril()
        return allowed if mask is None else allowed & mask[:, None, None, :]

    def project(self, joined: Tokens) -> Tokens:
        """The output of the concatenated heads."""
        return joined if self.output is None else self.output(joined)

    def join(self, x: Float[Tensor, "samples heads tokens each"]) -> Float[Tensor, "samples tokens all"]:
        """Concatenates the heads; the inverse of `split`."""
        return x.transpose(1, 2).flatten(2)

    def split(self, x: Float[Tensor, "samples tokens all"]) -> Float[Tensor, "samples heads tokens each"]:
        """The last dimension, split over the heads."""
        split: Tensor = x.unflatten(-1, (self.config.heads, -1))
        return split.transpose(1, 2)


@dataclass(frozen=True, eq=False)
class FeedForward:
    """FFN(Y) = sigma(B) W_2 + b_2 with B = Y W_1 + b_1, for each token.

    Attributes:
        W_1, b_1, W_2, b_2: the weights.
        activation: sigma.

    Example:
        >>> relu = find_activation("relu")
        >>> layer = FeedForward(torch.ones(2, 3), torch.zeros(3), torch.ones(3, 2), torch.zeros(2), relu)
        >>> layer(torch.tensor([[[1.0, 1.0]]]))
        tensor([[[6., 6.]]])
    """

    W_1: Float[Tensor, "width hidden"]
    b_1: Float[Tensor, " hidden"]
    W_2: Float[Tensor, "hidden width"]
    b_2: Float[Tensor, " width"]
    activation: Activation

    def __call__(self, Y: Tokens) -> Tokens:
        return self.activation.value(self.hidden(Y)) @ self.W_2 + self.b_2

    def hidden(self, Y: Tokens) -> Float[Tensor, "samples tokens hidden"]:
        """B, before the activation."""
        return Y @ self.W_1 + self.b_1


# modules: the weights under their names in the paper


class SelfAttention(nn.Module):
    """Attention(X) = concat_h(A_h X W_V,h) W_O, with A_h = softmax(T_h) by row and T_h = Q_h K_h' / sqrt(d_h).

    Q = X W_Q + b_Q and K = X W_K + b_K are split evenly over the heads, and d_h = key_width / heads. There is no
    residual connection. Inputs and outputs are (samples, tokens, width).

    Args:
        width: d, the width of a token and the total width of the values.
        key_width: the total width of queries and keys.
        heads: the number of heads; it divides both widths.
        attention: "softmax", or "linear" for A = T; entries that the mask forbids are 0 in both.
        causal: whether a token sees only itself and those before it.
        query_key: "split" for W_Q and W_K, "merged" for one W_QK of shape (width, heads * width): T_h = X W_QK,h X' /
            sqrt(d_h), with b_Q added to X W_QK.
        output_projection: whether there is a W_O; without it the heads are only concatenated.
        attention_bias: whether there are b_Q, b_K, b_V and b_O, each where its matrix is.

    Raises:
        InputError: a size that is not positive, or widths that the heads do not divide.

    Example:
        >>> attention = SelfAttention(width=6, key_width=4, heads=2, causal=True)
        >>> attention(torch.zeros(5, 3, 6)).shape
        torch.Size([5, 3, 6])
        >>> [name for name, _ in attention.named_parameters()]
        ['W_Q', 'W_K', 'W_V']
    """

    def __init__(
        self,
        width: int,
        key_width: int,
        heads: int = 1,
        attention: Literal["softmax", "linear"] = "softmax",
        causal: bool = False,
        query_key: Literal["split", "merged"] = "split",
        output_projection: bool = False,
        attention_bias: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.config = AttentionConfig(
            width, key_width, heads, attention, causal, query_key, output_projection, attention_bias
        )
        _register(self, self.config.random_weights())

    @property
    def attention(self) -> Attention:
        return Attention.of(self, self.config)

    def forward(self, X: Tokens, mask: Mask | None = None) -> Tokens:
        return self.attention(X, mask)


class TransformerBlock(nn.Module):
    """A block: self-attention and a feed-forward network, each with its residual connection.

    - norm="post": Y = LN_1(X + Attention(X)), Z = LN_2(Y + FFN(Y));
    - norm="pre": R = X + Attention(LN_1(X)), Z = R + FFN(LN_2(R));
    - norm="none": R = X + Attention(X), Z = R + FFN(R).

    The block holds the weights of its layers itself, under their names in the paper: W_Q W_K (or W_QK) W_V W_O b_Q b_K
    b_V b_O gamma_1 beta_1 W_1 b_1 W_2 b_2 gamma_2 beta_2, in this order.

    Args:
        width: d, the width of a token.
        key_width: the total width of queries and keys.
        hidden_width: the width of the hidden layer of the feed-forward network.
        heads: as for `SelfAttention`, as are attention, causal, query_key, output_projection and attention_bias.
        norm: where the normalisation is.
        activation: "gelu", "relu", "tanh", "identity", or an `Activation`.
        eps: added to the variance in the normalisation.
        learnable_norm: whether gamma and beta are parameters, or fixed at 1 and 0.

    Raises:
        InputError: as `SelfAttention`, or an unknown activation.

    Example:
        >>> block = TransformerBlock(width=6, key_width=4, hidden_width=8)
        >>> block(torch.zeros(5, 3, 6)).shape
        torch.Size([5, 3, 6])
        >>> block.feed_forward(torch.zeros(5, 3, 6)).shape
        torch.Size([5, 3, 6])
    """

    gamma_1: Tensor
    beta_1: Tensor
    gamma_2: Tensor
    beta_2: Tensor

    def __init__(
        self,
        width: int,
        key_width: int,
        hidden_width: int,
        heads: int = 1,
        norm: Literal["post", "pre", "none"] = "post",
        activation: str | Activation = "gelu",
        attention: Literal["softmax", "linear"] = "softmax",
        causal: bool = False,
        query_key: Literal["split", "merged"] = "split",
        output_projection: bool = False,
        attention_bias: bool = False,
        eps: float = 1e-5,
        learnable_norm: bool = True,
    ) -> None:
        super().__init__()
        check_word("norm", norm, ("post", "pre", "none"))
        _check_sizes(hidden_width=hidden_width)
        self.width, self.norm, self.eps, self.activation = width, norm, eps, find_activation(activation)
        self.config = AttentionConfig(
            width, key_width, heads, attention, causal, query_key, output_projection, attention_bias
        )
        _register(self, self.config.random_weights())
        if norm != "none":
            _register_scale_and_shift(self, 1, learnable_norm)
        self.W_1, self.b_1 = _random_matrix(width, hidden_width), _zeros(hidden_width)
        self.W_2, self.b_2 = _random_matrix(hidden_width, width), _zeros(width)
        if norm != "none":
            _register_scale_and_shift(self, 2, learnable_norm)

    @property
    def attention(self) -> Attention:
        return Attention.of(self, self.config)

    @property
    def norm_1(self) -> LayerNorm:
        return LayerNorm(self.gamma_1, self.beta_1, self.eps)

    @property
    def feed_forward(self) -> FeedForward:
        return FeedForward(self.W_1, self.b_1, self.W_2, self.b_2, self.activation)

    @property
    def norm_2(self) -> LayerNorm:
        return LayerNorm(self.gamma_2, self.beta_2, self.eps)

    def forward(self, X: Tokens, mask: Mask | None = None) -> Tokens:
        if self.norm == "post":
            Y = self.norm_1(X + self.attention(X, mask))
            return self.norm_2(Y + self.feed_forward(Y))
        if self.norm == "pre":
            R = X + self.attention(self.norm_1(X), mask)
            return R + self.feed_forward(self.norm_2(R))
        R = X + self.attention(X, mask)
        return R + self.feed_forward(R)


class BlockClassifier(nn.Module):
    """Logits z = pool(Z) W_C + b_C of a block's output Z, of shape (samples, classes); no normalisation in between.

    Args:
        block: a `TransformerBlock` or a `SelfAttention`.
        classes: the number of logits.
        pool: "mean" over the (real) tokens, or "first" for the first token.

    Example:
        >>> model = BlockClassifier(TransformerBlock(6, 4, 8), classes=3)
        >>> model(torch.zeros(5, 2, 6)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self, block: SelfAttention | TransformerBlock, classes: int, pool: Literal["mean", "first"] = "mean"
    ) -> None:
        super().__init__()
        if not isinstance(block, SelfAttention | TransformerBlock):
            raise InputError(
                f"a {type(block).__name__} cannot be classified from: give a TransformerBlock or SelfAttention"
            )
        _check_sizes(classes=classes)
        check_word("pool", pool, ("mean", "first"))
        self.block, self.classes, self.pool = block, classes, pool
        self.W_C = _random_matrix(block.width, classes)
        self.b_C = _zeros(classes)

    def forward(self, X: Tokens, mask: Mask | None = None) -> Float[Tensor, "samples classes"]:
        return self.head(self.block(X, mask), mask)

    def head(self, Z: Tokens, mask: Mask | None = None) -> Float[Tensor, "samples classes"]:
        """The logits of the block's output."""
        return (self.shares(Z, mask)[..., None] * Z).sum(1) @ self.W_C + self.b_C

    def shares(self, Z: Tokens, mask: Mask | None) -> Float[Tensor, "samples tokens"]:
        """The share of each token in the pooled token."""
        if self.pool == "first":
            return torch.eye(1, Z.shape[1], dtype=Z.dtype, device=Z.device).expand(Z.shape[:2])
        real = Z.new_ones(Z.shape[:2]) if mask is None else mask.to(Z.dtype)
        return real / real.sum(1, keepdim=True)


Block: TypeAlias = SelfAttention | TransformerBlock
"""What a classifier reads its tokens from."""


def _affine(module: nn.Module, name: str) -> Affine:
    """The map with the matrix W_name; W_QK has the bias b_Q."""
    return Affine(getattr(module, f"W_{name}"), getattr(module, f"b_{name[0]}"))


def _register(module: nn.Module, weights: dict[str, nn.Parameter | None]) -> None:
    for name, weight in weights.items():
        module.register_parameter(name, weight)


def _register_scale_and_shift(block: TransformerBlock, number: int, learnable: bool) -> None:
    width = block.width
    for name, value in ((f"gamma_{number}", torch.ones(width)), (f"beta_{number}", torch.zeros(width))):
        if learnable:
            block.register_parameter(name, nn.Parameter(value))
        else:
            block.register_buffer(name, value)


def _random_matrix(rows: int, columns: int) -> nn.Parameter:
    """Normal numbers of variance 1 / rows, so that a token keeps its size."""
    return nn.Parameter(torch.randn(rows, columns) / math.sqrt(rows))


def _zeros(size: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size))


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} = {size}: must be at least 1")


def check_word(name: str, word: str, known: tuple[str, ...]) -> None:
    """Raises an InputError if a word is not one of those known."""
    if word not in known:
        raise InputError(f"{name} = {word!r} is not one of {', '.join(known)}{nearest(word, known)}")
