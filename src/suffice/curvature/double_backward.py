"""Reverse passes over reverse passes; where there are none, the operation to blame is named."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from suffice.curvature.autograd import pulled_back
from suffice.errors import InputError
from suffice.memory import has_run_out

ABSENT = ("NotImplemented", "DelayedError", "Error")
"""Nodes of autograd that stand for a derivative that is not there."""


def with_graph(
    value: Tensor, leaves: Mapping[str, Tensor], direction: Tensor | None = None
) -> dict[str, Tensor | None]:
    """The gradients, as functions of all that they depend on; None where there is no gradient.

    Args:
        value: one number, unless a direction is given.
        leaves: in which it is differentiated.
        direction: of the shape of the value.
    """
    if not value.requires_grad:
        return dict.fromkeys(leaves)
    found = torch.autograd.grad(value, list(leaves.values()), direction, create_graph=True, allow_unused=True)
    return {
        name: gradient.to_dense() if gradient is not None and gradient.is_sparse else gradient
        for name, gradient in zip(leaves, found, strict=True)
    }


def gradient_along(
    gradients: Mapping[str, Tensor | None], vector: Mapping[str, Tensor], leaves: Sequence[Tensor]
) -> list[Tensor]:
    r"""The gradient of :math:`g^\top v`, zero where a gradient g is constant; the graph is kept.

    Args:
        gradients: g, with graphs.
        vector: v, in some of the names of the gradients; others have zeros.
        leaves: in which it is differentiated.
    """
    pairs = [
        (gradient, part.to(gradient.dtype))
        for gradient, part in ((gradients[name], part) for name, part in vector.items())
        if gradient is not None and gradient.requires_grad
    ]
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if pairs:
        moving, parts = zip(*pairs, strict=True)
        found = torch.autograd.grad(moving, leaves, parts, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(leaf) if part is None else part.to_dense() if part.is_sparse else part
        for leaf, part in zip(leaves, found, strict=True)
    ]


def check_second_derivative(loss: Tensor, parameters: Mapping[str, Tensor]) -> None:
    """Looks for operations whose gradients cannot be differentiated again.

    Autograd itself may leave them out without an error: it looks only at what lies between a gradient and a parameter.

    Args:
        loss: one number; its graph is kept.
        parameters: leaves, by name.

    Raises:
        InputError: there is one; names it.
    """
    name = _cut_off(loss, parameters) or _failing(loss, parameters)
    if name is not None:
        raise InputError(
            f"{name} has no second derivative: write it with torch's own operations (for attention, "
            "attn_implementation='sdpa')"
        )


def _cut_off(loss: Tensor, parameters: Mapping[str, Tensor]) -> str | None:
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


def _failing(loss: Tensor, parameters: Mapping[str, Tensor]) -> str | None:
    """The operation at which a reverse pass over a reverse pass fails."""
    gradient = [part for part in with_graph(loss, parameters).values() if part is not None and part.requires_grad]
    if not gradient:
        return None
    slope = torch.stack([part.sum() for part in gradient]).sum()
    begun: list[Node] = []

    def watch(node: Node) -> None:
        node.register_prehook(lambda gradients: begun.append(node))

    for node in _nodes(slope):
        watch(node)
    try:
        pulled_back(slope, list(parameters.values()), keep=True)
    except Exception as error:  # whatever it says
        if has_run_out(error):
            raise
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
