"""The layers of a transformer in the notation of the paper, in plain tensor operations.

Weights act on the right: a sample is a matrix X with one token a row, and ``X @ W`` maps each token. To be read from
top to bottom: normalisation, attention, feed-forward network, block, classifier.

Source: A. Petrov, "Closing the Curvature Gap", arXiv 2510.16927, section 3; heads, biases and orders of normalisation
as in A. Vaswani et al., "Attention Is All You Need", and A. Dosovitskiy et al., "An Image Is Worth 16x16 Words".
"""

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from suffice.closed_form.activations import Activation, find_activation
from suffice.errors import InputError, nearest

Tokens: TypeAlias = Float[Tensor, "samples tokens width"]
Mask: TypeAlias = Bool[Tensor, "samples tokens"]
"""True where a token is real, False where it is padding."""


def normalize(x: Float[Tensor, "*batch width"], eps: float) -> Float[Tensor, "*batch width"]:
    """n = (x - mean(x)) / s with s = sqrt(var(x) + eps), over the last dimension.

    Example:
        >>> normalize(torch.tensor([1.0, 3.0]), eps=0.0)
        tensor([-1.,  1.])
    """
    centered = x - x.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + eps).sqrt()


class LayerNorm(nn.Module):
    """LN(x) = gamma * n(x) + beta, token by token, with n as in `normalize`.

    Args:
        width: d, the width of a token.
        eps: what is added to the variance.
        learnable: whether gamma and beta are parameters, or fixed at 1 and 0.

    Example:
        >>> LayerNorm(2, eps=0.0, learnable=False)(torch.tensor([[[1.0, 3.0]]]))
        tensor([[[-1.,  1.]]])
    """

    gamma: Tensor
    beta: Tensor

    def __init__(self, width: int, eps: float = 1e-5, learnable: bool = True) -> None:
        super().__init__()
        _check_sizes(width=width)
        self.eps = eps
        _add_scale_and_shift(self, "", width, learnable)

    def forward(self, x: Tokens) -> Tokens:
        return normalize(x, self.eps) * self.gamma + self.beta


