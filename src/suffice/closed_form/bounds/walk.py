"""From the outputs down to the input, layer by layer: what every weight meets, in bounds.

It follows `suffice.closed_form.tokenwise` and `suffice.closed_form.attention` term by term, with a norm in place of
each matrix. The norms come from one of two families: `Activations`, from the samples as they run through the layers,
or `WeightNorms`, from the norms of weights and inputs alone.
"""

from typing import Generic

from suffice.closed_form.bounds.family import AttentionNorms, Family, HeadNorms, NormalizationNorms, V
from suffice.closed_form.bounds.level import Blocks, Branch, Level, Side
from suffice.closed_form.bounds.vectors import Number, Vectors
from suffice.closed_form.layers import Block, Classifier, TransformerBlock


def collect(module: Block | Classifier, family: Family[V], samples: int) -> Blocks:
    """The bounds of all blocks of a module.

    Args:
        module: an attention layer, a block or a classifier.
        family: where the norms come from.
        samples: how many.
    """
    names = [name.split(".")[-1] for name, _ in module.named_parameters()]
    block = module.block if isinstance(module, Classifier) else module
    pre = isinstance(block, TransformerBlock) and block.norm == "pre"
    blocks = Blocks(names, samples, family.unit, shared=("gamma_1", "beta_1") if pre else ())
    loss = family.loss()
    walk = _Walk(pre, family, Level(blocks, loss.outer, loss.together))
    gradient = loss.gradient
    if isinstance(module, Classifier):
        walk.head(family.head())
    if isinstance(block, TransformerBlock) and block.norm == "post":
        gradient = walk.feed_forward(walk.normalization(2, gradient))
        gradient = walk.normalization(1, gradient)
    elif isinstance(block, TransformerBlock):
        gradient = walk.feed_forward(gradient)
    walk.attention(gradient)
    return blocks


