"""Data-dependent norms: from the samples as they run through the layers, and the gradient as it comes back.

Per token there are products with vectors, and a few small matrices: never one with a side as long as the parameters.
"""

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.family import (
    AttentionNorms,
    FeedForwardNorms,
    HeadNorms,
    InputNormNorms,
    LossNorms,
    NormalizationNorms,
)
from suffice.closed_form.bounds.scores import Metric
from suffice.closed_form.bounds.vectors import Diagonal, Known, Number, spectral_bound
from suffice.closed_form.layers import Block, Classifier, Mask, Tokens, TransformerBlock, normalize
from suffice.closed_form.losses import SampleLoss, loss_derivatives, sample_losses, sum_of_others


class Activations:
    """All norms that a bound asks for, from the samples.

    Args:
        module: an attention layer, a block or a classifier.
        X: the samples.
        targets: one a sample.
        loss: as for `loss_derivatives`.
        mask: which tokens are real.
    """

    def __init__(
        self,
        module: Block | Classifier,
        X: Tokens,
        targets: Tensor,
        loss: str | SampleLoss,
        mask: Mask | None,
    ) -> None:
        self.classifier = module if isinstance(module, Classifier) else None
        # what is asked of a block or a classifier is asked only where there is one
        self.block = block = cast(TransformerBlock, module.block if isinstance(module, Classifier) else module)
        self.top = cast(Classifier, self.classifier)
        self.mask, self.targets, self.loss_function = mask, targets, loss
        self.unit = X.new_ones(1, 1, 1)
        self.x = X
        if isinstance(block, TransformerBlock) and block.norm == "pre":
            self.x = block.norm_1(X)
        self.Q, self.K, self.V = block.attention.queries_keys_values(self.x)
        self.A = block.attention.attend(self.Q, self.K, mask)
        self.joined = block.attention.join(self.A @ self.V)
        Z = block.attention.project(self.joined)
        self.normalized = {1: X}
        if isinstance(block, TransformerBlock):
            R = X + Z
            if block.norm == "post":
                self.Y, self.normalized = block.norm_1(R), {1: R}
            else:
                self.Y = block.norm_2(R) if block.norm == "pre" else R
                self.normalized[2] = R
            self.B = self.Y @ block.W_1 + block.b_1
            self.S = block.activation.value(self.B)
            Z = (self.Y if block.norm == "post" else R) + self.S @ block.W_2 + block.b_2
            if block.norm == "post":
                self.normalized[2], Z = Z, block.norm_2(Z)
        self.Z, self.outputs = Z, Z if self.classifier is None else self.classifier.head(Z, mask)
        self.loss_gradient, self.loss_hessian = loss_derivatives(loss, self.outputs, targets, mask)
        # tokens that the loss does not see, such as padding, move nothing
        seen = X.new_ones(X.shape[:2]) if mask is None or callable(loss) else mask.to(X.dtype)
        if self.classifier is not None:
            seen = (self.classifier.shares(Z, mask) > 0).to(X.dtype)
        self.seen = seen[:, None, :, None]
        self.one = Known(self.seen)
        self.root = _root(loss, self.outputs, self.loss_hessian)
        self.D: Tensor | None = None  # or scalar times the identity
        self.scalar: Tensor = self.unit

    def loss(self) -> LossNorms[Known]:
        gradient, R = self.loss_gradient, self.root
        if self.classifier is not None:
            share = self.classifier.shares(self.Z, self.mask)[..., None]
            W_C = self.classifier.W_C
            self.D = share[..., None] * (R @ W_C.mT)[:, None]
            outer = share[:, None, :, 0] * spectral_bound(R @ W_C.mT, 1)[:, None, None]
            return LossNorms(_known(share * (gradient @ W_C.mT)[:, None]), outer, together=True)
        if R.ndim == 3:
            self.D = R.unflatten(-1, self.Z.shape[1:]).movedim(1, 2)
            return LossNorms(_known(gradient), spectral_bound(self.D, 1)[:, None], together=True)
        if R.ndim == 2:
            self.scalar = R
            return LossNorms(_known(gradient), R[:, None], together=False)
        self.D = R
        return LossNorms(_known(gradient), spectral_bound(R, 1)[:, None], together=False)

    def losses(self) -> Float[Tensor, " samples"]:
        """The loss of each sample."""
        return sample_losses(self.loss_function, self.outputs, self.targets, self.mask)

    def head(self) -> HeadNorms[Known]:
        share, tokens = self.top.shares(self.Z, self.mask), self.Z.shape[1]
        pooled = (share[..., None] * self.Z).sum(1, keepdim=True)
        gradient = self.loss_gradient[:, None]
        return HeadNorms(
            pooled=_known(pooled),
            one=_known(pooled.new_ones(1, 1, 1)),
            gradient=_known(gradient),
            moved=_known(gradient.expand(-1, tokens, -1)),
            share=share[:, None],
            root=spectral_bound(self.root, 1)[:, None, None],
        )

    def _below(self, times_jacobian: Callable[[Tensor], Tensor]) -> Number:
        """At least ||D_t|| of the level below; infinite where the product of norms is as good."""
        if self.D is None:
            d = self.x.shape[-1]
            self.D = times_jacobian(
                self.scalar[..., None, None] * torch.eye(d, dtype=self.x.dtype, device=self.x.device)
            )
            return self.unit * torch.inf
        self.D = times_jacobian(self.D)
        return spectral_bound(self.D)[:, None]

    def normalization(self, number: int, f: Known) -> NormalizationNorms[Known]:
        block, x, g = self.block, self.normalized[number], f.v[:, 0]
        gamma = block.gamma_1 if number == 1 else block.gamma_2
        d = x.shape[-1]
        n = normalize(x, block.eps)
        s = (x.var(-1, correction=0, keepdim=True) + block.eps).sqrt()
        u = gamma * g
        centered = u - u.mean(-1, keepdim=True)
        along = (u * n).sum(-1, keepdim=True)
        inverse = (1 / s[..., 0])[:, None]
        outer = self.unit * torch.inf
        if block.norm == "post":  # otherwise it lies on a branch
            outer = self._below(lambda D: _before_normalization(D, gamma, n, s[..., 0]))
        return NormalizationNorms(
            n=Diagonal(n[:, None] * self.seen),
            f=f,
            n_f=_known(n * g),
            diagonal_f=Diagonal(f.v),
            own=inverse,
            jacobian=gamma.abs().amax() * inverse,
            curvature=normalization_curvature(n, centered, along)[:, None] * inverse.square(),
            below=_known((centered - along * n / d) / s),
            outer=outer,
        )

    def feed_forward(self, f: Known) -> FeedForwardNorms[Known]:
        block, g = self.block, f.v[:, 0]
        W_1, W_2, d = block.W_1, block.W_2, self.x.shape[-1]
        first, second = block.activation.first(self.B), block.activation.second(self.B)
        f_S = g @ W_2.mT
        f_B = first * f_S
        # W_2' diag(sigma') W_1' of every token, as one matrix product for all
        FW = (first @ (W_2[:, :, None] * W_1.mT[:, None]).flatten(1)).unflatten(-1, (d, d))
        slope = first.abs().amax(-1)[:, None]
        C, FW_norm = FW, self.unit * torch.inf
        if block.norm == "pre":
            R, FW_norm = self.normalized[2], spectral_bound(FW)[:, None]
            n, s = normalize(R, block.eps), (R.var(-1, correction=0) + block.eps).sqrt()
            C = _before_normalization(FW, block.gamma_2, n, s)
        C.diagonal(dim1=-2, dim2=-1).add_(1)
        return FeedForwardNorms(
            Y=Known(self.Y[:, None] * self.seen),
            S=Known(self.S[:, None] * self.seen),
            f=f,
            f_B=_known(f_B),
            F=torch.minimum(slope * _norm(W_2), (first * W_2.norm(dim=-1)).norm(dim=-1)[:, None]),
            FW=FW_norm,
            C=spectral_bound(C)[:, None],
            slope=slope,
            bend=(second * f_S).abs().amax(-1)[:, None],
            W_1=_norm(W_1),
            below=_known(f_B @ W_1.mT),
            outer=self._below(lambda D: D @ C),
        )

    def attention(self, f: Known) -> AttentionNorms[Known]:
        block, x, Q, K, V, A = self.block, self.x, self.Q, self.K, self.V, self.A
        W_O = self.x.new_ones(1, 1) if block.W_O is None else block.W_O
        g = f.v[:, 0] if block.W_O is None else f.v[:, 0] @ W_O.mT
        o = block.attention.split(g)
        u = o @ V.mT
        weights = A
        if block.config.linear:
            weights = block.attention.allowed(Q, self.mask).to(A).expand_as(A)
            q, bend = weights * u, torch.zeros_like(A[..., 0])
        else:
            spread = u - (A * u).sum(-1, keepdim=True)
            q = A * spread
            bend = torch.where(A > 0, spread.abs(), 0).amax(-1)
        self.metric, self.q, self.o = Metric(weights, softmax=not block.config.linear), q, o
        each, scale, ones = x[:, None], block.config.scale, torch.ones_like(self.seen)
        nothing = torch.zeros_like(self.unit)
        norm, root = self.metric.norm, self.metric.root
        q_x = scale * (q @ each)

        q_1 = scale * q.sum(-1, keepdim=True)
        cross = [each.mT @ q_x]
        if block.b_Q is not None:
            cross += [q_x.sum(-2, keepdim=True), each.mT @ q_1, q_1.sum(-2, keepdim=True)]
        return AttentionNorms(
            x=Known(each * self.seen),
            Q=Known(Q * self.seen),
            f=f,
            joined=Known(self.joined[:, None] * self.seen),
            W_O=_norm(W_O),
            o=Known(o),
            A_x=Known(A @ each * self.seen),
            A_1=Known(A.sum(-1, keepdim=True) * self.seen),
            q_K=Known(scale * (q @ K)),
            q_x=Known(q_x),
            q_1=Known(q_1),
            VK=scale * norm(V, K),
            Vx=scale * norm(V, each),
            V1=scale * norm(V, ones) if block.config.linear else nothing,
            root_x=root(each),
            root_K=root(K),
            root_1=root(ones) if block.config.linear else nothing,
            bend=bend,
            cross=tuple(spectral_bound(part, 1).amax(1) for part in cross),
            scale=scale,
            outer=self.unit if block.W_O is None else self._below(lambda D: D @ W_O.mT),
        )

    def input_norm(self) -> InputNormNorms[Known]:
        block, X = self.block, self.normalized[1]
        n = normalize(X, block.eps)
        Q, K, q, o, heads = self.Q, self.K, self.q, self.o, block.config.heads
        W_Q, W_V = (block.W_QK if block.config.merged else block.W_Q), block.W_V
        W_Q, W_V = (W.unflatten(-1, (heads, -1)).movedim(1, 0)[None] for W in (W_Q, W_V))
        W_K = torch.eye(X.shape[-1]).to(X).expand(1, 1, -1, -1)
        if not block.config.merged:
            W_K = block.W_K.unflatten(-1, (heads, -1)).movedim(1, 0)[None]
        q_K, q_Q = q @ K, q.mT @ Q
        x_f = block.config.scale * (q_K @ W_Q.mT + q_Q @ W_K.mT) + (self.A.mT @ o) @ W_V.mT
        x_f = x_f.sum(1)
        each = n[:, None]
        to_K, to_V, KQ = Q @ W_K.mT, o @ W_V.mT, K @ W_Q.mT
        return InputNormNorms(
            every=Known(torch.ones_like(X[:, None, :, :1])),
            n=Diagonal(each * self.seen),
            A_n=Diagonal(self.A @ each * self.seen),
            q_n=Diagonal(block.config.scale * (q @ each)),
            to_K=Known(to_K * self.seen),
            to_V=Known(to_V),
            diagonal_K=Diagonal(to_K * self.seen),
            diagonal_V=Diagonal(to_V),
            root_n=self.metric.root(each),
            root_KQ=self.metric.root(KQ),
            Vn=block.config.scale * self.metric.norm(self.V, each),
            VKQ=block.config.scale * self.metric.norm(self.V, KQ),
            W_Q=_norm(W_Q),
            W_K=_norm(W_K),
            W_V=_norm(W_V),
            x_f=_known(x_f),
            n_f=_known(n * x_f),
        )


