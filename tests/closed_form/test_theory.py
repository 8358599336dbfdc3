"""The formulas that docs/theory.md displays, each as it stands there, against what the software computes."""

import itertools
import math
from functools import cached_property

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import Case, Normal, error
from torch.func import grad

from suffice.closed_form import (
    hessian,
    layer_norm_jacobian,
    layer_norm_second_derivative,
    softmax_jacobian,
    softmax_second_derivative,
)

SEEDS = st.integers(0, 2**32)
BLOCK = {"width": 4, "key_width": 3, "hidden_width": 5, "norm": "post", "eps": 0.1}

# 2. lemmas


def centered(x):
    return x - x.mean(-1, keepdim=True)


def second_derivative_of_layer_norm(normal, share, width):
    """(10) and its bound; Pi u has this share of itself along n."""
    x, u = normal(width), normal(width)
    n = centered(x) / centered(x).norm()
    beside = centered(u) - (centered(u) @ n) * n
    return x, share * n + (1 - share**2) ** 0.5 * beside / beside.norm() + float(normal(1)), n


@given(seed=SEEDS, width=st.integers(3, 7), eps=st.sampled_from([0.0, 0.1, 3.0]), share=st.floats(-1, 1))
def test_the_second_derivative_of_layer_norm_is_within_its_bound(seed, width, eps, share):
    x, u, _ = second_derivative_of_layer_norm(Normal(seed), share, width)
    bound = 2 / math.sqrt(3 * width) * centered(u).norm() / (x.var(correction=0) + eps)
    assert torch.linalg.matrix_norm(layer_norm_second_derivative(x, u, eps), 2) <= bound * (1 + 1e-12)


@given(seed=SEEDS, width=st.integers(3, 7), of_variance=st.floats(0, 2))
def test_the_bound_of_the_second_derivative_of_layer_norm_is_reached(seed, width, of_variance):
    x, _, _ = second_derivative_of_layer_norm(Normal(seed), 0.0, width)
    variance = float(x.var(correction=0))
    eps = of_variance * variance
    share = math.sqrt((variance + eps) / variance / 3)
    x, u, _ = second_derivative_of_layer_norm(Normal(seed), min(share, 1.0), width)
    bound = 2 / math.sqrt(3 * width) / (variance + eps)
    found = float(torch.linalg.matrix_norm(layer_norm_second_derivative(x, u, eps), 2))
    assert found == pytest.approx(bound, rel=1e-9)


@given(seed=SEEDS, width=st.integers(2, 7), eps=st.sampled_from([0.0, 1e-5, 1.0]))
def test_along_the_token_itself_layer_norm_has_the_derivative_eps_over_the_cube_of_the_deviation(seed, width, eps):
    x = Normal(seed)(width)
    n, s = centered(x), (x.var(correction=0) + eps).sqrt()
    N = layer_norm_jacobian(x, eps)
    torch.testing.assert_close(N @ n, eps / s**3 * n, rtol=1e-9, atol=1e-12 / float(s))
    if width == 2:
        assert float(torch.linalg.matrix_norm(N, 2)) == pytest.approx(float(eps / s**3), abs=1e-12 / float(s))


@given(seed=SEEDS, width=st.integers(1, 7), size=st.sampled_from([0.01, 1.0, 30.0]))
def test_the_second_derivative_of_softmax_is_at_most_half_the_largest_distance_from_the_mean(seed, width, size):
    normal = Normal(seed)
    a, u = (size * normal(width)).softmax(-1), normal(width)
    norm = float(torch.linalg.matrix_norm(softmax_second_derivative(a, u), 2))
    assert norm <= 0.5 * float((u - a @ u).abs().max()) * (1 + 1e-12)
    assert norm <= float(u.norm()) / math.sqrt(2) * (1 + 1e-12)


# 3. Theorem 1


