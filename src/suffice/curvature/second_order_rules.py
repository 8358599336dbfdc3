r"""How single operations carry first and second derivatives: all that the second-order sweep knows of them.

For :math:`y = f(x)` with D tangents :math:`\dot x_j` and the adjoint :math:`\lambda = \partial l / \partial y`, a rule
gives :math:`\dot y_j = f'(x)\, \dot x_j`, and :math:`\lambda^\top f''(x)[\dot x_j, \dot x_k]` for all j, k. What no
rule names is differentiated by torch itself; nothing is taken for linear unless it is listed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Float64
from torch import Tensor, fx
from torch.func import jvp, vjp, vmap

aten = torch.ops.aten

Answer: TypeAlias = tuple[Float[Tensor, "directions ..."], Float64[Tensor, "directions directions"]]
"""The tangents of the output, and the second derivatives."""

LINEAR = {
    aten.reshape, aten.permute, aten.transpose, aten.t, aten.expand, aten.squeeze,
    aten.unsqueeze, aten.select, aten.slice, aten.split, aten.split_with_sizes, aten.unbind, aten.cat, aten.stack,
    aten.flip, aten.roll, aten.clone, aten.alias, aten._to_copy, aten.constant_pad_nd, aten.diagonal, aten.unfold,
    aten.as_strided, aten.add, aten.sub, aten.rsub, aten.neg, aten.sum, aten.mean, aten.cumsum, aten.embedding,
    aten.index, aten.index_select, aten.gather, aten.index_add, aten.scatter_add, aten.masked_fill,
    aten.nll_loss_forward, aten.avg_pool2d, aten._adaptive_avg_pool2d, aten.upsample_bilinear2d,
    aten.upsample_bicubic2d,
}  # fmt: skip
"""Linear in all their tensors together, those that do not move left out."""

FACTORS = {
    aten.mul: (0, 1),
    aten.mm: (0, 1),
    aten.bmm: (0, 1),
    aten.addmm: (1, 2),
    aten.baddbmm: (1, 2),
    aten.convolution: (0, 1),
}
"""The two arguments that are multiplied; in one of them the operation is linear."""

CONSTANT = {aten.detach, aten.sign, aten.floor, aten.ceil, aten.round, aten.zeros_like, aten.ones_like}
"""Without derivatives."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of a graph, for one sample.

    Attributes:
        node: in the graph; one that takes an output of an operation with several stands for both.
        values: of the nodes before it, and of itself.
        tangents: of the nodes that move, D each.
        adjoints: of the outputs of operations that are not linear.
        shared: nodes that are the same for all samples.
    """

    node: fx.Node
    values: Mapping[fx.Node, Any]
    tangents: Mapping[fx.Node, Float[Tensor, "directions ..."]]
    adjoints: Mapping[fx.Node, Tensor]
    shared: frozenset[fx.Node]

    @property
    def output(self) -> Tensor:
        found: Tensor = self.values[self.node]
        return found

    @property
    def adjoint(self) -> Tensor:
        return self.adjoints[self.node]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """With nodes in place of their values."""
        return whole(self.node).args

    @property
    def keywords(self) -> Mapping[str, Any]:
        return whole(self.node).kwargs

    @cached_property
    def moving(self) -> list[fx.Node]:
        """The inputs that move, each once."""
        return [node for node in whole(self.node).all_input_nodes if node in self.tangents]

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """Their values."""
        return tuple(self.values[node] for node in self.moving)

    @cached_property
    def directions(self) -> tuple[Float[Tensor, "directions ..."], ...]:
        """Their tangents."""
        return tuple(self.tangents[node] for node in self.moving)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output at other values of the moving inputs."""
        found: Tensor = run(self.node, {**self.values, **dict(zip(self.moving, inputs, strict=True))})
        return found

    def none(self) -> Float64[Tensor, "directions directions"]:
        """No second derivatives."""
        tangents = self.directions[0]
        return tangents.new_zeros((len(tangents), len(tangents)), dtype=torch.float64)


def whole(node: fx.Node) -> fx.Node:
    """The operation with several outputs of which a node takes one; or the node itself."""
    return node.args[0] if is_output(node) else node  # type: ignore[return-value]


def is_output(node: fx.Node) -> bool:
    """Whether a node takes one output of an operation with several."""
    return getattr(node.target, "__name__", "") == "getitem"


def kind(node: fx.Node) -> Any:
    """The operation by its name, whatever its signature."""
    return getattr(whole(node).target, "overloadpacket", None)


