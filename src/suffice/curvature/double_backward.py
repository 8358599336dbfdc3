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
    """The product of the Hessian of a loss and a direction; the graph is kept.

    Args:
        gradient: of the loss, with a graph.
        direction: of the shape of the parameters.
        parameters: leaves.
    """
    slope = torch.stack([(part * along).sum() for part, along in zip(gradient, direction, strict=True)]).sum()
    return pulled_back(slope, parameters, keep=True)


def check_second_derivative(loss: Tensor) -> None:
    """Looks for operations whose gradients cannot be differentiated again.

    Autograd itself may leave them out without an error: it looks only at what lies between a gradient and a parameter.

    Args:
        loss: one number; its graph is kept.

    Raises:
        InputError: there are some; names them.
    """
    names = _without_second_derivative(loss)
    if names:
        raise InputError(
            f"{' and '.join(names)} has no second derivative: write it with torch's own operations (for attention, "
            "attn_implementation='sdpa')"
        )


def _without_second_derivative(loss: Tensor) -> list[str]:
    """Operations whose gradients cannot be differentiated again, by the names of their nodes."""
    found: dict[str, None] = {}

    def watch(node: Node) -> None:
        def look(gradients: tuple[Tensor | None, ...], outer: object) -> None:
            behind = [gradient.grad_fn for gradient in gradients if gradient is not None and gradient.grad_fn]
            if any(fn.name().split("::")[-1].startswith(ABSENT) for fn in behind):
                found[node.name().split("::")[-1].removesuffix("Backward0").removesuffix("Backward")] = None

        node.register_hook(look)

    seen: set[Node] = set()
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            watch(node)
            ahead += [behind for behind, _ in node.next_functions]
    leaves = [node.variable for node in seen if hasattr(node, "variable")]
    if leaves:
        torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    return list(found)
