"""Activations with their first two derivatives."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from suffice.errors import InputError, nearest

Elementwise: TypeAlias = Callable[[Tensor], Tensor]


class Activation(NamedTuple):
    """An elementwise function with its first and second derivative.

    Attributes:
        value, first, second: the function and its derivatives.
        steepest, most_bent: the largest ``|first|`` and ``|second|`` anywhere; only a-priori bounds need them.

    Example:
        >>> square = Activation(torch.square, lambda x: 2 * x, lambda x: torch.full_like(x, 2.0))
        >>> square.first(torch.tensor(3.0))
        tensor(6.)
    """

    value: Elementwise
    first: Elementwise
    second: Elementwise
    steepest: float | None = None
    most_bent: float | None = None


def _normal_density(x: Tensor) -> Tensor:
    return torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)


def _normal_distribution(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)  # type: ignore[no-any-return]


ACTIVATIONS = {
    "gelu": Activation(
        functional.gelu,
        lambda x: _normal_distribution(x) + x * _normal_density(x),
        lambda x: (2 - x.square()) * _normal_density(x),
        steepest=(1 + math.erf(1)) / 2 + math.exp(-1) / math.sqrt(math.pi),  # at sqrt(2)
        most_bent=math.sqrt(2 / math.pi),  # at 0
    ),
    "relu": Activation(torch.relu, lambda x: (x > 0).to(x.dtype), torch.zeros_like, 1.0, 0.0),
    "tanh": Activation(
        torch.tanh,
        lambda x: 1 - torch.tanh(x).square(),
        lambda x: -2 * torch.tanh(x) * (1 - torch.tanh(x).square()),
        steepest=1.0,
        most_bent=4 / math.sqrt(27),
    ),
    "identity": Activation(lambda x: x, torch.ones_like, torch.zeros_like, 1.0, 0.0),
}
"""The known activations. At its kink ReLU has derivative 0, as in PyTorch, and second derivative 0 everywhere."""


def find_activation(activation: str | Activation) -> Activation:
    """The activation with a name, or the given one.

    Raises:
        InputError: an unknown name, or a function without its derivatives.

    Example:
        >>> find_activation("relu").first(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0., 0., 1.])
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise InputError(
            "an activation given as a function needs its derivatives: closed_form.Activation(value, first, second)"
        )
    if activation not in ACTIVATIONS:
        raise InputError(
            f"activation {activation!r} is not known{nearest(activation, list(ACTIVATIONS))}; "
            f"there are {', '.join(ACTIVATIONS)}, or a closed_form.Activation(value, first, second)"
        )
    return ACTIVATIONS[activation]