def normalization_curvature(
    n: Float[Tensor, "*batch width"], centered: Float[Tensor, "*batch width"], along: Float[Tensor, "*batch 1"]
) -> Float[Tensor, "*batch"]:
    """s^2 ||sum_a u_a d2n_a/dxdx|| from n, Pi u and u.n, exactly for d >= 4.

    On the span of n and Pi u the matrix is 2 x 2; orthogonal to both, and to 1, it is -(u.n) / d. For d < 4 there may
    be nothing orthogonal to all three; then it is at least the norm.

    Example:
        >>> from suffice.closed_form import layer_norm_second_derivative
        >>> from suffice.closed_form.layers import normalize
        >>> x, u = torch.randn(2, 5, dtype=torch.float64)
        >>> n = normalize(x, eps=0.1)
        >>> found = normalization_curvature(n, u - u.mean(), (u * n).sum(-1, keepdim=True))
        >>> whole = layer_norm_second_derivative(x, u, eps=0.1) * (x.var(correction=0) + 0.1)
        >>> torch.allclose(found, torch.linalg.matrix_norm(whole, 2))
        True
    """
    d = n.shape[-1]
    size = n.square().sum(-1, keepdim=True)
    across = centered - along / torch.where(size > 0, size, 1) * n
    a = -3 * along[..., 0] * (1 - size[..., 0] / d)
    b = across.norm(dim=-1) * size[..., 0].sqrt()
    c = along[..., 0].abs()
    # eigenvalues of [[a, -b], [-b, -u.n]]
    middle, half = (a - along[..., 0]) / 2, torch.hypot((a + along[..., 0]) / 2, b)
    return torch.maximum(middle.abs() + half, c) / d


