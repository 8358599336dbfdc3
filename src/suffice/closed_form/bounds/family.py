"""What bounds ask of every layer: a few norms, and vectors by what `Vectors` knows of them."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from suffice.closed_form.bounds.vectors import Number, PerSample, Vectors

V = TypeVar("V", bound=Vectors)


@dataclass(frozen=True, eq=False)
class LossNorms(Generic[V]):
    """A loss in the outputs Z of a block, of all tokens apart or together.

    Attributes:
        gradient: dl/dZ.
        outer: ||D_t||, where d2l/dZdZ = D'D, but for signs.
        together: whether all tokens share the rows of D.
    """

    gradient: V
    outer: Number
    together: bool


@dataclass(frozen=True, eq=False)
class HeadNorms(Generic[V]):
    """Logits z = pool(Z) W_C + b_C.

    Attributes:
        pooled, one, gradient: the pooled token, a one, and dl/dz: a single vector each.
        moved: dl/dz for every token.
        share: of each token in the pooled one.
        root: ||M||^(1/2), M the loss's Hessian in the logits.
    """

    pooled: V
    one: V
    gradient: V
    moved: V
    share: Number
    root: Number


@dataclass(frozen=True, eq=False)
class NormalizationNorms(Generic[V]):
    """u = gamma * n(x) + beta, with f = dl/du.

    Attributes:
        n: the normalised tokens, each as a diagonal.
        f, n_f: dl/du, and n * f.
        diagonal_f: dl/du, each as a diagonal.
        own: ||dn/dx||.
        jacobian: ||du/dx||.
        curvature: ||sum_a f_a d2u_a/dxdx||.
        below: dl/dx by this way.
        outer: ||D_t|| in x.
    """

    n: V
    f: V
    n_f: V
    diagonal_f: V
    own: Number
    jacobian: Number
    curvature: Number
    below: V
    outer: Number


@dataclass(frozen=True, eq=False)
class FeedForwardNorms(Generic[V]):
    """u = sigma(B) W_2 + b_2 with B = Y W_1 + b_1, and f = dl/du.

    Attributes:
        Y, S: the input, and sigma(B).
        f, f_B: dl/du and dl/dB.
        F, FW: ||du/dB|| and ||du/dY||.
        C: ||I + (du/dY) N||, where a normalisation before the network has the Jacobian N, or N = I.
        slope, bend: the largest |sigma'(B)|, and |sigma''(B) * dl/dsigma(B)|.
        W_1: ||W_1||.
        below: dl/dY by this way.
        outer: ||D_t|| in the input of the residual connection.
    """

    Y: V
    S: V
    f: V
    f_B: V
    F: Number
    FW: Number
    C: Number
    slope: Number
    bend: Number
    W_1: Number
    below: V
    outer: Number


@dataclass(frozen=True, eq=False)
class InputNormNorms(Generic[V]):
    """x = gamma_1 * n + beta_1 before the attention; P as in `AttentionNorms`.

    Attributes:
        every: a one for each token, also for those that the loss sees through others alone.
        n, A_n, q_n: the normalised tokens, A n, and scale q n, each as a diagonal.
        to_K, to_V: W_K Q_t and W_V o_t.
        diagonal_K, diagonal_V: the same, each as a diagonal.
        root_n, root_KQ: ||n' P n||^(1/2), and that of K W_Q'.
        Vn, VKQ: scale ||V' P n||, and that of K W_Q'.
        W_Q, W_K, W_V: the norms of each head's part.
        x_f, n_f: dl/dx, and n * dl/dx.
    """

    every: V
    n: V
    A_n: V
    q_n: V
    to_K: V
    to_V: V
    diagonal_K: V
    diagonal_V: V
    root_n: Number
    root_KQ: Number
    Vn: Number
    VKQ: Number
    W_Q: Number
    W_K: Number
    W_V: Number
    x_f: V
    n_f: V


@dataclass(frozen=True, eq=False)
class AttentionNorms(Generic[V]):
    """F = concat_h(A_h V_h) W_O + b_O, with A_h = softmax(T_h) or T_h, T_h = scale Q_h K_h'; P = dA_t/dT_t of token t.

    P is positive semidefinite, so that ||y' P z|| <= ||y' P y||^(1/2) ||z' P z||^(1/2).

    Attributes:
        x, Q: the input, and the queries.
        f, joined, W_O: dl/dF, the heads side by side, and ||W_O||, where there is a W_O.
        o: dl/d(A V).
        A_x, A_1: A x, and the sums of A's rows.
        q_K, q_x, q_1: scale q K, scale q x and scale q 1, with q = dl/dT.
        VK, Vx, V1: scale ||V' P K||, scale ||V' P x||, scale ||V' P 1||.
        root_x, root_K, root_1: ||x' P x||^(1/2) and so on.
        bend: ||sum_s o_s d2A_s/dTdT||, o = V dl/d(A V), relative to P.
        cross: the norm of scale x' q x, the largest of the heads; with biases, those of 1' q x, x' q 1 and 1' q 1 too.
        scale: 1 / sqrt(d_h).
        outer: ||D_t|| in A V.
    """

    x: V
    Q: V
    f: V
    joined: V
    W_O: Number
    o: V
    A_x: V
    A_1: V
    q_K: V
    q_x: V
    q_1: V
    VK: Number
    Vx: Number
    V1: Number
    root_x: Number
    root_K: Number
    root_1: Number
    bend: Number
    cross: tuple[PerSample, ...]
    scale: float
    outer: Number


class Family(Protocol[V]):
    """Where the norms come from. Each is asked for from the outputs down, with the gradient that arrives there."""

    @property
    def one(self) -> V:
        """A one for each token that the loss sees."""

    @property
    def unit(self) -> Number:
        """The number 1."""

    def loss(self) -> LossNorms[V]:
        """Of the loss in the block's outputs."""

    def head(self) -> HeadNorms[V]:
        """Of a classifier."""

    def normalization(self, number: int, f: V) -> NormalizationNorms[V]:
        """Of the first or second normalisation, with the gradient in its output."""

    def feed_forward(self, f: V) -> FeedForwardNorms[V]:
        """Of the feed-forward network, with the gradient in its output."""

    def attention(self, f: V) -> AttentionNorms[V]:
        """Of the attention, with the gradient in its output."""

    def input_norm(self) -> InputNormNorms[V]:
        """Of gamma_1 and beta_1 before the attention, after `attention`."""

    def losses(self) -> PerSample:
        """At least the loss of each sample."""
