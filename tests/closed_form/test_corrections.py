"""A counterexample for each row of the table of corrections in docs/theory.md, and what is right in its place."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import Case, Normal, outputs
from torch.autograd.functional import jacobian
from torch.func import jacrev
from torch.nn import functional

from suffice.closed_form import (
    SelfAttention,
    TransformerBlock,
    hessian,
    layer_norm_jacobian,
    softmax_jacobian,
    softmax_second_derivative,
)
from suffice.closed_form.layers import normalize
from suffice.closed_form.losses import loss_derivatives

SEEDS = st.integers(0, 2**32)
BLOCK = {"width": 4, "key_width": 2, "hidden_width": 3, "norm": "post", "activation": "tanh"}


def spectral(matrix):
    return float(torch.linalg.matrix_norm(matrix, 2))


# norms of the layers


@given(seed=SEEDS, tokens=st.integers(1, 7), size=st.sampled_from([0.0, 1.0, 30.0]))
def test_the_softmax_jacobian_may_exceed_one_over_the_tokens_but_never_a_half(seed, tokens, size):
    assert spectral(softmax_jacobian((size * Normal(seed)(tokens)).softmax(-1))) <= 0.5 + 1e-15
    if tokens > 1:  # 1/L is the norm where all probabilities are the same
        uniform = softmax_jacobian(torch.full((tokens,), 1 / tokens).double())
        assert spectral(uniform) == pytest.approx(1 / tokens)
    if tokens > 2:
        two = torch.tensor([0.5, 0.5] + [0.0] * (tokens - 2)).double()
        assert spectral(softmax_jacobian(two)) == pytest.approx(0.5)
        assert spectral(softmax_jacobian(two)) > 1 / tokens


@given(seed=SEEDS, tokens=st.integers(1, 8), size=st.sampled_from([0.0, 1.0, 30.0]), causal=st.booleans())
def test_attention_has_a_norm_of_at_most_the_root_of_the_tokens(seed, tokens, size, causal):
    attention, normal = SelfAttention(3, 2, causal=causal).double(), Normal(seed)
    (A,) = attention.attention.attend(size * normal(1, 1, tokens, 2), normal(1, 1, tokens, 2))[0].detach()
    assert spectral(A) <= math.sqrt(tokens) * (1 + 1e-12)
    everyone_to_the_first = torch.zeros(tokens, tokens)
    everyone_to_the_first[:, 0] = 1
    assert spectral(everyone_to_the_first) == pytest.approx(math.sqrt(tokens))


@given(seed=SEEDS, width=st.integers(3, 70), eps=st.sampled_from([0.0, 1e-5, 1.0]))
def test_the_layer_norm_jacobian_does_not_shrink_with_the_width(seed, width, eps):
    """Published for d = 64 and 1/s = 0.96: a bound of 0.135."""
    x = Normal(seed)(width)
    deviation = (x.var(correction=0) + eps).sqrt()
    assert spectral(layer_norm_jacobian(x, eps)) == pytest.approx(float(1 / deviation), rel=1e-12)
    x = Normal(seed)(64)
    x = x / x.std(correction=0) / 0.96
    assert spectral(layer_norm_jacobian(x, 0.0)) == pytest.approx(0.96)
    assert spectral(layer_norm_jacobian(x, 0.0)) > 0.135


@given(seed=SEEDS, sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_the_norm_of_the_matrix_of_block_norms_is_a_bound_and_never_worse_than_the_largest_times_their_number(
    seed, sizes
):
    H = Normal(seed)(sum(sizes), sum(sizes))
    H, m = H + H.mT, len(sizes)
    blocks = torch.tensor([[spectral(block) for block in row.split(sizes, 1)] for row in H.split(sizes, 0)])
    assert spectral(H) <= spectral(blocks) * (1 + 1e-6)
    assert spectral(blocks) <= m * float(blocks.max()) * (1 + 1e-6)
    assert m * float(blocks.max()) <= m**2 * float(blocks.max())


# the functional part


def test_the_mixed_derivative_of_the_feed_forward_weights_is_not_zero_where_w_2_is_zero():
    case = Case(BLOCK, "mse", samples=1)
    block, (X,), (target,) = case.module, case.inputs, case.targets
    with torch.no_grad():
        block.W_2.zero_()
        Y = block.norm_1(X + block.attention(X[None]))[0]
        R_2 = Y + block.b_2
        N_2 = block.gamma_2[:, None] * layer_norm_jacobian(R_2, block.eps)
        r = torch.einsum("tba,tb->ta", N_2, 2 * (block(X[None])[0] - target) / X.numel())
        slope = block.activation.first(Y @ block.W_1 + block.b_1)
        expected = torch.einsum("ta,te,tc,ef->aefc", Y, slope, r, torch.eye(3).double())
    H = case.hessian()["W_1", "W_2"]
    assert float(H.norm()) > 0.01
    torch.testing.assert_close(H, expected.flatten(2).flatten(0, 1), rtol=1e-10, atol=1e-14)


def test_values_have_a_functional_part_with_queries_and_keys_though_they_do_not_act_through_the_scores():
    case = Case({"width": 3, "key_width": 2}, "mse", samples=1, tokens=4)
    attention, (X,), (target,) = case.module, case.inputs, case.targets
    Q, K, V = X @ attention.W_Q.detach(), X @ attention.W_K.detach(), X @ attention.W_V.detach()
    A = (Q @ K.mT * attention.config.scale).softmax(-1)
    f = 2 * (A @ V - target) / X.numel()
    expected = torch.einsum(
        "tc,sa,tsu,tb,uk->acbk", f, X, softmax_jacobian(A), X, attention.config.scale * K
    )  # the bilinear term of W_V and the scores
    H = case.hessian(part="functional")
    assert float(H["W_V", "W_Q"].norm()) > 0.01
    assert float(H["W_V", "W_K"].norm()) > 0.01
    torch.testing.assert_close(H["W_V", "W_Q"], expected.flatten(2).flatten(0, 1), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["W_2", "W_V"])
def test_a_weight_that_enters_linearly_has_a_functional_part_behind_a_normalisation(name):
    norms = {
        norm: float(Case(BLOCK | {"norm": norm}, "mse").hessian(part="functional")[name, name].norm())
        for norm in ("post", "none")
    }
    assert norms["post"] > 0.01
    if name == "W_2":
        assert norms["none"] < 1e-15


def query_key_term(attention, X, target, scale_of_curvature, scale_of_product, values):
    """H_f(W_Q, W_K) by its published form, with the scales and the values that one puts in."""
    Q, K, V = X @ attention.W_Q.detach(), X @ attention.W_K.detach(), X @ attention.W_V.detach()
    A = (Q @ K.mT * attention.config.scale).softmax(-1)
    g = 2 * (A @ V - target) / X.numel()
    curvature = softmax_second_derivative(A, g @ V.mT)
    q = torch.einsum("tsu,tu->ts", softmax_jacobian(A), g @ V.mT if values else g)
    same_column = torch.eye(Q.shape[1]).double()
    total = scale_of_curvature * torch.einsum("ta,sk,tsu,ub,tc->akbc", X, K, curvature, X, Q)
    total = total + scale_of_product * torch.einsum("ts,ta,sb,kc->akbc", q, X, X, same_column)
    return total.flatten(2).flatten(0, 1)


def test_the_query_key_term_has_the_values_one_identity_and_a_scale_of_its_own_in_each_part():
    case = Case({"width": 4, "key_width": 3}, "mse", samples=1, tokens=4)  # L = d, or its shapes do not fit
    (X,), (target,), d_K = case.inputs, case.targets, 3
    H = case.hessian(part="functional")["W_Q", "W_K"]

    def distance(*arguments):
        return float((query_key_term(case.module, X, target, *arguments) - H).norm() / H.norm())

    assert distance(1 / d_K, 1 / math.sqrt(d_K), True) < 1e-12
    assert distance(1 / d_K, 1 / math.sqrt(d_K), False) > 0.1  # as published, without X W_V
    assert distance(1 / d_K, 1 / d_K, True) > 0.1  # one scale for both
    assert distance(1 / math.sqrt(d_K), 1 / math.sqrt(d_K), True) > 0.01
    assert torch.kron(X, X).numel() < X.shape[0] ** 2 * H.numel()  # X (x) X alone has no room for the columns


# the layers


def test_layer_norm_divides_by_the_root_of_the_variance():
    x = 3 * Normal(0)(5, 7) + 1
    variance = x.var(-1, correction=0, keepdim=True)
    published = (x - x.mean(-1, keepdim=True)) / variance
    right = functional.layer_norm(x, (7,), eps=0.0)
    assert float((published - right).norm() / right.norm()) > 0.5
    torch.testing.assert_close(normalize(x, 0.0), right, rtol=1e-12, atol=1e-12)
    derivative = jacobian(lambda x: functional.layer_norm(x, (7,), eps=0.0), x[0])
    torch.testing.assert_close(layer_norm_jacobian(x[0], 0.0), derivative, rtol=1e-10, atol=1e-12)
    assert float((derivative - jacobian(lambda x: (x - x.mean()) / x.var(correction=0), x[0])).norm()) > 0.1


@pytest.mark.parametrize("name", ["W_1", "b_1", "W_2", "b_2"])
def test_the_block_has_a_direct_derivative_in_the_feed_forward_weights(name):
    """The published one goes through dY/dw alone, and Y does not depend on them."""
    case = Case(BLOCK, "mse", samples=1)
    block = case.module
    J = jacrev(lambda weights: outputs(case, weights))(case.weights)[0][..., case.places[name]].detach()
    with torch.no_grad():
        Y = block.norm_1(case.inputs + block.attention(case.inputs))[0]
        B = Y @ block.W_1 + block.b_1
        S = block.activation.value(B)
        N_2 = block.gamma_2[:, None] * layer_norm_jacobian(Y + S @ block.W_2 + block.b_2, block.eps)
        F = block.W_2.mT * block.activation.first(B)[:, None]
    one = torch.ones(len(Y), 1).double()
    v, G = {"W_1": (Y, N_2 @ F), "b_1": (one, N_2 @ F), "W_2": (S, N_2), "b_2": (one, N_2)}[name]
    published = torch.zeros_like(J)  # dY/dw = 0
    assert float((J - published).norm()) > 0.1
    torch.testing.assert_close(J, torch.einsum("ta,tzb->tzab", v, G).flatten(2), rtol=1e-10, atol=1e-12)


def test_published_shapes_of_the_feed_forward_weights_do_not_fit_their_formula():
    width, hidden_width = 4, 3
    block, Y = TransformerBlock(width, 2, hidden_width), torch.zeros(5, width)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Y @ torch.zeros(hidden_width, width)
    assert (block.W_1.shape, block.W_2.shape) == ((width, hidden_width), (hidden_width, width))
    assert (Y @ block.W_1 @ block.W_2).shape == Y.shape


# one more sample


def quadratics(seed, samples=4, gradients=0.0):
    """Losses, gradients and Hessians at w*, and a step away from it."""
    normal = Normal(seed)
    h = normal(samples, 3, 3)
    return normal(samples), gradients * normal(samples, 3), h + h.mT, normal(3)


def change(values, k):
    """What sample k + 1 changes in a mean."""
    return values[: k + 1].mean(0) - values[:k].mean(0)


@given(seed=SEEDS, k=st.integers(1, 3))
def test_in_neither_reading_of_h_k_plus_1_are_both_the_published_difference_and_its_bound_right(seed, k):
    """Once H_{k+1} is the Hessian of one sample, once the mean of k + 1 of them; w* is stationary for each sample."""
    losses, _, h, delta = quadratics(seed)
    true = change(losses + (h @ delta) @ delta / 2, k)
    of_losses = (losses[k] - losses[:k].mean()) / (k + 1)
    single, mean = h[k] - h[:k].mean(0), change(h, k)

    def published(D):
        return of_losses + delta @ D @ delta / 2

    def bound(D):
        return of_losses.abs() + delta.square().sum() / (2 * (k + 1)) * spectral(D)

    torch.testing.assert_close(true, of_losses + delta @ single @ delta / (2 * (k + 1)))
    assert abs(published(single) - true) == pytest.approx(abs(delta @ single @ delta) / 2 * k / (k + 1))
    assert abs(true) <= bound(single) * (1 + 1e-12)
    torch.testing.assert_close(published(mean), true)
    same, along = torch.zeros(4).double(), torch.tensor([1.0, 0.0, 0.0]).double()
    h = torch.zeros(4, 3, 3).double()
    h[k, 0, 0] = 1
    moved, D = change(same + (h @ along) @ along / 2, k), change(h, k)
    assert abs(moved) > along.square().sum() / (2 * (k + 1)) * spectral(D) * (1 + 1e-12)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@given(size=st.floats(1, 1e6))
def test_losses_take_unlimited_values(loss, size):
    logits = torch.tensor([[0.0, size]]).double()
    targets = torch.tensor([0]) if loss == "cross_entropy" else torch.zeros(1, 2).double()
    value = (logits.logsumexp(1) - logits[:, 0])[0] if loss == "cross_entropy" else logits.square().mean()
    assert float(value) >= size / 2
    if loss == "cross_entropy":  # its derivatives in the logits are limited
        gradient, second = loss_derivatives(loss, logits, targets)
        assert float(gradient.norm()) <= math.sqrt(2) + 1e-12
        assert spectral(second[0]) <= 0.5 + 1e-12


def test_one_point_is_a_minimum_for_all_sizes_only_where_it_is_one_for_every_sample():
    """Means of a scalar: l_i = (w - x_i)^2, so that the minimum of L_k is the mean of the first k."""
    x = torch.tensor([0.0, 1.0, 5.0, 4.0]).double()
    minima = x.cumsum(0) / torch.arange(1, 5)
    assert len(set(minima.tolist())) == 4
    gradients = 2 * (minima[3] - x)  # at the minimum for all four
    for k in (1, 2, 3):
        before, after = gradients[:k].mean(), gradients[: k + 1].mean()
        torch.testing.assert_close(gradients[k], (k + 1) * after - k * before)  # 0 where both are
    assert float(gradients.mean().abs()) < 1e-15
    assert float(gradients[0].abs()) > 1


@given(seed=SEEDS, k=st.integers(1, 3))
def test_the_bound_needs_its_gradient_term(seed, k):
    losses, g, h, delta = quadratics(seed, gradients=1.0)
    true = abs(change(losses + g @ delta + (h @ delta) @ delta / 2, k))
    parts = [losses[k] - losses[:k].mean(), g[k] - g[:k].mean(0), h[k] - h[:k].mean(0)]
    rho, sizes = float(delta.norm()), [float(abs(parts[0])), float(parts[1].norm()), spectral(parts[2])]
    assert true <= (sizes[0] + rho * sizes[1] + rho**2 / 2 * sizes[2]) / (k + 1) * (1 + 1e-12)
    downhill = 1e-3 * parts[1] / sizes[1] * torch.sign(parts[0])
    near = abs(change(losses + g @ downhill + (h @ downhill) @ downhill / 2, k))
    if sizes[1] > 1e-2 * sizes[2]:
        assert near > (sizes[0] + 1e-6 / 2 * sizes[2]) / (k + 1)


def test_the_spectral_norm_of_a_difference_of_hessians_is_not_its_largest_eigenvalue():
    hessians = Case(BLOCK, "mse").hessian(reduction="none").dense()
    for D in (hessians[1] - hessians[0], hessians[0] - hessians[1]):
        low, high = torch.linalg.eigvalsh(D)[[0, -1]].tolist()
        assert low < 0 < high
        assert spectral(D) == pytest.approx(max(-low, high))
    largest = [float(torch.linalg.eigvalsh(sign * (hessians[1] - hessians[0]))[-1]) for sign in (1, -1)]
    assert min(largest) < 0.99 * spectral(hessians[1] - hessians[0])


def test_the_difference_need_not_fall_as_samples_come_but_its_root_mean_square_over_orders_does():
    losses = torch.tensor([0.0, 0.0, 3.0]).double()
    assert [float(abs(change(losses, k))) for k in (1, 2)] == [0.0, 1.0]
    typical = [
        math.sqrt(np.mean([float(change(losses[list(order)], k)) ** 2 for order in itertools.permutations(range(3))]))
        for k in (1, 2)
    ]
    assert typical == pytest.approx([float(losses.std()) / math.sqrt(k * (k + 1)) for k in (1, 2)])
    assert typical[0] > typical[1]


def test_smoothing_hides_how_fast_a_difference_falls():
    true = 1 / np.arange(1, 501)
    smooth = [true[0]]
    for value in true[1:]:
        smooth.append(0.99 * smooth[-1] + 0.01 * value)
    assert smooth[99] / true[99] == pytest.approx(39, abs=1)
    assert smooth[499] / true[499] == pytest.approx(5, abs=0.5)
    slope = np.polyfit(np.log(np.arange(50, 101)), np.log(smooth[49:100]), 1)[0]
    assert abs(slope + 1) > 0.2


def test_hessians_of_single_samples_average_to_that_of_all():
    """What stands in the bracket of the corrected difference: the Hessian of sample k + 1 alone."""
    case = Case(BLOCK, "mse", samples=3)
    h = case.hessian(reduction="none").dense()
    H = [hessian(case.module, case.inputs[:k], case.targets[:k]).dense() for k in (1, 2, 3)]
    for k in (1, 2):
        torch.testing.assert_close(H[k] - H[k - 1], (h[k] - h[:k].mean(0)) / (k + 1), rtol=1e-9, atol=1e-13)
