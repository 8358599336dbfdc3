"""A-priori norms: from the norms of weights, inputs and targets, and from sizes. No sample runs through a layer.

A row of attention is a mean, so that it lengthens no vector, and the covariance of tokens within a ball of radius r is
at most r^2. A normalised token has the norm sqrt(d); its derivative, 1/s, is where nothing is known from above: s is at
least sqrt(eps), or the deviation of an input token less what attention adds to it.
"""

import math
from typing import cast

import torch
from torch import Tensor

from suffice.closed_form.activations import Activation
from suffice.closed_form.bounds.family import (
    AttentionNorms,
    FeedForwardNorms,
    HeadNorms,
    InputNormNorms,
    LossNorms,
    NormalizationNorms,
)
from suffice.closed_form.bounds.vectors import Bounded, Number
from suffice.closed_form.layers import Block, Classifier, Mask, Tokens, TransformerBlock
from suffice.closed_form.losses import SampleLoss
from suffice.errors import InputError


class WeightNorms:
    """All norms that a bound asks for, a priori; arguments as for `Activations`.

    Raises:
        InputError: a loss given as a function, or an activation without bounds of its derivatives.
    """

    def __init__(
        self,
        module: Block | Classifier,
        X: Tokens,
        targets: Tensor,
        loss: str | SampleLoss,
        mask: Mask | None,
    ) -> None:
        if not isinstance(loss, str):
            raise InputError('a loss given as a function has no a-priori bound: use kind="data"')
        self.classifier = module if isinstance(module, Classifier) else None
        # what is asked of a block or a classifier is asked only where there is one
        self.block = cast(TransformerBlock, module.block if isinstance(module, Classifier) else module)
        self.top = cast(Classifier, self.classifier)
        self.entropy, self.tokens, self.unit = loss == "cross_entropy", X.shape[1], X.new_ones(1, 1, 1)
        self.one = Bounded(self.unit, self.tokens)
        self.real = X.new_ones(X.shape[:2]) if mask is None else mask.to(X.dtype)
        counted = self.real.clone()
        if self.classifier is not None and self.classifier.pool == "first":
            counted[:, 0] = 1
        self.X = self._rows(X * counted[..., None])
        mean = (X * self.real[..., None]).sum(1, keepdim=True) / self.real.sum(1)[:, None, None]
        self.ball = self._rows((X - mean) * self.real[..., None])  # what is attended to, from its mean
        deviation = (X - X.mean(-1, keepdim=True)).norm(dim=-1)
        self.deviation = torch.where(counted > 0, deviation, torch.inf).amin(1)[:, None, None]
        self.target = (
            torch.zeros_like(X[:, :1]) if self.entropy else targets * (self.real[..., None] if targets.ndim == 3 else 1)
        )
        self._forward()

    def _forward(self) -> None:
        """The sizes of what the layers hand on."""
        block = self.block
        self.x = self.X
        if isinstance(block, TransformerBlock) and block.norm == "pre":
            self.inverse_1 = self._inverse(self.deviation)
            self.x, self.ball = self._normalized(1), Bounded(self._scale(1) * math.sqrt(block.width), self.tokens)
        merged = block.config.merged
        W_Q, b_Q = (block.W_QK if merged else block.W_Q), block.b_Q
        self.W_Q, self.W_V = self._by_head(W_Q), self._by_head(block.W_V)
        self.W_K = self.unit.expand(1, block.config.heads, 1) if merged else self._by_head(block.W_K)
        self.Q = self.x.times(self.W_Q).plus(self._bias(b_Q))
        self.K = self.x.times(self.W_K)
        if not merged:
            self.K = self.K.plus(self._bias(block.b_K))
        self.V = self.x.times(self.W_V).plus(self._bias(block.b_V))
        root = math.sqrt(self.tokens)
        if block.config.linear:
            T = block.config.scale * self.K.spectral * self.Q.norms  # of a row
            self.A_x, self.A_1 = Bounded(T * self.x.spectral, self.tokens), Bounded(T * root, self.tokens)
            heads = T * self.V.spectral
        else:
            self.A_x, self.A_1 = Bounded(self.x.norms, self.tokens), self.one
            heads = self.V.norms
        self.joined = Bounded(heads.norm(dim=1, keepdim=True), self.tokens)
        Z = self.joined
        if block.W_O is not None:
            Z = Z.times(self._norm(block.W_O)).plus(self._shift(block.b_O))
        if isinstance(block, TransformerBlock):
            R = self.X.plus(Z)
            if block.norm == "post":
                self.inverse_1 = self._inverse(self.deviation - Z.norms)
                self.inverse_2 = self._inverse(torch.zeros_like(self.deviation))
                self.Y = self._normalized(1)
            else:
                self.inverse_2 = self._inverse(self.deviation - Z.norms)
                self.Y = self._normalized(2) if block.norm == "pre" else R
            self.steepest, self.bend = _derivative_bounds(block.activation)
            self.W_1, self.W_2 = self._norm(block.W_1), self._norm(block.W_2)
            B = self.Y.times(self.W_1).plus(self._shift(block.b_1))
            at_zero = block.activation.value(block.b_1.new_zeros(len(block.b_1))).norm()
            self.S = B.times(self.unit * self.steepest).plus(Bounded(self.unit * at_zero, self.tokens))
            if block.norm == "post":
                Z = self._normalized(2)
            else:
                Z = R.plus(self.S.times(self.W_2)).plus(self._shift(block.b_2))
        self.Z = Z

    def loss(self) -> LossNorms[Bounded]:
        if self.classifier is not None:
            share, W_C = self._shares(), self._norm(self.top.W_C)
            gradient = self._logits_gradient().norms * share.amax(-1, keepdim=True) * W_C
            return LossNorms(Bounded(gradient, self.tokens), share * W_C * self._root(), together=True)
        share = (self.real / self.real.sum(1, keepdim=True))[:, None]
        error = self.Z.plus(self._rows(self.target))
        largest = 2 * share.amax(-1, keepdim=True) / self.block.width
        return LossNorms(error.times(largest), (2 * share / self.block.width).sqrt(), together=False)

    def head(self) -> HeadNorms[Bounded]:
        gradient = self._logits_gradient()
        return HeadNorms(
            pooled=Bounded(self.Z.norms, 1),
            one=Bounded(self.unit, 1),
            gradient=gradient,
            moved=Bounded(gradient.norms, self.tokens),
            share=self._shares(),
            root=self._root(),
        )

    def normalization(self, number: int, f: Bounded) -> NormalizationNorms[Bounded]:
        width, inverse = self.block.width, self.inverse_1 if number == 1 else self.inverse_2
        largest = self.unit * math.sqrt(width - 1)  # entry of a normalised token
        jacobian = self._scale(number) * inverse
        return NormalizationNorms(
            n=Bounded(largest, self.tokens),
            f=f,
            n_f=f.times(largest),
            diagonal_f=f,
            own=inverse,
            jacobian=jacobian,
            curvature=2 / math.sqrt(3 * width) * jacobian * inverse * f.norms,
            below=f.times(jacobian),
            outer=self.unit * torch.inf,
        )

    def feed_forward(self, f: Bounded) -> FeedForwardNorms[Bounded]:
        slope = self.unit * self.steepest
        F, f_B = slope * self.W_2, f.times(slope * self.W_2)
        FW = F * self.W_1
        before = self._scale(2) * self.inverse_2 if self.block.norm == "pre" else self.unit
        return FeedForwardNorms(
            Y=self.Y,
            S=self.S,
            f=f,
            f_B=f_B,
            F=F,
            FW=FW,
            C=1 + FW * before,
            slope=slope,
            bend=self.bend * self.block.W_2.norm(dim=1).amax() * f.norms,
            W_1=self.W_1,
            below=f_B.times(self.W_1),
            outer=self.unit * torch.inf,
        )

    def attention(self, f: Bounded) -> AttentionNorms[Bounded]:
        block, x, scale, nothing = self.block, self.x, self.block.config.scale, torch.zeros_like(self.unit)
        W_O = self.unit if block.W_O is None else self._norm(block.W_O)
        o = f.times(W_O)
        if block.config.linear:
            root_x, root_K, root_V = x.spectral, self.K.spectral, self.V.spectral
            root_1, bend = self.unit * math.sqrt(self.tokens), nothing
        else:
            root_x = torch.minimum(self.ball.norms, self.ball.spectral / math.sqrt(2))
            root_K, root_V = self.W_K * root_x, self.W_V * root_x
            root_1, bend = nothing, 2 * o.norms * self.W_V * self.ball.norms
        self.o, self.bending, self.roots = o, bend, (root_K, root_V)
        VK, Vx, V1 = scale * root_V * root_K, scale * root_V * root_x, scale * root_V * root_1
        q_x, q_1 = o.times(Vx), o.times(V1)
        norms = [left.spectral * right.spectral for right in (q_x, q_1) for left in (x, self.one)]
        cross = [norm.expand(len(self.real), -1, -1).amax((1, 2)) for norm in norms]
        return AttentionNorms(
            x=x,
            Q=self.Q,
            f=f,
            joined=self.joined,
            W_O=W_O,
            o=o,
            A_x=self.A_x,
            A_1=self.A_1,
            q_K=o.times(VK),
            q_x=q_x,
            q_1=q_1,
            VK=VK,
            Vx=Vx,
            V1=V1,
            root_x=root_x,
            root_K=root_K,
            root_1=root_1,
            bend=bend,
            cross=tuple(cross),
            scale=scale,
            outer=self.unit * torch.inf,
        )

    def input_norm(self) -> InputNormNorms[Bounded]:
        block, o, tokens, scale = self.block, self.o, self.tokens, self.block.config.scale
        root_K, root_V = self.roots
        largest, length = self.unit * math.sqrt(block.width - 1), self.unit * math.sqrt(block.width)
        n = Bounded(largest, tokens)
        root_n = length * (math.sqrt(tokens) if block.config.linear else 1.0)
        to_K, to_V = self.Q.times(self.W_K), o.times(self.W_V)
        # a token is attended to by all: at most so much of every other token's gradient arrives there
        if block.config.linear:
            columns, q = self.A_1.norms, o.norms * self.V.norms
        else:
            columns, q = self.unit, self.bending
        by_values = self.W_V * columns * tokens * o.norms
        by_scores = scale * self.W_Q * root_V * root_K * o.norms + scale * self.W_K * tokens * q * self.Q.norms
        x_f = Bounded((by_values + by_scores).sum(1, keepdim=True), tokens)
        return InputNormNorms(
            every=self.one,
            n=n,
            A_n=Bounded(largest * self.A_1.norms, tokens),
            q_n=o.times(scale * root_V * root_n),
            to_K=to_K,
            to_V=to_V,
            diagonal_K=to_K,
            diagonal_V=to_V,
            root_n=root_n,
            root_KQ=root_K * self.W_Q,
            Vn=scale * root_V * root_n,
            VKQ=scale * root_V * root_K * self.W_Q,
            W_Q=self.W_Q,
            W_K=self.W_K,
            W_V=self.W_V,
            x_f=x_f,
            n_f=x_f.times(largest),
        )

    def losses(self) -> Tensor:
        """At least the loss of each sample."""
        if self.classifier is None:
            error = self.Z.norms + self._rows(self.target).norms
            return (error.square() / self.block.width).expand(len(self.real), 1, 1)[:, 0, 0]
        logits = self._logits()
        if self.entropy:
            return (math.log(self.top.classes) + math.sqrt(2) * logits).expand(len(self.real), 1, 1)[:, 0, 0]
        return ((logits + self._target_norm()).square() / self.top.classes)[:, 0, 0]

    def _logits(self) -> Number:
        logits: Number = self._norm(self.top.W_C) * self.Z.norms + self.top.b_C.norm()
        return logits

    def _target_norm(self) -> Number:
        norms: Number = self.target.norm(dim=-1)[:, None, None]
        return norms

    def _logits_gradient(self) -> Bounded:
        if self.entropy:
            return Bounded(math.sqrt(2) * self.unit, 1)
        return Bounded(2 / self.top.classes * (self._logits() + self._target_norm()), 1)

    def _root(self) -> Number:
        """||M||^(1/2) of the loss's Hessian in the logits."""
        return self.unit * math.sqrt(0.5 if self.entropy else 2 / self.top.classes)

    def _shares(self) -> Number:
        like = self.real[..., None]
        return self.top.shares(like, self.real > 0)[:, None]

    def _inverse(self, deviation: Number) -> Number:
        """1/s of tokens with at least this norm once centred."""
        return (deviation.clamp(min=0).square() / self.block.width + self.block.eps).rsqrt()

    def _normalized(self, number: int) -> Bounded:
        """gamma * n + beta."""
        beta = (self.block.beta_1 if number == 1 else self.block.beta_2).norm()
        return Bounded(self._scale(number) * math.sqrt(self.block.width) + beta, self.tokens)

    def _scale(self, number: int) -> Number:
        """max |gamma|."""
        return self.unit * (self.block.gamma_1 if number == 1 else self.block.gamma_2).abs().amax()

    def _by_head(self, W: Tensor) -> Number:
        """The norm of each head's columns."""
        return torch.linalg.matrix_norm(W.unflatten(-1, (self.block.config.heads, -1)).movedim(1, 0), 2)[None, :, None]  # type: ignore[no-any-return]

    def _bias(self, b: Tensor | None) -> Bounded:
        """A bias by head."""
        norms = torch.zeros_like(self.unit) if b is None else b.view(self.block.config.heads, -1).norm(dim=-1)[None, :, None]
        return Bounded(norms, self.tokens)

    def _shift(self, b: Tensor | None) -> Bounded:
        return Bounded(self.unit * (0.0 if b is None else b.norm()), self.tokens)

    def _norm(self, W: Tensor) -> Number:
        return self.unit * torch.linalg.matrix_norm(W, 2)  # type: ignore[no-any-return]

    def _rows(self, X: Tokens) -> Bounded:
        """The largest token and the norm of all."""
        spectral = torch.linalg.matrix_norm(X, 2)[:, None, None]
        return Bounded(X.norm(dim=-1).amax(1)[:, None, None], X.shape[1], spectral)


def _derivative_bounds(activation: Activation) -> tuple[float, float]:
    if activation.steepest is None or activation.most_bent is None:
        raise InputError(
            "this activation has no a-priori bounds: give closed_form.Activation(value, first, second, steepest, "
            'most_bent) with the largest |first| and |second|, or use kind="data"'
        )
    return activation.steepest, activation.most_bent