class Theorem1:
    """Table and formula of Theorem 1 for one sample, token by token, with nothing done cleverly."""

    LEVELS = ("Z", "R_2", "B", "Y", "R_1", "T")

    def __init__(self, block, X, target):
        weights = {name: weight.detach() for name, weight in block.named_parameters()}
        self.weights, self.X = weights, X
        (self.L, self.d), scale = X.shape, block.config.scale
        w = weights
        Q, keys, V = X @ w["W_Q"], X @ w["W_K"], X @ w["W_V"]
        A = (scale * Q @ keys.mT).softmax(-1)
        R_1 = X + A @ V
        self.N_1, self.N_2 = layer_norm_jacobian(R_1, block.eps), None
        n_1 = centered(R_1) / (R_1.var(-1, correction=0, keepdim=True) + block.eps).sqrt()
        Y = w["gamma_1"] * n_1 + w["beta_1"]
        B = Y @ w["W_1"] + w["b_1"]
        R_2 = Y + block.activation.value(B) @ w["W_2"] + w["b_2"]
        n_2 = centered(R_2) / (R_2.var(-1, correction=0, keepdim=True) + block.eps).sqrt()
        self.N_2 = layer_norm_jacobian(R_2, block.eps)
        Z = w["gamma_2"] * n_2 + w["beta_2"]

        self.slope = block.activation.first(B)
        F = w["W_2"].mT * self.slope[:, None]
        self.P = softmax_jacobian(A)
        self.down = {
            "R_2": w["gamma_2"][:, None] * self.N_2,
            "B": F,
            "Y": torch.eye(self.d).double() + F @ w["W_1"].mT,
            "R_1": w["gamma_1"][:, None] * self.N_1,
            "T": V.mT @ self.P,
        }

        def pull(level, gradient):
            return (self.down[level].mT @ gradient[..., None])[..., 0]

        self.g = 2 * (Z - target) / Z.numel()
        self.r = pull("R_2", self.g)
        self.e = pull("Y", self.r)
        self.f = pull("R_1", self.e)
        self.q = pull("T", self.f)
        self.back = self.r @ w["W_2"].mT
        self.middle = {
            "Z": (2 / Z.numel() * torch.eye(self.d).double()).expand(self.L, -1, -1),
            "R_2": layer_norm_second_derivative(R_2, w["gamma_2"] * self.g, block.eps),
            "B": torch.diag_embed(block.activation.second(B) * self.back),
            "R_1": layer_norm_second_derivative(R_1, w["gamma_1"] * self.e, block.eps),
            "T": softmax_second_derivative(A, self.f @ V.mT),
        }

        one = torch.ones(self.L, 1).double()
        unit = {size: torch.eye(size).double().expand(self.L, -1, -1) for size in (self.d, B.shape[1])}
        self.scale = scale
        self.table = {
            "W_Q": ("T", X, (scale * keys).expand(self.L, -1, -1)),
            "W_K": ("T", Q, (scale * X).expand(self.L, -1, -1)),  # transposed
            "W_V": ("R_1", A @ X, unit[self.d]),
            "gamma_1": ("Y", one, torch.diag_embed(n_1)),
            "beta_1": ("Y", one, unit[self.d]),
            "W_1": ("B", Y, unit[B.shape[1]]),
            "b_1": ("B", one, unit[B.shape[1]]),
            "W_2": ("R_2", block.activation.value(B), unit[self.d]),
            "b_2": ("R_2", one, unit[self.d]),
            "gamma_2": ("Z", one, torch.diag_embed(n_2)),
            "beta_2": ("Z", one, unit[self.d]),
        }

    @cached_property
    def jacobians(self):
        """Of every level in every weight that moves it, (tokens, level, weights)."""
        jacobians = {level: {} for level in self.LEVELS}
        for name, (level, v, G) in self.table.items():
            J = torch.einsum("ta,tub->tuba" if name == "W_K" else "ta,tub->tuab", v, G).flatten(2)
            jacobians[level][name] = J
            for above, below in (("R_1", "T"), ("Y", "R_1"), ("B", "Y"), ("R_2", "Y"), ("R_2", "B"), ("Z", "R_2")):
                into = self.weights["W_1"].mT if (above, below) == ("B", "Y") else self.down[below]
                if name in jacobians[below] and name not in jacobians[above]:
                    jacobians[above][name] = into @ jacobians[below][name]
        return jacobians

    def blocks(self, part):
        names = list(self.table)
        size = {name: self.weights[name].numel() for name in names}
        H = {(one, other): torch.zeros(size[one], size[other]).double() for one in names for other in names}
        for level, D in self.middle.items():
            if part in ("full", "outer" if level == "Z" else "functional"):
                for one, other in itertools.product(self.jacobians[level], repeat=2):
                    H[one, other] += (self.jacobians[level][one].mT @ D @ self.jacobians[level][other]).sum(0)
        if part != "outer":
            for (one, other), cross in self.bilinear():
                H[one, other] += cross
                H[other, one] += cross.mT
        return H

    def bilinear(self):
        J = self.jacobians
        for name in J["R_2"]:
            yield ("gamma_2", name), (self.g[..., None] * self.N_2 @ J["R_2"][name]).sum(0)
        for name in J["B"]:
            yield ("W_2", name), torch.einsum("tc,te,tep->ecp", self.r, self.slope, J["B"][name]).flatten(0, 1)
        for name in J["Y"]:
            yield ("W_1", name), torch.einsum("te,tap->aep", self.slope * self.back, J["Y"][name]).flatten(0, 1)
        for name in J["R_1"]:
            yield ("gamma_1", name), (self.e[..., None] * self.N_1 @ J["R_1"][name]).sum(0)
        for name in J["T"]:
            moved = self.X.mT @ self.P @ J["T"][name]
            yield ("W_V", name), torch.einsum("tc,tap->acp", self.f, moved).flatten(0, 1)
        columns = torch.eye(self.weights["W_Q"].shape[1]).double()
        both = torch.einsum("ts,ta,sb,cd->acbd", self.q, self.X, self.X, columns)
        yield ("W_Q", "W_K"), self.scale * both.flatten(2).flatten(0, 1)


