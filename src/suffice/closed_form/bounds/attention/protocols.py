"""The norms of an attention layer that the bounds need, from the data (`known.py`) or a priori (`bounded.py`).

F = concat_h(A_h V_h) W_O + b_O, with A_h = softmax(T_h) or T_h, and T_h = scale Q_h K_h'. For a token t, P = dA_t/dT_t.
P is positive semidefinite, so that ||y' P z|| <= ||y' P y||^(1/2) ||z' P z||^(1/2) for rows y_s and z_s of all tokens.
"""

from typing import Generic, NamedTuple, Protocol

from suffice.closed_form.bounds.blocks import Weight
from suffice.closed_form.bounds.level_bound import Jacobian
from suffice.closed_form.bounds.vectors import Number, PerSample, V, norms_by_head
from suffice.closed_form.layers import Attention


class MetricNorms(NamedTuple):
    """Norms of rows y_s of all tokens, relative to P.

    Attributes:
        with_values: scale ||V' P y||.
        root: ||y' P y||^(1/2).
    """

    with_values: Number
    root: Number


class ScoreFactor(NamedTuple, Generic[V]):
    """Rows y_s of all tokens that are a factor of the scores T_ts: the keys, or the tokens.

    Attributes:
        gradient: scale q y, with q = dl/dT.
        norms: of y, relative to P.
    """

    gradient: V
    norms: MetricNorms


class ScoreWeight(NamedTuple):
    """A weight that moves the scores T of each token, or whose vector moves with them.

    Attributes:
        weight: with its vectors.
        root: ||P^(1/2) dT/dW||, of one vector v.
    """

    weight: Weight
    root: Number


class ProjectionNorms(NamedTuple):
    """||W_Q||, ||W_K|| and ||W_V|| of each head; W_K = I where it is merged with W_Q."""

    query: Number
    key: Number
    value: Number


def projection_norms(layer: Attention) -> ProjectionNorms:
    """The exact norms."""
    heads = layer.config.heads
    key = layer.query.W.new_ones(1, heads, 1) if layer.key is None else norms_by_head(layer.key.W, heads)
    return ProjectionNorms(norms_by_head(layer.query.W, heads), key, norms_by_head(layer.value.W, heads))


class TokenShift(NamedTuple, Generic[V]):
    """How gamma_1 or beta_1, in a normalisation before the attention, moves its tokens x: by dx.

    Attributes:
        x, A_x, q_x: dx, A dx and scale q dx.
        to_K, to_V: dx' W_K Q_t and dx' W_V o_t.
        norms: of dx, relative to P.
    """

    x: V
    A_x: V
    q_x: V
    to_K: V
    to_V: V
    norms: MetricNorms


class InputNorm(NamedTuple, Generic[V]):
    """A normalisation x = gamma_1 * n + beta_1 before the attention.

    Attributes:
        scale, shift: what gamma_1 and beta_1 do to x.
        every: a one for each token, also for those that the loss sees only through others.
        gradient: dl/dx.
        n_gradient: n * dl/dx.
        KW: the norms of K W_Q', by which a moving token moves its own scores.
    """

    scale: TokenShift[V]
    shift: TokenShift[V]
    every: V
    gradient: V
    n_gradient: V
    KW: MetricNorms


class ScoreNorms(Protocol[V]):
    """The backward pass at the scores T, with the gradient o = dl/d(A V)."""

    @property
    def tokens(self) -> ScoreFactor[V]:
        """x, by which W_K moves T."""

    @property
    def ones(self) -> ScoreFactor[V]:
        """A column of ones, by which b_K moves T."""

    @property
    def keys(self) -> ScoreFactor[V]:
        """K, by which W_Q, W_QK and b_Q move T."""

    @property
    def bend(self) -> Number:
        """||sum_s u_s d2A_s/dTdT|| with u = V o, relative to P."""

    @property
    def input_norm(self) -> InputNorm[V] | None:
        """The normalisation before the attention, if there is one."""

    def bilinear(self, query: str, key: str) -> PerSample:
        """The largest norm of a head's sum_ts scale q_ts x_t x_s', between W_Q or b_Q and W_K or b_K."""


class AttentionNorms(Protocol[V]):
    """The forward pass."""

    @property
    def layer(self) -> Attention:
        """The layer."""

    @property
    def projections(self) -> ProjectionNorms:
        """The norms of the maps to queries, keys and values."""

    @property
    def one(self) -> V:
        """A one per token."""

    @property
    def x(self) -> V:
        """The input."""

    @property
    def Q(self) -> V:
        """The queries."""

    @property
    def A_x(self) -> V:
        """A x, by which W_V moves A V."""

    @property
    def A_1(self) -> V:
        """The sums of A's rows, by which b_V moves A V."""

    @property
    def joined(self) -> V:
        """The heads of A V side by side."""

    @property
    def jacobian(self) -> Jacobian | None:
        """dF/d(A V); None without W_O."""

    def backward(self, f: V) -> V:
        """o = dl/d(A V), from f = dl/dF."""

    def scores(self, o: V) -> ScoreNorms[V]:
        """The backward pass at the scores."""
