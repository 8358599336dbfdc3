"""Bounds carried down through the layers, as the second derivatives themselves are: one number in place of a matrix.

Weights that move a vector u of each token by du/dW[a, b] = v[a] G[:, b] bring sums sum_t A_t (x) (v_t w_t') to the
Hessian. Where ||A_t|| <= alpha_t, such a sum is at most ||V diag(alpha)^(1/2)|| ||W diag(alpha)^(1/2)||, since it is
(I (x) V diag(alpha)^(1/2)) diag_t(A_t / alpha_t) (I (x) W diag(alpha)^(1/2))'.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suffice.closed_form.bounds.vectors import Number, PerSample, Vectors


@dataclass(frozen=True, eq=False)
class Side:
    """Weights above a level, with at least ||K_t|| of the mixed derivative d2l/du dW[a, b] = v[a] K[:, b]."""

    name: str
    v: Vectors
    K: Number


Halves: TypeAlias = Float[Tensor, "samples heads sums"]


class _Sum(NamedTuple):
    """sum_t A_t (x) (v_t w_t') between two sides, ||A_t|| <= alpha_t; A_t mixes the heads or is apart by head."""

    left: Side
    right: Side
    alpha: Number
    mixed: bool


class Blocks:
    """What adds up to the bounds of all blocks of the Hessian, and of the gradient.

    Args:
        names: the parameters.
        samples: how many.
        like: of the dtype and on the device of the weights.
        shared: weights before the attention that all heads share, each with vectors of its own; of others each head
            has columns of its own, or they are above the heads.
    """

    def __init__(self, names: Sequence[str], samples: int, like: Tensor, shared: Collection[str] = ()) -> None:
        self.shared = shared
        self.places = {name: place for place, name in enumerate(names)}
        self._outer = like.new_zeros(samples, len(names))
        self._gradients: list[tuple[int, Vectors, Vectors]] = []
        self._norms = like.new_zeros(samples, len(names), len(names))
        self._sums: list[_Sum] = []
        self._apart: list[tuple[Side, Number]] = []

    def add(self, left: Side, right: Side, alpha: Number, mixed: bool = True) -> None:
        """sum_t A_t (x) (v_t w_t') between two sides, with its transpose unless they are the same.

        Args:
            left, right: the sides, with v and w.
            alpha: at least ||A_t||; for each head, if A_t is apart by head.
            mixed: whether A_t mixes the columns of different heads.
        """
        self._sums.append(_Sum(left, right, alpha, mixed))

    def add_norm(self, left: str, right: str, norm: PerSample) -> None:
        """A part of the block of two different parameters, of this norm."""
        i, j = sorted((self.places[left], self.places[right]))
        self._norms[:, i, j] += norm

    def add_outer(self, name: str, v: Vectors, DG: Number, together: bool) -> None:
        """||D J||, J the Jacobian v_t (x) G_t of some level in a parameter, or a part of it.

        Args:
            name, v: the parameter.
            DG: at least ||D_t G_t||.
            together: whether all tokens share the rows of D; then ||sum_t D_t G_t (x) v_t'||.
        """
        if together:
            self._outer[:, self.places[name]] += v.together(DG, name in self.shared)
        else:
            self._apart.append((Side(name, v, DG), DG.square()))

    def add_gradient(self, name: str, v: Vectors, u: Vectors) -> None:
        """sum_t v_t u_t', a part of the gradient."""
        self._gradients.append((self.places[name], v, u))

    def gradient(self) -> Float[Tensor, "samples names"]:
        """At least the norm of the gradient in each parameter."""
        norms = torch.zeros_like(self._outer)
        for place, v, u in self._gradients:
            norms[:, place] += v.product(u).sqrt()
        return norms

    def hessian(self) -> Float[Tensor, "samples names names"]:
        """At least the norm of each block, symmetric: |H_ab| <= j_a j_b + all that was added."""
        names = len(self.places)
        halves = self._halves()
        left, right, own = halves.tensor_split([len(self._sums), 2 * len(self._sums)], -1)
        outer = self._outer
        if self._apart:
            places = torch.tensor([self.places[side.name] for side, _ in self._apart], device=outer.device)
            outer = outer.index_add(1, places, self._whole(own, [side for side, _ in self._apart]))
        ends = [sorted((self.places[item.left.name], self.places[item.right.name])) for item in self._sums]
        places = torch.tensor([i * names + j for i, j in ends], dtype=torch.long, device=outer.device)
        norms = self._norms.flatten(1).index_add(1, places, self._bounds(left, right))
        upper = norms.view(-1, names, names).triu()
        return upper + upper.triu(1).mT + outer[:, :, None] * outer[:, None]

    def _bounds(self, left: Halves, right: Halves) -> Float[Tensor, "samples sums"]:
        """||V diag(alpha)^(1/2)|| ||W diag(alpha)^(1/2)|| of every sum, its heads put together."""
        lefts, rights = [item.left for item in self._sums], [item.right for item in self._sums]
        # a transpose falls on the same block where both sides are of one parameter
        times = left.new_tensor([1 + (a is not b and a.name == b.name) for a, b in zip(lefts, rights, strict=True)])
        mixed = self._whole(left, lefts) * self._whole(right, rights)
        if left.shape[1] == 1:
            return times * mixed
        shared = [(a.name in self.shared) + (b.name in self.shared) for a, b in zip(lefts, rights, strict=True)]
        each = left * right
        apart = torch.where(_those((count > 0 for count in shared), left), each.norm(dim=1), each.amax(1))
        apart = torch.where(_those((count > 1 for count in shared), left), each.sum(1), apart)
        return times * torch.where(_those((item.mixed for item in self._sums), left), mixed, apart)

    def _whole(self, halves: Halves, sides: Sequence[Side]) -> Float[Tensor, "samples sums"]:
        """Of all heads: they have columns of their own, or share them."""
        shared = _those((side.name in self.shared for side in sides), halves)
        return torch.where(shared, halves.norm(dim=1), halves.amax(1))

    def _halves(self) -> Halves:
        """||V diag(alpha)^(1/2)|| of the left sides of all sums, of the right sides, and of what is apart.

        Those of the same vectors are taken together.
        """
        items = [(item.left, item.alpha) for item in self._sums]
        items += [(item.right, item.alpha) for item in self._sums] + self._apart
        uses: dict[Vectors, list[int]] = defaultdict(list)
        for number, (side, _) in enumerate(items):
            uses[side.v].append(number)
        found = [
            vectors.halves(torch.stack(torch.broadcast_tensors(*[items[number][1] for number in numbers]), -1))
            for vectors, numbers in uses.items()
        ]
        heads = max(part.shape[1] for part in found)
        halves = torch.cat([part.expand(len(self._outer), heads, -1) for part in found], -1)
        order = torch.tensor([number for numbers in uses.values() for number in numbers], device=halves.device)
        return halves[..., order.argsort()]


def _those(chosen: Iterable[bool], like: Tensor) -> Bool[Tensor, " sums"]:
    return torch.tensor(list(chosen), dtype=torch.bool, device=like.device)


class Branch:
    """What some layers make of a vector x of each token, by themselves, in bounds.

    Attributes:
        curvature: at least ||M_t||, M_t = sum_a f_a d2u_a/dxdx for what they make of it, u with dl/du = f; None is 0.
        sides: their weights.
    """

    def __init__(self, blocks: Blocks, curvature: Number | None, sides: Iterable[Side] = ()) -> None:
        self.blocks, self.curvature = blocks, curvature
        self.sides = {(side.name, side.v): side for side in sides}

    def meet(self, weights: Iterable[tuple[str, Vectors]], G: Number) -> None:
        """What the Hessian gains by weights that move x by dx/dW[a, b] = v[a] G[:, b], with at least ||G_t||.

        Args:
            weights: names and v of weights with the same G, which is block-diagonal over the heads.
            G: its norms.
        """
        widest = G.amax(1, keepdim=True)
        for name, v in weights:
            side = Side(name, v, widest if self.curvature is None else self.curvature * widest)
            for other in self.sides.values():
                self.blocks.add(other, side, other.K * widest)
            if self.curvature is not None:
                self.blocks.add(side, side, side.K * widest)
                self.couple(side)

    def couple(self, side: Side) -> None:
        """Adds K to what a side has to do with x."""
        key = side.name, side.v
        if key in self.sides:
            side = Side(side.name, side.v, self.sides[key].K + side.K)
        self.sides[key] = side

    def below(self, J: Number, curvature: Number | None = None) -> None:
        """Goes down to a vector that makes x, with at least ||J|| and the norm of that step's own curvature."""
        if self.curvature is not None:
            self.curvature = self.curvature * J.square()
        self._bend(curvature)
        self.sides = {key: Side(side.name, side.v, side.K * J) for key, side in self.sides.items()}

    def join(self, branch: "Branch") -> None:
        """Adds what another branch makes of the same vector."""
        self._bend(branch.curvature)
        for side in branch.sides.values():
            self.couple(side)

    def _bend(self, curvature: Number | None) -> None:
        if curvature is not None:
            self.curvature = curvature if self.curvature is None else self.curvature + curvature


class Level(Branch):
    """What all layers above make of a vector u of each token, in bounds.

    Attributes:
        outer: at least ||D_t||, where the outer-product part of the Hessian in u is D'D.
        together: whether all tokens share the rows of D, as those of a classifier do; or each has its own.
    """

    def __init__(self, blocks: Blocks, outer: Number, together: bool) -> None:
        super().__init__(blocks, None)
        self.outer, self.together = outer, together

    def meet(self, weights: Iterable[tuple[str, Vectors]], G: Number) -> None:
        weights = list(weights)
        for name, v in weights:
            self.blocks.add_outer(name, v, self.outer * G, self.together)
        super().meet(weights, G)

    def at(self, outer: Number) -> None:
        """After going down: at least ||D_t|| there, if that is less than the product of norms."""
        self.outer = torch.minimum(self.outer, outer)

    def below(self, J: Number, curvature: Number | None = None) -> None:
        super().below(J, curvature)
        self.outer = self.outer * J