@pytest.mark.parametrize(
    ("part", "activation"), [("full", "gelu"), ("full", "tanh"), ("outer", "gelu"), ("functional", "gelu")]
)
def test_theorem_1_as_it_is_displayed_is_the_hessian_of_the_block(part, activation):
    case = Case(BLOCK | {"activation": activation}, "mse", tokens=3)
    H = case.hessian(part=part).dense()
    if part == "full":
        assert error(H, oracles.automatic(case)) < 1e-12
    each = [Theorem1(case.module, X, Y).blocks(part) for X, Y in zip(case.inputs, case.targets, strict=True)]
    for (one, other), block in each[0].items():
        found = (block + each[1][one, other]) / 2
        assert float((found - H[case.places[one], case.places[other]]).norm()) < 1e-13 * float(H.norm())


def test_each_pair_of_weights_has_the_functional_part_that_theorem_1_says():
    """Without LN_2 above, only what the theorem lists is left."""
    case = Case(BLOCK | {"norm": "none", "activation": "relu"}, "mse")
    norms = case.hessian(part="functional").block_norms("frobenius")
    attention = {"W_Q", "W_K", "W_V"}
    empty = {("W_2", "W_2"), ("b_2", "b_2"), ("W_2", "b_2"), ("W_1", "W_1"), ("W_1", "b_1"), ("b_1", "b_1")}
    empty |= {(one, "b_2") for one in (*attention, "W_1", "b_1")} | {("W_V", "W_V"), ("W_V", "b_1")}
    for pair in empty:
        assert norms[pair] < 1e-14
    for pair in [("W_1", "W_2"), ("b_1", "W_2"), ("W_V", "W_1"), ("W_V", "W_2"), ("W_V", "W_Q"), ("W_Q", "W_K")]:
        assert norms[pair] > 1e-4


# 4. one more sample


