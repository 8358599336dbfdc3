"""GELU with its derivatives kept: PyTorch would take them from scratch in each product, a fifth of its time."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PRECISIONS = (torch.float32, torch.float64)
"""In lower ones PyTorch's own GELU keeps more digits."""


class WrittenOut(TorchFunctionMode):
    """Within it, `torch.nn.functional.gelu` is `Gelu`, but for the approximation by tanh."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        is_exact = kwargs.get("approximate", "none") == "none"
        if func is functional.gelu and len(args) == 1 and is_exact and args[0].dtype in PRECISIONS:
            return _applied(Gelu, *args)
        return func(*args, **kwargs)


class Gelu(Function):
    r""":math:`x \Phi(x)`, with slope :math:`\Phi + x \varphi` and second derivative :math:`(2 - x^2) \varphi`.

    :math:`\Phi` and :math:`\varphi` are the normal distribution function and its density.
    """

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        density = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
        probability: Tensor = torch.special.ndtr(x)
        ctx.save_for_backward(x, probability + x * density, (2 - x.square()) * density)
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


def _applied(function: Any, *tensors: Tensor) -> Any:
    """What a function of autograd gives; torch has no types for it."""
    return function.apply(*tensors)