def run(node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    """The output of a node, from the values of those before it."""
    operation = whole(node)
    target: Any = operation.target
    arguments, named = fx.node.map_arg((operation.args, operation.kwargs), values.__getitem__)
    found = target(*arguments, **named)
    return found if operation is node else found[node.args[1]]


def is_linear(node: fx.Node, moving: set[fx.Node]) -> bool:
    """Whether second derivatives in the inputs that move are zero, for a reason that is listed here."""
    operation, name = whole(node), kind(node)
    if name in FACTORS:
        return not all(operation.args[place] in moving for place in FACTORS[name])
    if name is aten.div:
        return operation.args[1] not in moving
    return name in LINEAR or (name is aten.where and operation.args[0] not in moving)


def rule_of(node: fx.Node, moving: set[fx.Node]) -> Callable[[Operation], Answer]:
    """The rule for an operation, given what moves."""
    name, target = kind(node), whole(node).target
    if is_linear(node, moving) and name not in MATRIX_PRODUCTS:
        return linear
    if name is aten.mul and node.args[0] is not node.args[1]:
        return elementwise_product
    if name is aten.native_layer_norm and node.args[1] != 0:  # statistics that are used for something else
        return by_torch
    is_pointwise = isinstance(target, torch._ops.OpOverload) and torch.Tag.pointwise in target.tags
    return RULES.get(name, elementwise if is_pointwise else by_torch)


def gram(left: Float[Tensor, "rows ..."], right: Float[Tensor, "columns ..."]) -> Float64[Tensor, "rows columns"]:
    """Inner products of all pairs."""
    dtype = torch.promote_types(left.dtype, right.dtype)
    return (left.reshape(len(left), -1).to(dtype) @ right.reshape(len(right), -1).to(dtype).mT).double()


def linear(operation: Operation) -> Answer:
    """The tangents by torch."""
    along = vmap(lambda *tangents: jvp(operation, operation.inputs, tangents)[1])
    return along(*operation.directions), operation.none()


def by_torch(operation: Operation) -> Answer:
    r"""Any operation: the derivative of :math:`(f(x), f'(x)^\top \lambda)` along each tangent."""

    def value_and_pullback(*inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        output, pull, *_ = vjp(operation, *inputs)
        return output, pull(operation.adjoint)

    along = vmap(lambda *tangents: jvp(value_and_pullback, operation.inputs, tangents)[1])
    tangents, bends = along(*operation.directions)
    second = operation.none()
    for bend, direction in zip(bends, operation.directions, strict=True):
        second = second + gram(bend, direction)
    return tangents, second


def elementwise(operation: Operation) -> Answer:
    r"""Entry by entry :math:`y = f(x_1, \dots)`: the derivatives of f are taken once, for all tangents."""
    shape = operation.output.shape
    inputs = tuple(value.expand(shape) for value in operation.inputs)
    directions = [_broadcast(direction, shape).to(operation.output.dtype) for direction in operation.directions]

    def slopes(*inputs: Tensor) -> tuple[Tensor, ...]:
        output, pull, *_ = vjp(operation, *inputs)
        found: tuple[Tensor, ...] = pull(torch.ones_like(output))
        return found

    tangents = sum(slope * direction for slope, direction in zip(slopes(*inputs), directions, strict=True))
    second = operation.none()
    for number, direction in enumerate(directions):
        ones = tuple((torch.ones_like if place == number else torch.zeros_like)(x) for place, x in enumerate(inputs))
        curvatures = jvp(slopes, inputs, ones)[1]
        for curvature, other in zip(curvatures, directions, strict=True):
            second = second + gram(operation.adjoint * curvature * direction, other)
    return tangents, second  # type: ignore[return-value]


def elementwise_product(operation: Operation) -> Answer:
    """Of two different tensors that move."""
    shape = operation.output.shape
    (left, right), (along_left, along_right) = operation.inputs, operation.directions
    along_left, along_right = _broadcast(along_left, shape), _broadcast(along_right, shape)
    half = gram(operation.adjoint * along_left, along_right)
    return along_left * right + left * along_right, half + half.mT


def softmax(operation: Operation) -> Answer:
    r"""With p the softmax of x and :math:`z_j = \dot x_j - p^\top \dot x_j`.

    Softmax: :math:`\dot y_j = p \odot z_j`, second derivatives
    :math:`\sum p (\lambda - p^\top \lambda)\, z_j z_k`. Its logarithm: :math:`\dot y_j = z_j`, and
    :math:`-\sum_i \lambda_i\, \sum p\, z_j z_k`.
    """
    output, adjoint, dim = operation.output, operation.adjoint, operation.arguments[1]
    dim = int(dim) % output.ndim - output.ndim
    is_log = kind(operation.node) is aten._log_softmax
    (direction,) = operation.directions
    direction = direction.to(output.dtype)
    shares = output.exp() if is_log else output
    centred = direction - (shares * direction).sum(dim, keepdim=True)
    if is_log:
        return centred, gram(-shares * adjoint.sum(dim, keepdim=True) * centred, centred)
    tangents = shares * centred
    return tangents, gram((adjoint - (shares * adjoint).sum(dim, keepdim=True)) * tangents, centred)


def layer_norm(operation: Operation) -> Answer:
    r""":math:`y = \gamma \odot \hat x + \beta` with :math:`\hat x = r\, (x - \bar x)`, over N entries.

    With :math:`c_j = \dot x_j - \bar{\dot x}_j`, :math:`s_j = \hat x^\top c_j / N`, :math:`\mu = \gamma \odot
    \lambda`, :math:`a_j = \mu^\top c_j` and :math:`b = \mu^\top \hat x`: the derivative of :math:`\hat x` is
    :math:`r\, (c_j - s_j \hat x)`, and :math:`\mu^\top \hat x''` is
    :math:`r^2\, (3 b\, s_j s_k - a_j s_k - s_j a_k - b\, c_j^\top c_k / N)`.
    """
    source, shape, scale, shift, eps = operation.arguments
    dims, adjoint = tuple(range(-len(shape), 0)), operation.adjoint
    value = operation.values[source]
    centred = value - value.mean(dims, keepdim=True)
    factor = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    unit = factor * centred
    along, along_scale, along_shift = (operation.tangents.get(node) for node in (source, scale, shift))
    parts, second = [], operation.none()
    if along is not None:
        along = along - along.mean(dims, keepdim=True)
        slope = (unit * along).mean(dims, keepdim=True)
        turned = factor * (along - slope * unit)
        parts.append(turned if scale is None else turned * operation.values[scale])
        adjoint_of_unit = adjoint if scale is None else adjoint * operation.values[scale]
        weight = factor.square() * (adjoint_of_unit * unit).sum(dims, keepdim=True)
        half = gram(factor.square() * (adjoint_of_unit * along).sum(dims, keepdim=True), slope)
        second = gram(3 * weight * slope, slope) - half - half.mT - gram(weight / math.prod(shape) * along, along)
    if along_scale is not None:
        parts.append(unit * _broadcast(along_scale, value.shape))
    if along is not None and along_scale is not None:
        half = gram((adjoint * turned).reshape(len(along), -1, *shape).sum(1), along_scale)
        second = second + half + half.mT
    if along_shift is not None:
        parts.append(_broadcast(along_shift, value.shape))
    return sum(parts[1:], parts[0]), second


def matrix_product(operation: Operation) -> Answer:
    r""":math:`Y = A B`, or with a summand: :math:`\dot Y_j = \dot A_j B + A \dot B_j`.

    The second derivatives are :math:`M + M^\top` with :math:`M_{jk} = \langle \Lambda, \dot A_j \dot B_k \rangle
    = \langle \dot A_j, \Lambda \dot B_k^\top \rangle`: where B is a weight, D products and not D².
    """
    places = FACTORS[kind(operation.node)]
    left, right = (operation.arguments[place] for place in places)
    scale, is_shared = operation.keywords.get("alpha", 1), right in operation.shared
    a, b = operation.values[left], operation.values[right]
    along_a, along_b = operation.tangents.get(left), operation.tangents.get(right)
    parts = []
    if along_a is not None:
        parts.append(along_a @ _scaled(b, scale))
    if along_b is not None:
        parts.append(_with_each(_scaled(a, scale), along_b, is_shared))
    if places == (1, 2) and operation.arguments[0] in operation.tangents:
        summand = _broadcast(operation.tangents[operation.arguments[0]], operation.output.shape)
        parts.append(_scaled(summand, operation.keywords.get("beta", 1)))
    tangents = sum(parts[1:], parts[0])
    if along_a is None or along_b is None:
        return tangents, operation.none()
    adjoint = _scaled(operation.adjoint, scale)
    if is_shared or a.numel() <= b.numel():
        half = gram(along_a, _with_each(adjoint, along_b.mT, is_shared))
    else:
        half = gram(along_a.mT @ adjoint, along_b)
    return tangents, half + half.mT


def _scaled(value: Tensor, scale: float) -> Tensor:
    return value if scale == 1 else scale * value


def _with_each(matrix: Tensor, stack: Float[Tensor, "directions ..."], is_shared: bool) -> Tensor:
    """The product with each matrix of a stack; samples that share it are rows of one product."""
    if is_shared and matrix.ndim == 2:
        columns = stack.permute(1, 0, 2).flatten(1)
        products: Tensor = (matrix @ columns).unflatten(1, (len(stack), -1))
        return products.transpose(0, 1)
    return matrix @ stack


def _broadcast(direction: Float[Tensor, "directions ..."], shape: torch.Size) -> Tensor:
    """Tangents that can be multiplied with values of a shape, entry by entry."""
    missing = len(shape) + 1 - direction.ndim
    return direction.reshape(len(direction), *[1] * missing, *direction.shape[1:]).expand(-1, *shape)


MATRIX_PRODUCTS = {aten.mm, aten.bmm, aten.addmm, aten.baddbmm}

RULES: dict[Any, Callable[[Operation], Answer]] = {
    **dict.fromkeys(MATRIX_PRODUCTS, matrix_product),
    **dict.fromkeys((aten._softmax, aten._log_softmax, aten._safe_softmax), softmax),
    aten.native_layer_norm: layer_norm,
}
"""Those of single operations."""