class Surface:
    """Losses of 4 samples around w*: a real block, moved by delta."""

    def __init__(self, seed, radius=0.1, drawn=None):
        self.case = Case((drawn or BLOCK) | {"activation": "tanh"}, "mse", samples=4, tokens=2, seed=seed)
        delta = Normal(seed + 1)(len(self.case.weights))
        self.delta = radius * delta / delta.norm()
        self.radius, self.weights = radius, self.case.weights
        self.each = [self.case.only(i) for i in range(4)]
        assert all(len(one.weights) for one in self.each)  # made before anything differentiates

    def losses(self, weights):
        return torch.stack([oracles.mean_loss(one, weights) for one in self.each]).detach()

    @cached_property
    def gradients(self):
        return torch.stack([grad(lambda w, one=one: oracles.mean_loss(one, w))(self.weights) for one in self.each])

    def hessians(self, at=0.0):
        """At w* + at * delta."""
        moved = Case(self.case.drawn, "mse", samples=4, tokens=2, seed=self.case.seed)
        torch.nn.utils.vector_to_parameters(self.weights + at * self.delta, moved.module.parameters())
        return moved.hessian(reduction="none").dense()

    @cached_property
    def averaged_hessians(self):
        """2 int_0^1 (1 - t) h_i(w* + t delta) dt, by Gauss and Legendre."""
        nodes, weights = np.polynomial.legendre.leggauss(8)
        return sum(
            float(weight * (1 - t)) * self.hessians(at=float(t))
            for t, weight in zip((1 + nodes) / 2, weights, strict=True)
        )


def step(values, k, order=range(4)):
    """x_{k+1} less the mean of the first k."""
    ordered = values[list(order)]
    return ordered[k] - ordered[:k].mean(0)


def over_orders(values, function):
    return sum(function(order) for order in itertools.permutations(range(len(values)))) / math.factorial(len(values))


def spread(values):
    """Sum of squares around the mean, as products of matrices, over m - 1."""
    around = values - values.mean(0)
    return (around @ around).sum(0) / (len(values) - 1)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_one_more_sample_moves_losses_gradients_and_hessians_by_its_distance_from_the_mean(k):
    surface = Surface(0)
    first, more = surface.case.only(*range(k)), surface.case.only(*range(k + 1))
    assert torch.equal(first.weights, more.weights)
    for of, values in [
        (lambda case: oracles.mean_loss(case, surface.weights).detach(), surface.losses(surface.weights)),
        (lambda case: grad(lambda w: oracles.mean_loss(case, w))(surface.weights), surface.gradients),
        (lambda case: case.hessian().dense(), surface.hessians()),
    ]:
        torch.testing.assert_close(of(more) - of(first), step(values, k) / (k + 1), rtol=1e-9, atol=1e-13)


@given(seed=SEEDS, k=st.integers(1, 3))
def test_squares_of_steps_have_the_expectations_of_3_and_4_also_for_vectors_and_matrices(seed, k):
    normal = Normal(seed)
    losses, g = normal(4), normal(4, 3)
    h = normal(4, 3, 3)
    h = h + h.mT
    S_l, S_g = losses.var() ** 0.5, (g - g.mean(0)).square().sum() ** 0.5 / 3**0.5
    found = over_orders(losses, lambda order: (step(losses, k, order) / (k + 1)) ** 2)
    torch.testing.assert_close(found, S_l**2 / (k * (k + 1)))
    rest = over_orders(losses, lambda order: (losses[list(order[:k])].mean() - losses.mean()) ** 2)
    torch.testing.assert_close(rest, S_l**2 * (1 / k - 1 / 4), rtol=1e-9, atol=1e-12)
    found = over_orders(g, lambda order: step(g, k, order).square().sum())
    torch.testing.assert_close(found, S_g**2 * (k + 1) / k)
    found = over_orders(h, lambda order: step(h, k, order) @ step(h, k, order))
    torch.testing.assert_close(found, spread(h) * (k + 1) / k, rtol=1e-9, atol=1e-12)


