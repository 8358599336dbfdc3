"""GELU and LayerNorm with their derivatives kept: PyTorch would take them from scratch in each product, a third of its
time."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PRECISIONS = (torch.float32, torch.float64)
"""In lower ones PyTorch's own GELU keeps more digits."""


FAR = 100.0
"""The normal density is zero from there on, in both."""


class WrittenOut(TorchFunctionMode):
    """Within it, `torch.nn.functional.gelu` (but for the approximation by tanh) and `layer_norm` are those below.

    Attributes:
        gradients_are_taken: within it; those below have no third derivative.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gradients_are_taken = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.autograd.grad, torch.autograd.backward, Tensor.backward):
            self.gradients_are_taken = True
        is_exact = kwargs.get("approximate", "none") == "none"
        if func is functional.gelu and len(args) == 1 and is_exact and args[0].dtype in PRECISIONS:
            return _applied(Gelu, *args)
        if func is functional.layer_norm:
            return _layer_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _layer_norm(
    input: Float[Tensor, "*tokens width"],
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "*tokens width"]:
    """The arguments are those of `torch.nn.functional.layer_norm`."""
    others = [part for part in (weight, bias) if part is not None]
    dtypes = {input.dtype, *(part.dtype for part in others)}
    if len(normalized_shape) != 1 or len(dtypes) > 1 or input.dtype not in PRECISIONS:
        return functional.layer_norm(input, normalized_shape, weight, bias, eps)
    normalized: Tensor = _applied(LayerNorm, input, weight, eps)
    return normalized if bias is None else normalized + bias


class Gelu(Function):
    r""":math:`x \Phi(x)`, with slope :math:`\Phi + x \varphi` and second derivative :math:`(2 - x^2) \varphi`.

    :math:`\Phi` and :math:`\varphi` are the normal distribution function and its density.
    """

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        bounded = x.clamp(-FAR, FAR)
        density = torch.exp(-bounded.square() / 2) / math.sqrt(2 * math.pi)
        probability: Tensor = torch.special.ndtr(x)
        ctx.save_for_backward(x, probability + bounded * density, (2 - bounded.square()) * density)
        return x * probability

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return upstream[0] * _applied(_Slope, *ctx.saved_tensors)


class _Slope(Function):
    """The first derivative as a function of x, where the second one is known."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(second)
        slope: Tensor = first.view_as(first)
        return slope

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Any:
        (second,) = ctx.saved_tensors
        return upstream * second, None, None


class LayerNorm(Function):
    r""":math:`\gamma \odot n`, with :math:`n = (x - \bar x) / s` of each token and :math:`s^2` its variance plus eps.

    The gradient is :math:`D (\gamma \odot g)` in x, with :math:`D q = (q - \bar q - n \overline{q n}) / s`, and the sum
    of :math:`g \odot n` over the tokens in :math:`\gamma`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "*tokens width"], weight: Tensor | None, eps: float
    ) -> Float[Tensor, "*tokens width"]:
        normal, mean, scale = torch.native_layer_norm(x, x.shape[-1:], None, None, eps)
        ctx.save_for_backward(x, weight, normal, mean, scale)
        return normal if weight is None else normal * weight

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return *_applied(_LayerNormGradient, *upstream, *ctx.saved_tensors), None


class _LayerNormGradient(Function):
    r"""The two gradients as functions of g, x and :math:`\gamma`.

    With X and :math:`\Gamma` upstream, :math:`u = \gamma \odot g` and :math:`q = \Gamma g - (X \, \overline{u n} +
    u \, \overline{X n}) / s`, their gradients are :math:`\gamma \odot D X + \Gamma n` in g,
    :math:`D q - n \, \overline{X \odot D u} / s` in x and the sum of :math:`g \odot D X` in :math:`\gamma`.
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, weight: Tensor | None, normal: Tensor, mean: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        u = g if weight is None else g * weight
        gradient = _projected(u, x, mean, scale)
        ctx.save_for_backward(g, x, weight, normal, mean, scale, u, gradient, _mean_product(u, normal) * scale)
        return gradient, None if weight is None else (g * normal).reshape(-1, len(weight)).sum(0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, along_x: Tensor, along_weight: Tensor | None) -> Any:
        g, x, weight, normal, mean, scale, u, gradient, slope = ctx.saved_tensors
        projected = _projected(along_x, x, mean, scale)
        moved = torch.addcmul(along_x * -slope, u, _mean_product(along_x, normal) * scale, value=-1)
        in_g, in_weight = projected, None
        if weight is not None and along_weight is not None:
            moved.addcmul_(g, along_weight)
            in_g = torch.addcmul(projected * weight, normal, along_weight)
            in_weight = (g * projected).reshape(-1, len(weight)).sum(0)
        in_x = _projected(moved, x, mean, scale).addcmul_(normal, _mean_product(along_x, gradient) * scale, value=-1)
        return in_g, in_x, in_weight, None, None, None


def _projected(q: Tensor, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """D q."""
    found: tuple[Tensor, ...] = torch.ops.aten.native_layer_norm_backward(
        q.contiguous(), x.contiguous(), x.shape[-1:], mean, scale, None, None, [True, False, False]
    )
    return found[0]


def _mean_product(first: Float[Tensor, "*tokens width"], second: Float[Tensor, "*tokens width"]) -> Tensor:
    """Over each token, (*tokens, 1)."""
    products: Tensor = torch.linalg.vecdot(first, second)
    return products[..., None] / first.shape[-1]


def _applied(function: Any, *tensors: Tensor | float | None) -> Any:
    """What a function of autograd gives; torch has no types for it."""
    return function.apply(*tensors)
