"""The bounds of all blocks of the Hessian, and of the gradient, added up from sums over tokens.

Weights that move a vector u of each token by du/dW[a, b] = v[a] G[:, b] bring sums sum_t A_t (x) (v_t w_t') to the
Hessian. Where ||A_t|| <= alpha_t, such a sum is at most ||V diag(alpha)^(1/2)|| ||W diag(alpha)^(1/2)||, since it is
(I (x) V diag(alpha)^(1/2)) diag_t(A_t / alpha_t) (I (x) W diag(alpha)^(1/2))'.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suffice.closed_form.bounds.vectors import Number, PerSample, Vectors


class Weight(NamedTuple):
    """A parameter W, and the vectors v by which it moves something: dU_t/dW[a, b] = v_t[a] G_t[:, b] for some G."""

    name: str
    v: Vectors


class _Sum(NamedTuple):
    """sum_t A_t (x) (v_t w_t') between two weights, ||A_t|| <= alpha_t.

    Attributes:
        left, right: the weights, with v and w.
        alpha: the bound of each token; of each head, if A_t is separate for each head.
        mixed: whether A_t mixes the columns of different heads.
        own: whether the sum is symmetric, and counts once; otherwise its transpose is added.
    """

    left: Weight
    right: Weight
    alpha: Number
    mixed: bool
    own: bool


class _Apart(NamedTuple):
    """||D J||, J the Jacobian of a weight, where each token has its own rows of D: the norm of V diag(DG)."""

    weight: Weight
    DG: Number


Halves: TypeAlias = Float[Tensor, "samples heads sums"]


class Blocks:
    """Adds up the bounds of all blocks of the Hessian, and of the gradient.

    Args:
        names: the parameters.
        samples: the number of samples.
        like: a tensor with the dtype and device of the weights.
        shared: weights before the attention that all heads share, each with vectors of its own; other weights have
            separate columns for each head, or lie above the heads.
    """

    def __init__(self, names: Sequence[str], samples: int, like: Tensor, shared: Collection[str] = ()) -> None:
        self.shared = shared
        self.unit = like.new_ones(1, 1, 1)
        self._index = {name: index for index, name in enumerate(names)}
        self._outer = like.new_zeros(samples, len(names))
        self._gradients: list[tuple[Weight, Vectors]] = []
        self._norms = like.new_zeros(samples, len(names), len(names))
        self._sums: list[_Sum] = []
        self._apart: list[_Apart] = []

    def __contains__(self, name: str) -> bool:
        """Whether the module has this parameter."""
        return name in self._index

    def weights(self, **vectors: Vectors) -> list[Weight]:
        """The parameters of these names that the module has, each with its vectors."""
        return [Weight(name, v) for name, v in vectors.items() if name in self]

    def add(self, left: Weight, right: Weight, alpha: Number, mixed: bool = True) -> None:
        """Adds sum_t A_t (x) (v_t w_t') between two weights, and its transpose.

        Args:
            left, right: the weights, with v and w.
            alpha: at least ||A_t||; of each head, if A_t is separate for each head.
            mixed: whether A_t mixes the columns of different heads.
        """
        self._sums.append(_Sum(left, right, alpha, mixed, own=False))

    def add_own(self, weight: Weight, alpha: Number, mixed: bool = True) -> None:
        """Adds the symmetric sum_t A_t (x) (v_t v_t'); arguments as for `add`."""
        self._sums.append(_Sum(weight, weight, alpha, mixed, own=True))

    def add_norm(self, left: str, right: str, norm: PerSample) -> None:
        """Adds a part of the block of two different parameters, of this norm."""
        i, j = sorted((self._index[left], self._index[right]))
        self._norms[:, i, j] += norm

    def add_outer(self, weight: Weight, DG: Number, together: bool) -> None:
        """Adds ||D J||, J the Jacobian v_t (x) G_t of some level in a weight.

        Args:
            weight: with v.
            DG: at least ||D_t G_t||.
            together: whether all tokens share the rows of D; then ||sum_t D_t G_t (x) v_t'||.
        """
        if together:
            index = self._index[weight.name]
            self._outer[:, index] += weight.v.together(DG, weight.name in self.shared)
        else:
            self._apart.append(_Apart(weight, DG))

    def add_gradient(self, weights: Iterable[Weight], u: Vectors) -> None:
        """Adds sum_t v_t u_t' to the gradient in each of some weights."""
        self._gradients += [(weight, u) for weight in weights]

    def gradient(self) -> Float[Tensor, "samples names"]:
        """At least the norm of the gradient in each parameter."""
        norms = torch.zeros_like(self._outer)
        for (name, v), u in self._gradients:
            norms[:, self._index[name]] += v.product(u).sqrt()
        return norms

    def hessian(self) -> Float[Tensor, "samples names names"]:
        """At least the norm of each block, symmetric: ||H_ab|| <= j_a j_b + all that was added."""
        names = len(self._index)
        halves = self._halves()
        left, right, own = halves.tensor_split([len(self._sums), 2 * len(self._sums)], -1)
        outer = self._outer
        if self._apart:
            apart = [item.weight for item in self._apart]
            index = torch.tensor([self._index[weight.name] for weight in apart], device=outer.device)
            outer = outer.index_add(1, index, self._whole(own, apart))
        pairs = [sorted((self._index[item.left.name], self._index[item.right.name])) for item in self._sums]
        index = torch.tensor([i * names + j for i, j in pairs], dtype=torch.long, device=outer.device)
        norms = self._norms.flatten(1).index_add(1, index, self._bounds(left, right))
        upper = norms.view(-1, names, names).triu()
        return upper + upper.triu(1).mT + outer[:, :, None] * outer[:, None]

    def _bounds(self, left: Halves, right: Halves) -> Float[Tensor, "samples sums"]:
        """||V diag(alpha)^(1/2)|| ||W diag(alpha)^(1/2)|| of every sum, over all heads."""
        lefts, rights = [item.left for item in self._sums], [item.right for item in self._sums]
        # a transpose falls on the same block where both weights are of one parameter
        times = left.new_tensor([1 + (not item.own and item.left.name == item.right.name) for item in self._sums])
        mixed = self._whole(left, lefts) * self._whole(right, rights)
        if left.shape[1] == 1:
            return times * mixed
        shared = [(a.name in self.shared) + (b.name in self.shared) for a, b in zip(lefts, rights, strict=True)]
        each = left * right
        apart = torch.where(_those((count > 0 for count in shared), left), each.norm(dim=1), each.amax(1))
        apart = torch.where(_those((count > 1 for count in shared), left), each.sum(1), apart)
        return times * torch.where(_those((item.mixed for item in self._sums), left), mixed, apart)

    def _whole(self, halves: Halves, weights: Sequence[Weight]) -> Float[Tensor, "samples sums"]:
        """The norm over all heads, which have separate columns or share them."""
        shared = _those((weight.name in self.shared for weight in weights), halves)
        return torch.where(shared, halves.norm(dim=1), halves.amax(1))

    def _halves(self) -> Halves:
        """||V diag(alpha)^(1/2)|| of the left weights of all sums, of the right weights, and of those apart.

        Those of the same vectors are computed together.
        """
        items = [(item.left.v, item.alpha) for item in self._sums]
        items += [(item.right.v, item.alpha) for item in self._sums]
        items += [(item.weight.v, item.DG.square()) for item in self._apart]
        uses: dict[Vectors, list[int]] = defaultdict(list)
        for number, (v, _) in enumerate(items):
            uses[v].append(number)
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