def test_the_expansion_6_leaves_a_remainder_of_third_order():
    remainders = []
    for radius in (0.02, 0.01):
        surface = Surface(1, radius)
        delta, h = surface.delta, surface.hessians()
        found = step(surface.losses(surface.weights + delta), 2)
        expected = step(surface.losses(surface.weights), 2) + step(surface.gradients, 2) @ delta
        remainders.append(float(found - expected - delta @ step(h, 2) @ delta / 2))
    assert remainders[0] / remainders[1] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("radius", [0.1, 1.0])
def test_with_hessians_averaged_over_the_segment_the_expansion_and_both_bounds_are_exact(radius):
    surface = Surface(2, radius)
    delta, losses, g, h = surface.delta, surface.losses(surface.weights), surface.gradients, surface.averaged_hessians
    there = surface.losses(surface.weights + delta)
    torch.testing.assert_close(losses + g @ delta + (h @ delta) @ delta / 2, there, rtol=1e-7, atol=1e-9)
    S_l, S_g = float(losses.var()) ** 0.5, float((g - g.mean(0)).square().sum() / 3) ** 0.5
    S_h = float(torch.linalg.matrix_norm(spread(h), 2)) ** 0.5
    C = S_l + radius * S_g + radius**2 / 2 * S_h
    for k in (1, 2, 3):
        for order in list(itertools.permutations(range(4)))[::5]:
            bound = step(losses, k, order).abs() + radius * step(g, k, order).norm()
            bound += radius**2 / 2 * torch.linalg.matrix_norm(step(h, k, order), 2)
            assert step(there, k, order).abs() <= bound * (1 + 1e-9)
        typical = float(over_orders(there, lambda order, k=k: (step(there, k, order) / (k + 1)) ** 2)) ** 0.5
        assert typical == pytest.approx(float(there.std()) / math.sqrt(k * (k + 1)))
        assert typical <= C / math.sqrt(k * (k + 1)) * (1 + 1e-9)


def test_the_bound_7_with_the_hessians_at_one_point_alone_holds_to_second_order_only():
    """l_1 = 0 and l_2 = w^4 around w* = 0: all of the right side is 0 there, and on the segment 12 w^2."""
    w = 0.5
    left, at_center, on_segment = w**4 / 2, 0.0, w**2 / 2 * 12 * w**2 / 2
    assert at_center < left <= on_segment


@given(seed=SEEDS, radius=st.floats(0.01, 10), k=st.integers(1, 3))
def test_for_quadratic_losses_the_bound_in_expectation_is_exact(seed, radius, k):
    normal = Normal(seed)
    losses, g, h, delta = normal(4), normal(4, 3), normal(4, 3, 3), normal(3)
    h, delta = h + h.mT, radius * delta / delta.norm()
    there = losses + g @ delta + (h @ delta) @ delta / 2
    S_g = float((g - g.mean(0)).square().sum() / 3) ** 0.5
    S_h = float(torch.linalg.matrix_norm(spread(h), 2)) ** 0.5
    C = float(losses.std()) + radius * S_g + radius**2 / 2 * S_h
    typical = over_orders(there, lambda order: (step(there, k, order) / (k + 1)) ** 2) ** 0.5
    assert float(typical) <= C / math.sqrt(k * (k + 1)) * (1 + 1e-12)


@given(C=st.floats(0, 30), eps=st.floats(0.1, 10))
def test_the_size_from_the_bound_is_the_smallest_and_all_larger_ones_fit(C, eps):
    size = max(1, math.ceil((math.sqrt(1 + 4 * (C / eps) ** 2) - 1) / 2 - 1e-9))
    fits = [C / math.sqrt(k * (k + 1)) <= eps * (1 + 1e-9) for k in range(1, 2 * size + 3)]
    assert fits == [k >= size for k in range(1, 2 * size + 3)]


def test_a_key_bias_changes_no_output_of_softmax_attention():
    drawn = {"width": 4, "key_width": 2, "heads": 2, "attention_bias": True}
    case = Case(drawn, "mse")
    H = hessian(case.module, case.inputs, case.targets)
    assert all(float(H["b_K", name].norm()) < 1e-15 for name in H.names)
    assert error(H.dense(), oracles.automatic(case)) < 1e-12
