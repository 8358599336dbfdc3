"""Reverse passes over reverse passes; where there are none, the operation to blame is named."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from suffice.curvature.autograd import pulled_back
from suffice.errors import InputError

ABSENT = ("NotImplemented", "DelayedError", "Error")
"""Nodes of autograd that stand for a derivative that is not there."""


def with_graph(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of a loss, dense, with the graph of its own; zero where none is known.

    Args:
        loss: one number.
        parameters: leaves.
    """
    if not loss.requires_grad:
        return [torch.zeros_like(parameter) for parameter in parameters]
    found = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient.to_dense()
        for parameter, gradient in zip(parameters, found, strict=True)
    ]


def second_derivative(
    gradient: Sequence[Tensor], direction: Sequence[Tensor], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """The product of the Hessian of the loss and a direction; the graph is kept.

    Args:
        gradient: of a loss, with a graph.
        direction: of the shape of the parameters.
        parameters: leaves.
    """
    slope = torch.stack([(part * along).sum() for part, along in zip(gradient, direction, strict=True)]).sum()
    return pulled_back(slope, parameters, keep=True)


def check_second_derivative(loss: Tensor, parameters: Sequence[Tensor]) -> None:
    """Looks for operations whose gradients cannot be differentiated again.

    Autograd itself may leave them out without an error: it looks only at what lies between a gradient and a parameter.

    Args:
        loss: one number; its graph is kept.
        parameters: leaves.

    Raises:
        InputError: there is one; names it.
    """
    name = _cut_off(loss, parameters) or _failing(loss, parameters)
    if name is not None:
        raise InputError(
            f"{name} has no second derivative: write it with torch's own operations (for attention, "
            "attn_implementation='sdpa')"
        )


def _cut_off(loss: Tensor, parameters: Sequence[Tensor]) -> str | None:
    """An operation whose gradient has a graph that says that it is none."""
    found: list[str] = []

    def watch(node: Node) -> None:
        def look(gradients: tuple[Tensor | None, ...], outer: object) -> None:
            behind = [gradient.grad_fn for gradient in gradients if gradient is not None and gradient.grad_fn]
            if any(function.name().split("::")[-1].startswith(ABSENT) for function in behind):
                found.append(_operation(node))

        node.register_hook(look)

    for node in _nodes(loss):
        watch(node)
    with_graph(loss, parameters)
    return found[0] if found else None


def _failing(loss: Tensor, parameters: Sequence[Tensor]) -> str | None:
    """The operation at which a reverse pass over a reverse pass fails."""
    gradient = with_graph(loss, parameters)
    slope = torch.stack([part.sum() for part in gradient]).sum()
    begun: list[Node] = []

    def watch(node: Node) -> None:
        node.register_prehook(lambda gradients: begun.append(node))

    for node in _nodes(slope):
        watch(node)
    try:
        pulled_back(slope, parameters, keep=True)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception:  # whatever it says
        return _operation(begun[-1]) if begun else None
    return None


def _operation(node: Node) -> str:
    """By the name of its node, or of the node of its gradient."""
    name = node.name().split("::")[-1].rstrip("0123456789")
    return name.removesuffix("Backward").removesuffix("Backward")


def _nodes(loss: Tensor) -> set[Node]:
    """Of the graph behind a number."""
    seen: set[Node] = set()
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead += [behind for behind, _ in node.next_functions]
    return seen