class FeedForward(nn.Module):
    """FFN(Y) = sigma(Y W_1 + b_1) W_2 + b_2, token by token.

    Args:
        width: d, the width of a token.
        hidden_width: the width of the hidden layer.
        activation: "gelu", "relu", "tanh", "identity", or an `Activation`.

    Example:
        >>> FeedForward(width=4, hidden_width=8)(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, width: int, hidden_width: int, activation: str | Activation = "gelu") -> None:
        super().__init__()
        _check_sizes(width=width, hidden_width=hidden_width)
        self.activation = find_activation(activation)
        self.W_1, self.b_1 = _random_matrix(width, hidden_width), _zeros(hidden_width)
        self.W_2, self.b_2 = _random_matrix(hidden_width, width), _zeros(width)

    def forward(self, Y: Tokens) -> Tokens:
        return self.activation.value(Y @ self.W_1 + self.b_1) @ self.W_2 + self.b_2


class SelfAttention(nn.Module):
    """Attention(X) = concat_h(A_h X W_V,h) W_O, with A_h = softmax(T_h) by row and T_h = Q_h K_h' / sqrt(d_h).

    Q = X W_Q + b_Q, K = X W_K + b_K, each split evenly over the heads, and d_h = key_width / heads. There is no
    residual connection here. Inputs and outputs are (samples, tokens, width).

    Args:
        width: d, the width of a token and the total width of the values.
        key_width: the total width of queries and keys.
        heads: the number of heads; it divides both widths.
        attention: "softmax", or "linear" for A = T; entries that the mask forbids are 0 in both.
        causal: whether a token sees only itself and those before it.
        query_key: "split" for W_Q and W_K, "merged" for one W_QK of shape (width, heads * width): T_h = X W_QK,h X' /
            sqrt(d_h), with b_Q added to X W_QK.
        output_projection: whether W_O is there; without it the heads are only put side by side.
        attention_bias: whether b_Q, b_K, b_V and b_O are there, each where its matrix is.

    Raises:
        InputError: a size that is not positive, or widths that the heads do not divide.

    Example:
        >>> attention = SelfAttention(width=6, key_width=4, heads=2, causal=True)
        >>> attention(torch.zeros(5, 3, 6)).shape
        torch.Size([5, 3, 6])
        >>> [name for name, _ in attention.named_parameters()]
        ['W_Q', 'W_K', 'W_V']
    """

    W_Q: nn.Parameter
    W_K: nn.Parameter
    W_QK: nn.Parameter
    W_V: nn.Parameter
    W_O: nn.Parameter | None
    b_Q: nn.Parameter | None
    b_K: nn.Parameter | None
    b_V: nn.Parameter | None
    b_O: nn.Parameter | None

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
        _check_sizes(width=width, key_width=key_width, heads=heads)
        check_word("attention", attention, ("softmax", "linear"))
        check_word("query_key", query_key, ("split", "merged"))
        for name, size in (("width", width), ("key_width", key_width)):
            if size % heads:
                raise InputError(f"{name} = {size} cannot be split evenly over {heads} heads: take a multiple of heads")
        self.width, self.heads, self.causal = width, heads, causal
        self.linear, self.merged = attention == "linear", query_key == "merged"
        self.scale = 1 / math.sqrt(key_width / heads)
        query_width = heads * width if self.merged else key_width
        matrices = {
            "W_QK" if self.merged else "W_Q": (width, query_width),
            "W_K": None if self.merged else (width, key_width),
            "W_V": (width, width),
            "W_O": (width, width) if output_projection else None,
        }
        biases = {
            "b_Q": query_width,
            "b_K": None if self.merged else key_width,
            "b_V": width,
            "b_O": width if output_projection else None,
        }
        for name, shape in matrices.items():
            self.register_parameter(name, _random_matrix(*shape) if shape else None)
        for name, bias_width in biases.items():
            self.register_parameter(name, _zeros(bias_width) if attention_bias and bias_width else None)

    def forward(self, X: Tokens, mask: Mask | None = None) -> Tokens:
        return self.attention(X, mask)

    def attention(self, X: Tokens, mask: Mask | None = None) -> Tokens:
        """The layer's output, without residual connection."""
        Q, K, V = self.queries_keys_values(X)
        return self.project(self.join(self.attend(Q, K, mask) @ V))

    def queries_keys_values(self, X: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K and V of every head, each (samples, heads, tokens, width of its head)."""
        Q = self.split(_affine(X, self.W_QK if self.merged else self.W_Q, self.b_Q))
        K = X[:, None].expand_as(Q) if self.merged else self.split(_affine(X, self.W_K, self.b_K))
        return Q, K, self.split(_affine(X, self.W_V, self.b_V))

    def attend(
        self,
        Q: Float[Tensor, "samples heads tokens key"],
        K: Float[Tensor, "samples heads tokens key"],
        mask: Mask | None = None,
    ) -> Float[Tensor, "samples heads tokens tokens"]:
        """A: how much of each token (last dimension) goes into each token, 0 where the mask forbids it."""
        T = Q @ K.mT * self.scale
        allowed = self.allowed(Q, mask)
        if not self.linear:
            # the smallest number instead of -inf: a row without any allowed entry keeps finite derivatives
            T = T.masked_fill(~allowed, torch.finfo(T.dtype).min).softmax(-1)
        return T.masked_fill(~allowed, 0)

    def allowed(self, Q: Float[Tensor, "samples heads tokens key"], mask: Mask | None) -> Bool[Tensor, "..."]:
        """Which token (last dimension) each token may see; it broadcasts to (samples, heads, tokens, tokens)."""
        tokens = Q.shape[2]
        allowed = torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=Q.device)
        if self.causal:
            allowed = allowed.tril()
        return allowed if mask is None else allowed & mask[:, None, None, :]

    def project(self, joined: Tokens) -> Tokens:
        """The output from the heads side by side."""
        return joined if self.W_O is None else _affine(joined, self.W_O, self.b_O)

    def join(self, x: Float[Tensor, "samples heads tokens each"]) -> Float[Tensor, "samples tokens all"]:
        """The heads side by side: the opposite of `split`."""
        return x.transpose(1, 2).flatten(2)

    def split(self, x: Float[Tensor, "samples tokens all"]) -> Float[Tensor, "samples heads tokens each"]:
        """The last dimension, split over the heads."""
        split: Tensor = x.unflatten(-1, (self.heads, -1))
        return split.transpose(1, 2)


class TransformerBlock(SelfAttention):
    """A block: self-attention and a feed-forward network, each with its residual connection.

    - norm="post": Y = LN_1(X + Attention(X)), Z = LN_2(Y + FFN(Y));
    - norm="pre": R = X + Attention(LN_1(X)), Z = R + FFN(LN_2(R));
    - norm="none": R = X + Attention(X), Z = R + FFN(R).

    Its parameters are its own, so their names are those of the paper: W_Q W_K (or W_QK) W_V W_O b_Q b_K b_V b_O gamma_1
    beta_1 W_1 b_1 W_2 b_2 gamma_2 beta_2, in this order.

    Args:
        width: d, the width of a token.
        key_width: the total width of queries and keys.
        hidden_width: the width of the hidden layer of the feed-forward network.
        heads: as for `SelfAttention`, as are attention, causal, query_key, output_projection and attention_bias.
        norm: where the normalisation is.
        activation: "gelu", "relu", "tanh", "identity", or an `Activation`.
        eps: what is added to the variance in the normalisation.
        learnable_norm: whether gamma and beta are parameters, or fixed at 1 and 0.

    Raises:
        InputError: as `SelfAttention`, or an unknown activation.

    Example:
        >>> block = TransformerBlock(width=6, key_width=4, hidden_width=8)
        >>> block(torch.zeros(5, 3, 6)).shape
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
        super().__init__(width, key_width, heads, attention, causal, query_key, output_projection, attention_bias)
        check_word("norm", norm, ("post", "pre", "none"))
        self.norm, self.eps = norm, eps
        if norm != "none":
            _add_scale_and_shift(self, "_1", width, learnable_norm)
        _check_sizes(hidden_width=hidden_width)
        self.activation = find_activation(activation)
        self.W_1, self.b_1 = _random_matrix(width, hidden_width), _zeros(hidden_width)
        self.W_2, self.b_2 = _random_matrix(hidden_width, width), _zeros(width)
        if norm != "none":
            _add_scale_and_shift(self, "_2", width, learnable_norm)

    def forward(self, X: Tokens, mask: Mask | None = None) -> Tokens:
        if self.norm == "post":
            Y = self.normalize_1(X + self.attention(X, mask))
            return self.normalize_2(Y + self.feed_forward(Y))
        if self.norm == "pre":
            R = X + self.attention(self.normalize_1(X), mask)
            return R + self.feed_forward(self.normalize_2(R))
        R = X + self.attention(X, mask)
        return R + self.feed_forward(R)

    def normalize_1(self, x: Tokens) -> Tokens:
        return normalize(x, self.eps) * self.gamma_1 + self.beta_1

    def normalize_2(self, x: Tokens) -> Tokens:
        return normalize(x, self.eps) * self.gamma_2 + self.beta_2

    def feed_forward(self, Y: Tokens) -> Tokens:
        return self.activation.value(Y @ self.W_1 + self.b_1) @ self.W_2 + self.b_2


class Classifier(nn.Module):
    """Logits z = pool(Z) W_C + b_C of a block's output Z, of shape (samples, classes); no normalisation in between.

    Args:
        block: a `TransformerBlock` or a `SelfAttention`.
        classes: the number of logits.
        pool: "mean" over the (real) tokens, or "first" for the first token.

    Example:
        >>> model = Classifier(TransformerBlock(6, 4, 8), classes=3)
        >>> model(torch.zeros(5, 2, 6)).shape
        torch.Size([5, 3])
    """

    def __init__(self, block: SelfAttention, classes: int, pool: Literal["mean", "first"] = "mean") -> None:
        super().__init__()
        if not isinstance(block, SelfAttention):
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


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x @ weight if bias is None else x @ weight + bias


def _add_scale_and_shift(module: nn.Module, number: str, width: int, learnable: bool) -> None:
    for name, value in ((f"gamma{number}", torch.ones(width)), (f"beta{number}", torch.zeros(width))):
        if learnable:
            module.register_parameter(name, nn.Parameter(value))
        else:
            module.register_buffer(name, value)


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