class _Walk(Generic[V]):
    def __init__(self, pre: bool, family: Family[V], level: Level) -> None:
        self.pre, self.family, self.level, self.blocks = pre, family, level, level.blocks

    def _weights(self, **vectors: Vectors) -> list[tuple[str, Vectors]]:
        """Those that the module has."""
        return [(name, v) for name, v in vectors.items() if name in self.blocks.places]

    def _sides(self, K: Number, **vectors: Vectors) -> list[Side]:
        return [Side(name, v, K) for name, v in self._weights(**vectors)]

    def _gradients(self, u: Vectors, **vectors: Vectors) -> None:
        for name, v in self._weights(**vectors):
            self.blocks.add_gradient(name, v, u)

    def head(self, sizes: HeadNorms[V]) -> None:
        for name, v in (("W_C", sizes.pooled), ("b_C", sizes.one)):
            self.blocks.add_outer(name, v, sizes.root, together=False)
            self.blocks.add_gradient(name, v, sizes.gradient)
        self.level.couple(Side("W_C", sizes.moved, sizes.share))

    def normalization(self, number: int, f: V) -> V:
        """Of its output, after it."""
        sizes = self.family.normalization(number, f)
        self._scale_and_shift(number, sizes, [(self.level, self.family.unit)])
        self.level.below(sizes.jacobian, sizes.curvature)
        self.level.at(sizes.outer)
        self._scale_moves(self.level, number, sizes)
        return sizes.below

    def _scale_and_shift(self, number: int, sizes: NormalizationNorms[V], ways: list[tuple[Branch, Number]]) -> None:
        """Gamma and beta move u, which goes on to each level with a Jacobian of this norm."""
        moved = self._weights(**{f"gamma_{number}": sizes.n, f"beta_{number}": self.family.one})
        for level, J in ways:
            level.meet(moved, J)
        self._gradients(sizes.n_f, **{f"gamma_{number}": self.family.one})
        self._gradients(sizes.f, **{f"beta_{number}": self.family.one})

    def _scale_moves(self, level: Branch, number: int, sizes: NormalizationNorms[V]) -> None:
        """Gamma multiplies n, which moves with x."""
        for side in self._sides(sizes.own, **{f"gamma_{number}": sizes.diagonal_f}):
            level.couple(side)

    def feed_forward(self, f: V) -> V:
        sizes, one, unit = self.family.feed_forward(f), self.family.one, self.family.unit
        level, add = self.level, self.blocks.add
        level.meet(self._weights(W_2=sizes.S, b_2=one), unit)
        level.meet(self._weights(W_1=sizes.Y, b_1=one), sizes.F)
        self._gradients(sizes.f, W_2=sizes.S, b_2=one)
        self._gradients(sizes.f_B, W_1=sizes.Y, b_1=one)
        W_1, b_1 = self._sides(sizes.bend * sizes.W_1, W_1=sizes.Y, b_1=one)
        moved_2, moved_1 = Side("W_2", f, sizes.slope * sizes.W_1), Side("W_1", sizes.f_B, unit)
        for left, right in ((W_1, W_1), (W_1, b_1), (b_1, b_1)):
            add(left, right, sizes.bend)
        for side in (W_1, b_1):
            add(side, moved_2, sizes.slope)
        branch = Branch(self.blocks, sizes.W_1.square() * sizes.bend, [W_1, b_1, moved_1, moved_2])
        below = sizes.below
        if self.pre:
            normalization = self.family.normalization(2, below)
            self._scale_and_shift(2, normalization, [(level, sizes.FW), (branch, unit)])
            branch.below(normalization.jacobian, normalization.curvature)
            self._scale_moves(branch, 2, normalization)
            below = normalization.below
        level.below(sizes.C)
        level.at(sizes.outer)
        level.join(branch)
        return f.plus(below)

    def attention(self, f: V) -> None:
        sizes, one, unit = self.family.attention(f), self.family.one, self.family.unit
        level, add = self.level, self.blocks.add
        if "W_O" in self.blocks.places:
            level.meet(self._weights(W_O=sizes.joined, b_O=one), unit)
            self._gradients(f, W_O=sizes.joined, b_O=one)
            level.below(sizes.W_O)
            level.at(sizes.outer)
            level.couple(Side("W_O", f, unit))
        level.meet(self._weights(W_V=sizes.A_x, b_V=sizes.A_1), unit)
        self._gradients(sizes.o, W_V=sizes.A_x, b_V=sizes.A_1)

        # the weights of the scores T, each with ||P^(1/2) dT/dW||, and those whose vectors move with T
        level.meet(self._weights(W_K=sizes.Q), sizes.Vx)
        level.meet(self._weights(b_K=sizes.Q), sizes.V1)
        level.meet(self._weights(W_Q=sizes.x, W_QK=sizes.x, b_Q=one), sizes.VK)
        moved = [*self._sides(sizes.root_x, W_V=sizes.o), *self._sides(sizes.root_1, b_V=sizes.o)]
        scores = [
            *self._sides(sizes.scale * sizes.root_x, W_K=sizes.Q),
            *self._sides(sizes.scale * sizes.root_1, b_K=sizes.Q),
            *self._sides(sizes.scale * sizes.root_K, W_Q=sizes.x, W_QK=sizes.x, b_Q=one),
        ]
        self._gradients(sizes.q_x, W_K=sizes.Q)
        self._gradients(sizes.q_1, b_K=sizes.Q)
        self._gradients(sizes.q_K, W_Q=sizes.x, W_QK=sizes.x, b_Q=one)
        pairs = (("W_Q", "W_K"), ("b_Q", "W_K"), ("W_Q", "b_K"), ("b_Q", "b_K"))
        for (left, right), norm in zip(pairs, sizes.cross, strict=False):
            if left in self.blocks.places and right in self.blocks.places:
                self.blocks.add_norm(left, right, norm)
        if self.pre and "gamma_1" in self.blocks.places:
            self._input_norm(sizes, moved, scores)
        for number, side in enumerate(scores):
            for other in moved:
                add(other, side, other.K * side.K, mixed=False)
            for other in scores[: number + 1]:
                add(other, side, sizes.bend * other.K * side.K, mixed=False)

    def _input_norm(self, attention: AttentionNorms[V], moved: list[Side], scores: list[Side]) -> None:
        """Gamma_1 and beta_1 before the attention move queries, keys and values of all tokens."""
        sizes, one, level, add = self.family.input_norm(), self.family.one, self.level, self.blocks.add
        self._gradients(sizes.n_f, gamma_1=sizes.every)
        self._gradients(sizes.x_f, beta_1=sizes.every)
        unit, scale = self.family.unit, attention.scale
        ways = {
            # dX, A dX, scale q dX; dX' W_K Q_t and dX' W_V o_t; ||P^(1/2) dX|| and scale ||V' P dX||
            "gamma_1": (sizes.n, sizes.A_n, sizes.q_n, sizes.diagonal_K, sizes.diagonal_V, sizes.root_n, sizes.Vn),
            "beta_1": (one, attention.A_1, attention.q_1, sizes.to_K, sizes.to_V, attention.root_1, attention.V1),
        }
        for name, (dX, A_dX, q_dX, to_K, to_V, root, V_dX) in ways.items():
            level.meet([(name, A_dX)], sizes.W_V)
            for value in self._sides(unit, W_V=attention.o):
                add(value, Side(name, A_dX, unit), unit, mixed=False)
            moved.append(Side(name, to_V, root))
            for v, G, half in ((to_K, V_dX, root), (dX, sizes.VKQ, sizes.root_KQ)):
                level.meet([(name, v)], G)
                scores.append(Side(name, v, scale * half))
            for query in self._sides(sizes.W_K, W_Q=attention.x, W_QK=attention.x, b_Q=one):
                add(query, Side(name, q_dX, unit), query.K, mixed=False)
            for key in self._sides(unit, W_K=attention.Q):
                add(key, Side(name, q_dX, unit), unit, mixed=False)
            for query in self._sides(unit, W_Q=attention.q_K, W_QK=attention.q_K):
                add(query, Side(name, dX, unit), unit, mixed=False)
            for key in self._sides(sizes.W_Q, W_K=attention.q_x, b_K=attention.q_1):
                add(key, Side(name, dX, unit), key.K, mixed=False)
        for left, way in ways.items():
            for right, other in ways.items():
                add(Side(left, way[0], unit), Side(right, other[2], unit), sizes.W_Q * sizes.W_K, mixed=False)
