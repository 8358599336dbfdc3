r"""Second derivatives of a loss in a subspace, by one adjoint pass and one sweep of tangents over its operations.

With :math:`\dot x_j` the derivative of a value along the j-th direction, and :math:`\lambda` that of the loss in the
output of an operation, :math:`u_j^\top h\, u_k = \sum_\mathrm{operations} \lambda^\top f''(x)[\dot x_j, \dot x_k]`. No
derivative in the weights is ever formed: D directions cost about 3 D products with each weight.

Source: the second-order chain rule (Faà di Bruno); A. Griewank, A. Walther, "Evaluating Derivatives", 2nd edition, SIAM
2008, chapter 5, for second-order adjoints.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor, fx
from torch._decomp import get_decompositions
from torch.func import functionalize, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from suffice.curvature.second_order_rules import CONSTANT, Operation, is_linear, is_output, kind, rule_of, run, whole

DECOMPOSED: Any = get_decompositions([torch.ops.aten.native_group_norm])
"""What torch cannot differentiate forward over reverse; it is traced as the operations that it is made of."""

VIEWS = {torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default}
"""Other shapes of values that lie in one order in memory."""


class SecondOrderGraph:
    """The loss of one sample as a graph of operations, which is run for many samples together.

    What the model decides by looking at values is decided once, for the sample that is traced.

    Args:
        loss: of the moving parameters and a sample's tensors, each of a batch of one.
        weights: the moving parameters.
        inputs: the sample's tensors.

    Example:
        >>> loss = lambda weight, x: (weight @ x[0]).square()
        >>> graph = SecondOrderGraph(loss, [torch.tensor([1.0, 2.0])], [torch.tensor([[3.0, 1.0]])])
        >>> losses, gradients, hessians = graph([torch.eye(2)], [torch.tensor([[[3.0, 1.0]], [[0.0, 2.0]]])])
        >>> losses
        tensor([25., 16.])
        >>> gradients[0], hessians[0]
        (tensor([30., 10.]), tensor([[18.,  6.],
                [ 6.,  2.]], dtype=torch.float64))
    """

    def __init__(self, loss: Callable[..., Tensor], weights: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        self._traced = _traced(loss, (*weights, *inputs))
        self._traced.graph.eliminate_dead_code()
        self._weights = list(weights)
        nodes = list(self._traced.graph.nodes)
        (self._result,) = (node.args[0] for node in nodes if node.op == "output")
        placeholders = [node for node in nodes if node.op == "placeholder"]
        self._weight_nodes, self._input_nodes = placeholders[: len(weights)], placeholders[len(weights) :]
        self._nodes = [node for node in nodes if node.op in ("get_attr", "call_function")]
        self._shared = frozenset(_without(nodes, self._input_nodes))
        self._moving = _moving(self._nodes, self._weight_nodes)
        self._operations = [node for node in self._nodes if node in self._moving and not _is_several(node)]
        self._curved = [node for node in self._operations if not is_linear(node, self._moving)]
        last_uses = _last_uses(self._operations)
        self._rules = [(node, rule_of(node, self._moving), last_uses[node]) for node in self._operations]

    def __call__(
        self, directions: Sequence[Float[Tensor, "directions ..."]], inputs: Sequence[Shaped[Tensor, "samples 1 ..."]]
    ) -> tuple[
        Float[Tensor, " samples"],
        Float[Tensor, "samples directions"],
        Float64[Tensor, "samples directions directions"],
    ]:
        """Losses, gradients and Hessians along some directions.

        Args:
            directions: D of each moving parameter.
            inputs: the tensors of some samples, each a batch of one.
        """
        return vmap(lambda *inputs: self._of_one(directions, inputs))(*inputs)

    def bytes(self, directions: int) -> int:
        """What a sample takes, about: values and adjoints, and the tangents that are alive at the same time.

        Args:
            directions: D.
        """
        sizes = {node: node.meta["val"].nbytes for node in self._operations if node not in self._shared}
        alive, most = 0, 0
        for node, _, last_uses in self._rules:
            alive += sizes.get(node, 0)
            most = max(most, alive + 2 * sizes.get(node, 0))
            alive -= sum(sizes.get(used, 0) for used in last_uses)
        return int(3 * sum(sizes.values()) + directions * most)

    def _of_one(self, directions: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        adjoints, (loss, values) = grad_and_value(self._values, has_aux=True)(self._zeros(), inputs)
        adjoint = dict(zip(self._curved, adjoints, strict=True))
        tangents = dict(zip(self._weight_nodes, directions, strict=True))
        second: Any = 0
        for node, rule, last_uses in self._rules:
            operation = Operation(node, values, tangents, adjoint, self._shared)
            tangents[node], part = rule(operation)
            second = second + part
            for used in last_uses:
                tangents.pop(used, None)
        return loss, tangents[self._result], second

    def _zeros(self) -> list[Tensor]:
        outputs = [node.meta["val"] for node in self._curved]
        return [torch.zeros(out.shape, dtype=out.dtype, device=self._weights[0].device) for out in outputs]

    def _values(self, shifts: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, dict[fx.Node, Any]]:
        """The loss, and all values; shifts of zero are added where the adjoint is asked for."""
        shift = dict(zip(self._curved, shifts, strict=True))
        values: dict[fx.Node, Any] = dict(zip(self._weight_nodes, self._weights, strict=True))
        values |= zip(self._input_nodes, inputs, strict=True)
        for node in self._nodes:
            if node.op == "get_attr":
                values[node] = _attribute(self._traced, str(node.target))
            elif is_output(node):
                values[node] = values[whole(node)][node.args[1]]
            else:
                values[node] = run(node, values)
            if node in shift:
                values[node] = values[node] + shift[node]
        return values[self._result], {node: value for node, value in values.items() if isinstance(value, Tensor)}


def _moving(nodes: Sequence[fx.Node], weights: Sequence[fx.Node]) -> set[fx.Node]:
    """What has derivatives in the weights."""
    moving = set(weights)
    for node in nodes:
        if kind(node) not in CONSTANT and _is_floating(node) and not moving.isdisjoint(node.all_input_nodes):
            moving.add(node)
    return moving


def _without(nodes: Sequence[fx.Node], inputs: Sequence[fx.Node]) -> set[fx.Node]:
    """What does not depend on some nodes."""
    depending = set(inputs)
    for node in nodes:
        if not depending.isdisjoint(node.all_input_nodes):
            depending.add(node)
    return set(nodes) - depending


def _last_uses(operations: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """What each operation is the last one to use."""
    last = {used: node for node in operations for used in whole(node).all_input_nodes}
    return {node: [used for used, by in last.items() if by is node] for node in operations}


def _is_floating(node: fx.Node) -> bool:
    outputs = node.meta.get("val")
    parts = outputs if isinstance(outputs, tuple | list) else [outputs]
    return any(isinstance(part, Tensor) and part.is_floating_point() for part in parts)


def _is_several(node: fx.Node) -> bool:
    return isinstance(node.meta["val"], tuple | list)


def _traced(loss: Callable[..., Tensor], tensors: Sequence[Tensor]) -> fx.GraphModule:
    """Without operations that change values in place."""
    for function in (loss, functionalize(loss)):  # which does not run what looks at values
        trace = make_fx(function, DECOMPOSED, _error_on_data_dependent_ops=False)
        traced: fx.GraphModule = trace(*tensors)
        if any(_changes_values(node) for node in traced.graph.nodes):
            continue
        for node in traced.graph.nodes:
            if node.target in VIEWS:  # the tangents of a value may lie in another order in memory
                node.target = torch.ops.aten.reshape.default
        return traced
    raise NotImplementedError("an operation changes values in place")


def _changes_values(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module