def _known(v: Tokens) -> Known:
    return Known(v[:, None])


def _norm(W: Float[Tensor, "*batch rows columns"]) -> Number:
    """||W||_2, exactly, for numbers of samples, heads and tokens."""
    norm = torch.linalg.matrix_norm(W, 2)
    return norm.expand(1, 1)[..., None] if norm.ndim == 0 else norm[..., None]  # type: ignore[no-any-return]


def _before_normalization(
    M: Float[Tensor, "samples tokens rows width"],
    gamma: Float[Tensor, " width"],
    n: Tokens,
    s: Float[Tensor, "samples tokens"],
) -> Float[Tensor, "samples tokens rows width"]:
    """M diag(gamma) (Pi - n n'/d) / s: rows in the output of a normalisation, as they are before it."""
    d = n.shape[-1]
    M = M * (gamma / s[..., None])[..., None, :]
    both = torch.stack([torch.ones_like(n), n], -1)  # what is taken off lies along these two
    flat, both = M.flatten(0, 1), both.flatten(0, 1)
    return flat.baddbmm_(flat @ both, both.mT, alpha=-1 / d).view(M.shape)


def _root(loss: str | SampleLoss, outputs: Tensor, M: Tensor) -> Tensor:
    """R with R'R = |M| for the loss's Hessian M in the outputs; or r of each token with M = r^2 I."""
    if loss == "mse":
        return M.sqrt() if M.ndim == 3 else M[..., 0, 0].sqrt()  # it is diagonal
    if loss == "cross_entropy":
        p = outputs.softmax(-1)
        root = p.sqrt()
        projection = -root[:, :, None] * root[:, None]  # I - root root'
        projection.diagonal(dim1=1, dim2=2).copy_(sum_of_others(p))
        return projection * root[:, None]
    values, vectors = torch.linalg.eigh(M)
    return values.abs().sqrt()[..., None] * vectors.mT  # type: ignore[no-any-return]
