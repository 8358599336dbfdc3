"""Bounds of a level, carried down through the layers: one number per token in place of each matrix of a `Level`.

A step down goes from u to a vector x that u depends on, as in `suffice.closed_form.level`: weights *meet* all weights
above, the level goes *below*, and weights are *coupled* with x. Levels are values: a step returns the level at the next
layer, and adds the bounds of second derivatives in the weights to `Blocks`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.vectors import Number, V, spectral_bound


class Coupled(NamedTuple):
    """A weight above a level, with at least ||K_t|| of the mixed derivative d2l/du dW[a, b] = v[a] K[:, b]."""

    weight: Weight
    K: Number


@dataclass(frozen=True, eq=False)
class FunctionalPart:
    """The functional part of the second derivatives in a vector u of each token and in the weights above it.

    Attributes:
        curvature: at least ||M_t||, M_t the functional part of the Hessian in u; None is 0.
        K: the weights above, with at least ||K_t|| of each.
    """

    curvature: Number | None = None
    K: Mapping[Weight, Number] = field(default_factory=dict)

    def meet(self, blocks: Blocks, weights: Iterable[Weight], G: Number) -> "FunctionalPart":
        """Adds the second derivatives of weights that move u by du/dW[a, b] = v[a] G[:, b].

        Args:
            blocks: where the bounds are added up.
            weights: each with its v.
            G: at least ||G_t||, the same for all weights; G is block-diagonal over the heads.
        """
        widest, part = G.amax(1, keepdim=True), self
        for weight in weights:
            for other, K in part.K.items():
                blocks.add(other, weight, K * widest)
            if part.curvature is not None:
                own = part.curvature * widest
                blocks.add_own(weight, own * widest)
                part = part.couple(Coupled(weight, own))
        return part

    def couple(self, *coupled: Coupled) -> "FunctionalPart":
        """Adds to the mixed derivatives in u and some weights."""
        K = dict(self.K)
        for weight, more in coupled:
            K[weight] = K[weight] + more if weight in K else more
        return replace(self, K=K)

    def below(self, J: Number, curvature: Number | None = None) -> "FunctionalPart":
        """At a vector x that u depends on, with at least ||du/dx|| and ||sum_a f_a d2u_a/dxdx||."""
        old = None if self.curvature is None else self.curvature * J.square()
        return FunctionalPart(_sum(old, curvature), {weight: K * J for weight, K in self.K.items()})

    def join(self, branch: "FunctionalPart") -> "FunctionalPart":
        """Adds the functional part of another branch that starts at u."""
        joined = self.couple(*(Coupled(weight, K) for weight, K in branch.K.items()))
        return replace(joined, curvature=_sum(self.curvature, branch.curvature))


class ScaledIdentity(NamedTuple):
    """A root D_t = scale_t I."""

    scale: Float[Tensor, "samples tokens"]
    width: int

    def matrix(self) -> Float[Tensor, "samples tokens width width"]:
        return self.scale[..., None, None] * torch.eye(self.width, dtype=self.scale.dtype, device=self.scale.device)


@dataclass(frozen=True, eq=False)
class Jacobian:
    """du/dx of a step down.

    Attributes:
        norm: at least ||du/dx||.
        times: M -> M du/dx for matrices of each token; None where only the norm is known.
    """

    norm: Number
    times: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class OuterPart:
    """The outer-product part D'D of the Hessian in a vector u of each token, but for signs.

    Attributes:
        norm: at least ||D_t||.
        together: whether all tokens share the rows of D, as with a classifier; or each has its own.
        root: D itself, where the bounds come from the data.
    """

    norm: Number
    together: bool
    root: Float[Tensor, "samples #tokens rows u"] | ScaledIdentity | None = None

    def meet(self, blocks: Blocks, weights: Iterable[Weight], G: Number) -> None:
        """Adds ||D J|| of weights that move u by G; arguments as for `FunctionalPart.meet`."""
        for weight in weights:
            blocks.add_outer(weight, self.norm * G, self.together)

    def below(self, J: Jacobian) -> "OuterPart":
        """At a vector x that u depends on: ||D du/dx|| from D if it is known, at most the product of the norms."""
        norm = self.norm * J.norm
        if self.root is None or J.times is None:
            return OuterPart(norm, self.together)
        if isinstance(self.root, ScaledIdentity):  # D du/dx = scale du/dx has this norm
            return OuterPart(norm, self.together, J.times(self.root.matrix()))
        D = J.times(self.root)
        return OuterPart(torch.minimum(norm, spectral_bound(D)[:, None]), self.together, D)


@dataclass(frozen=True, eq=False)
class LevelBound(Generic[V]):
    """Bounds of the derivatives of the loss in a vector u of each token.

    Attributes:
        gradient: f = dl/du.
        outer, functional: the two parts of the second derivatives.
    """

    gradient: V
    outer: OuterPart
    functional: FunctionalPart = field(default_factory=FunctionalPart)

    def meet(self, blocks: Blocks, weights: Iterable[Weight], G: Number) -> "LevelBound[V]":
        """Adds the second derivatives of weights that move u by G; arguments as for `FunctionalPart.meet`."""
        weights = list(weights)
        self.outer.meet(blocks, weights, G)
        return replace(self, functional=self.functional.meet(blocks, weights, G))

    def couple(self, *coupled: Coupled) -> "LevelBound[V]":
        """Adds to the mixed derivatives in u and some weights."""
        return replace(self, functional=self.functional.couple(*coupled))

    def below(self, gradient: V, J: Jacobian, curvature: Number | None = None) -> "LevelBound[V]":
        """At a vector x that u depends on, with dl/dx, du/dx, and at least ||sum_a f_a d2u_a/dxdx||."""
        return LevelBound(gradient, self.outer.below(J), self.functional.below(J.norm, curvature))

    def join(self, branch: FunctionalPart) -> "LevelBound[V]":
        """Adds the functional part of another branch that starts at u."""
        return replace(self, functional=self.functional.join(branch))


def _sum(a: Number | None, b: Number | None) -> Number | None:
    """a + b, where None is 0."""
    if a is None or b is None:
        return a if b is None else b
    return a + b
