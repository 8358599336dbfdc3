"""Upper bounds of the norms of Hessians and gradients, against what they bound."""

import copy
import itertools
import math
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module

import jaxtyping
import oracles
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import SINE, Case, Normal, cases
from torch.utils._python_dispatch import TorchDispatchMode

from suffice import InputError
from suffice.closed_form import (
    Activation,
    BlockClassifier,
    SelfAttention,
    TransformerBlock,
    layer_norm_second_derivative,
)
from suffice.closed_form.activations import ACTIVATIONS
from suffice.closed_form.bounds import gradient_norm, hessian_norm
from suffice.closed_form.bounds.attention.metric import Metric
from suffice.closed_form.bounds.blocks import Blocks, Weight
from suffice.closed_form.bounds.level_bound import Coupled, FunctionalPart, Jacobian, OuterPart, ScaledIdentity
from suffice.closed_form.bounds.normalization import normalization_curvature
from suffice.closed_form.bounds.vectors import Bounded, Diagonal, Known, spectral_bound
from suffice.closed_form.layers import normalize
from suffice.closed_form.losses import loss_derivatives, sample_losses

NORMS = import_module("suffice.closed_form.bounds.norms")
KINDS = ("data", "a_priori")
ALLOWED = {
    "data": {},
    "a_priori": {"loss_of": ["mse", "cross_entropy"], "activation_of": list(ACTIVATIONS)},
}
"""What each kind has bounds for."""

BLOCK = {"width": 4, "key_width": 2, "hidden_width": 3}
ROUNDING = 1e-8
"""Bounds are a little larger than what they are made of, relative to that of the whole."""

NUMBERS, SIDES = st.integers(0, 2**32), st.integers(1, 5)


@dataclass
class Scaled(Case):
    """A case whose weights and inputs are so many times as large."""

    weight_scale: float = 1
    input_scale: float = 1

    @cached_property
    def made(self):
        made = Case.made.func(self)
        with torch.no_grad():
            for parameter in made.module.parameters():
                parameter.mul_(self.weight_scale)
        made.inputs.mul_(self.input_scale)
        return made

    def bound(self, kind, norm=hessian_norm, **changes):
        arguments = {"inputs": self.inputs, "targets": self.targets, "loss": self.loss, "mask": self.mask} | changes
        return norm(self.module, kind=kind, **arguments)


@st.composite
def scaled(draw, widest=3, **fixed):
    """Scales from 10^-widest to 10^widest; a loss given as a function takes outputs of size 1 alone."""
    case = draw(cases(**fixed))
    exponents = st.floats(-widest, widest) if isinstance(case.loss, str) and widest else st.just(0)
    drawn = {field.name: getattr(case, field.name) for field in fields(case)}
    return Scaled(**drawn, weight_scale=10 ** draw(exponents), input_scale=10 ** draw(exponents))


def without_saturated(case):
    """The samples whose loss has a gradient that is not all rounding."""
    with torch.no_grad():
        outputs = case.module(case.inputs, case.mask)
    gradient = loss_derivatives(case.loss, outputs, case.targets, case.mask).gradient
    known = (gradient.flatten(1).norm(dim=1) > 1e-12).nonzero()[:, 0].tolist()
    assume(known)
    return case.only(*known) if len(known) < case.samples else case


def gradients(case):
    """The norm of the gradient of each sample in each parameter."""
    norms = []
    for sample in range(len(case.inputs)):
        some = slice(sample, sample + 1)
        mask = None if case.mask is None else case.mask[some]
        z = case.module(case.inputs[some], mask)
        loss = sample_losses(case.loss, z, case.targets[some], mask).sum()
        parts = torch.autograd.grad(loss, list(case.module.parameters()), allow_unused=True, materialize_grads=True)
        norms.append(torch.stack([torch.linalg.vector_norm(part) for part in parts]))
    return torch.stack(norms)


def as_tensor(bounds):
    return torch.tensor(list(bounds.values()), dtype=torch.float64)


def close(bounds, others):
    """Whether they differ by rounding; where a norm is zero, as of b_K's gradient, by that of the whole."""
    assert list(bounds) == list(others)
    one, other = as_tensor(bounds), as_tensor(others)
    return bool(((one - other).abs() <= 1e-10 * other + 1e-15 * other[0]).all())


# whether they hold


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_no_hessian_and_no_block_has_a_norm_above_its_bound(kind, data):
    case = without_saturated(data.draw(scaled(**ALLOWED[kind])))
    each = case.hessian(reduction="none").dense()
    assume(bool(each.isfinite().all()))
    bound = case.bound(kind)
    assert bound["total"] >= float(torch.linalg.matrix_norm(each, 2).mean())
    assert bound["total"] >= float(torch.linalg.matrix_norm(each.mean(0), 2))
    for (left, rows), (right, columns) in itertools.combinations_with_replacement(case.places.items(), 2):
        block = each[:, rows, columns]
        assert bound[left, right] == bound[right, left]
        if bound[left, right] < float(block.norm(dim=(1, 2)).mean()):  # at least the spectral norm, and sooner known
            assert bound[left, right] >= float(torch.linalg.matrix_norm(block, 2).mean())


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_no_gradient_has_a_norm_above_its_bound(kind, data):
    case = without_saturated(data.draw(scaled(**ALLOWED[kind])))
    norms = gradients(case)
    assume(bool(norms.isfinite().all()))
    bound = case.bound(kind, gradient_norm)
    assert list(bound) == ["total", *case.places]
    assert bound["total"] >= float(norms.norm(dim=1).mean())
    for name, norm in zip(case.places, norms.mean(0).tolist(), strict=True):
        assert bound[name] >= norm


@given(case=scaled(widest=0, eps=0.1))
def test_with_data_the_norm_of_the_gradient_is_exact(case):
    norms, bound = gradients(case), case.bound("data", gradient_norm)
    tolerance = ROUNDING * bound["total"] + 1e-14
    assert bound["total"] == pytest.approx(float(norms.norm(dim=1).mean()), abs=tolerance)
    for name, norm in zip(case.places, norms.mean(0).tolist(), strict=True):
        assert bound[name] == pytest.approx(norm, abs=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_the_blocks_are_those_of_the_hessian_and_none_is_above_the_whole(kind, data):
    case = data.draw(scaled(widest=0, eps=0.1, **ALLOWED[kind]))
    bound, norms = case.bound(kind), case.hessian().block_norms()
    assert list(bound) == ["total", *norms]
    assert all(isinstance(value, float) and math.isfinite(value) for value in bound.values())
    assert bound["total"] * (1 + ROUNDING) >= max(bound.values())


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
@pytest.mark.parametrize(("loss", "pool"), [("mse", None), ("cross_entropy", "mean")])
def test_they_hold_at_trained_weights(norm, loss, pool):
    case = Scaled(BLOCK | {"norm": norm}, loss, pool, samples=6)
    oracles.train(case)
    truth = [(H.norm(), H.block_norms()) for H in case.hessian(reduction="none")]
    data, a_priori = (case.bound(kind) for kind in KINDS)
    assert sum(total for total, _ in truth) / 6 <= data["total"] <= a_priori["total"]
    for names in truth[0][1]:
        assert sum(blocks[names] for _, blocks in truth) / 6 <= min(data[names], a_priori[names])


# what they depend on


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_bound_is_the_mean_over_the_samples_in_any_order(kind, data):
    case = data.draw(scaled(widest=1, **ALLOWED[kind]))
    order = data.draw(st.permutations(range(case.samples)))
    for norm in (hessian_norm, gradient_norm):
        whole = case.bound(kind, norm)
        assert close(case.only(*order).bound(kind, norm), whole)
        each = [case.only(sample).bound(kind, norm) for sample in range(case.samples)]
        assert close({key: sum(one[key] for one in each) / len(each) for key in whole}, whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", [None, "mean"])
def test_how_many_samples_are_taken_at_a_time_does_not_matter(monkeypatch, kind, pool):
    case = Scaled(BLOCK, "mse", pool, samples=5, padded=True)
    at_once = case.bound(kind)
    monkeypatch.setattr(NORMS, "CHUNK_BYTES", 1)
    assert close(case.bound(kind), at_once)


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_what_padding_is_filled_with_does_not_matter(kind, data, seed):
    case = data.draw(scaled(widest=1, padded=True, loss_of=["mse", "cross_entropy"], activation_of=list(ACTIVATIONS)))
    assume(case.pool != "first")
    padding = ~case.mask

    def filled(tensor):
        tensor = tensor.clone()
        if tensor.ndim == 3:
            tensor[padding] = 1e3 * Normal(seed)(*tensor[padding].shape)
        return tensor

    changed = {"inputs": filled(case.inputs), "targets": filled(case.targets)}
    for norm in (hessian_norm, gradient_norm):
        assert close(case.bound(kind, norm, **changed), case.bound(kind, norm))


@pytest.mark.deep
@given(
    case=scaled(widest=1, padded=False, loss_of=["mse", "cross_entropy"]),
    padding=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_with_data_padding_that_is_appended_changes_nothing(case, padding, seed):
    def padded(tensor):
        if tensor.ndim < 3:
            return tensor
        return torch.cat([tensor, 1e3 * Normal(seed)(len(tensor), padding, tensor.shape[2])], 1)

    mask = (torch.arange(case.tokens + padding) < case.tokens).expand(case.samples, -1)
    changed = {"inputs": padded(case.inputs), "targets": padded(case.targets), "mask": mask}
    for norm in (hessian_norm, gradient_norm):
        assert close(case.bound("data", norm, **changed), case.bound("data", norm))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_mask_without_padding_is_no_mask(kind, data):
    case = data.draw(scaled(widest=1, padded=False, **ALLOWED[kind]))
    mask = torch.ones(case.inputs.shape[:2], dtype=torch.bool)
    assert close(case.bound(kind, mask=mask), case.bound(kind))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_numbers_in_single_precision_are_bounded_in_double(kind, data):
    case = data.draw(scaled(widest=1, **ALLOWED[kind] | {"loss_of": ["mse", "cross_entropy"]}))
    case.module.float()
    inputs = case.inputs.float()
    targets = case.targets if case.loss == "cross_entropy" else case.targets.float()
    for norm in (hessian_norm, gradient_norm):
        single = norm(case.module, inputs, targets, case.loss, kind, case.mask)
        assert next(case.module.parameters()).dtype == torch.float32
        double = copy.deepcopy(case.module).double()
        wide = targets.double() if targets.is_floating_point() else targets
        assert norm(double, inputs.double(), wide, case.loss, kind, case.mask) == single


@pytest.mark.parametrize("kind", KINDS)
def test_everything_given_stays_as_it_is(kind):
    case, untouched = (Scaled(BLOCK, "mse", "mean", padded=True) for _ in range(2))
    assert torch.equal(case.weights, untouched.weights)  # both are made now
    before = torch.get_rng_state()
    first = case.bound(kind)
    assert case.bound(kind) == first
    assert torch.equal(case.weights, untouched.weights)
    assert all(torch.equal(getattr(case, name), getattr(untouched, name)) for name in ("inputs", "targets", "mask"))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in case.module.parameters())
    assert case.module.training
    assert torch.equal(torch.get_rng_state(), before)


def test_the_word_for_the_kind_is_a_priori_where_none_is_given():
    case = Scaled(BLOCK, "mse")
    assert hessian_norm(case.module, case.inputs, case.targets) == case.bound("a_priori")
    assert gradient_norm(case.module, case.inputs, case.targets) == case.bound("a_priori", gradient_norm)


# without a Hessian


def forbidden(*_, **__):
    raise AssertionError("this takes a derivative")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("norm", "loss", "pool"),
    [
        ("post", "mse", None),
        ("pre", "mse", "first"),
        ("none", "cross_entropy", "mean"),
        ("post", "cross_entropy", "mean"),
    ],
)
def test_no_derivative_is_taken_and_no_sum_of_products_is_made(monkeypatch, kind, norm, loss, pool):
    case = Scaled(BLOCK | {"norm": norm}, loss, pool)
    expected = case.bound(kind), case.bound(kind, gradient_norm)
    kronecker, summands, dense, whole = (
        import_module(f"suffice.closed_form.{name}") for name in ("kronecker", "summands", "dense", "hessian")
    )
    for module, name in (
        (kronecker.KroneckerSum, "__init__"),
        (kronecker, "pieces"),
        (dense.Assembly, "__init__"),
        (summands, "summands"),
        (whole, "summands"),
        (whole, "pieces"),
        (whole.Hessian, "__init__"),
        (torch.autograd, "grad"),
        (torch.autograd, "backward"),
        (torch.Tensor, "backward"),
        *((torch.func, name) for name in ("grad", "hessian", "jacrev", "jacfwd", "vjp", "jvp", "vmap")),
    ):
        monkeypatch.setattr(module, name, forbidden)
    assert (case.bound(kind), case.bound(kind, gradient_norm)) == expected


class Largest(TorchDispatchMode):
    """Notes the longest side of all tensors that are made."""

    side = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        made = function(*arguments, **(named or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, torch.Tensor):
                self.side = max(self.side, *one.shape, 0)
        return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["post", "pre", "none"])
def test_no_tensor_has_a_side_as_long_as_the_parameters(kind, norm):
    case = Scaled({"width": 16, "key_width": 16, "hidden_width": 64, "norm": norm}, "mse", tokens=8)
    with Largest() as largest:
        case.bound(kind)
    assert largest.side <= 64 * 16 < len(case.weights) / 2


# where they are exact


@pytest.mark.parametrize("kind", KINDS)
@given(
    width=st.integers(1, 6),
    tokens=st.integers(1, 5),
    samples=st.integers(1, 3),
    causal=st.booleans(),
    seed=NUMBERS,
)
def test_the_values_of_an_attention_layer_have_the_hessian_that_their_bound_says(
    kind, width, tokens, samples, causal, seed
):
    """(2 / (L d)) (A X)' (A X) (x) I; of many tokens a priori, A X is known by the longest x alone."""
    drawn = {"width": width, "key_width": 2, "causal": causal}
    case = Scaled(drawn, "mse", samples=samples, tokens=1 if kind == "a_priori" else tokens, seed=seed)
    Q, K, _ = case.module.attention.queries_keys_values(case.inputs)
    AX = case.module.attention.attend(Q, K)[:, 0] @ case.inputs
    exact = (2 * torch.linalg.matrix_norm(AX, 2).square() / case.inputs[0].numel()).mean().item()
    found = case.bound(kind)
    tolerance = ROUNDING * found["total"]
    assert exact * (1 - 1e-12) <= found["W_V", "W_V"]
    assert found["W_V", "W_V"] <= exact * case.tokens ** (1 / 2) + tolerance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_last_bias_of_a_classifier_has_the_hessian_of_its_loss(kind, loss):
    case = Scaled(BLOCK, loss, "mean", classes=3)
    logits = case.module(case.inputs).detach()
    exact = torch.linalg.matrix_norm(loss_derivatives(loss, logits, case.targets).hessian, 2).mean().item()
    found = case.bound(kind)
    slack = ROUNDING * found["total"]
    assert exact <= found["b_C", "b_C"]
    most = {"data": exact * 3 ** (1 / 4), "a_priori": 0.5 if loss == "cross_entropy" else 2 / 3}[kind]
    assert found["b_C", "b_C"] <= most + slack


def test_a_linear_loss_leaves_nothing_of_what_enters_linearly():
    """No outer-product part, and no functional part of two weights that do not meet."""
    case = Scaled(BLOCK | {"norm": "none"}, oracles.linear)
    found = case.bound("data")
    for names in (("W_2", "W_2"), ("W_2", "b_2"), ("b_2", "b_2"), ("b_2", "W_Q"), ("b_2", "W_1")):
        assert found[names] <= ROUNDING * found["total"]


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_and_targets_of_zero_are_bounded_as_well(kind, norm):
    case = Scaled(BLOCK | {"norm": norm}, "mse", input_scale=0)
    case.targets.zero_()
    each = case.hessian(reduction="none").dense()
    found = case.bound(kind)
    assert torch.linalg.matrix_norm(each, 2).mean().item() <= found["total"] < math.inf


# how they go back through the layers


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_forward_pass_goes_back_as_often_as_it_is_asked_to_with_the_same_result(kind, loss, norm):
    case = Scaled(BLOCK | {"norm": norm, "output_projection": True}, loss, "mean" if loss == "cross_entropy" else None)
    forward, blocks = NORMS.collect(case.module, case.inputs, case.targets, case.loss, kind, case.mask)
    hessian, gradient = blocks.hessian(), blocks.gradient()
    names = [name.split(".")[-1] for name in case.places]
    shared = ("gamma_1", "beta_1") if norm == "pre" else ()
    with torch.no_grad():
        again = forward.collect(Blocks(names, case.samples, case.inputs, shared))
    assert torch.equal(again.gradient(), gradient)
    assert torch.equal(again.hessian(), hessian)


def numbers(*values):
    """One number for each of some tokens."""
    return torch.tensor(values, dtype=torch.float64)[None, None]


def test_a_level_is_a_value_and_steps_return_another():
    """By Lemma 7, with numbers: f'' = c, and one weight above and one that meets."""
    above, meeting = (Weight(name, Bounded(numbers(1.0), 1)) for name in ("W_2", "W_1"))
    start = FunctionalPart(numbers(3.0)).couple(Coupled(above, numbers(5.0)))
    blocks = Blocks(["W_1", "W_2"], 1, numbers(1.0))
    met = start.meet(blocks, [meeting], numbers(2.0))
    assert dict(start.K) == {above: numbers(5.0)}
    assert {weight.name: K.item() for weight, K in met.K.items()} == {"W_2": 5.0, "W_1": 3.0 * 2.0}
    expected = torch.tensor([[3.0 * 2.0**2, 5.0 * 2.0], [5.0 * 2.0, 0.0]]).double()
    torch.testing.assert_close(blocks.hessian()[0], expected)
    below = met.below(numbers(10.0), curvature=numbers(7.0))
    assert below.curvature.item() == 3.0 * 10.0**2 + 7.0
    assert {weight.name: K.item() for weight, K in below.K.items()} == {"W_2": 50.0, "W_1": 60.0}
    joined = met.join(below)
    assert joined.curvature.item() == 3.0 + 307.0
    assert {weight.name: K.item() for weight, K in joined.K.items()} == {"W_2": 55.0, "W_1": 66.0}
    assert met.curvature.item() == 3.0


@given(samples=SIDES, tokens=SIDES, width=SIDES, seed=NUMBERS)
def test_the_root_of_the_outer_part_is_carried_down_where_it_is_known(samples, tokens, width, seed):
    normal = Normal(seed)
    D, J = normal(samples, tokens, 3, width), normal(samples, tokens, width, 2)
    step = Jacobian(norm(J)[:, None], lambda M: M @ J)
    known = OuterPart(spectral_bound(D)[:, None], together=False, root=D).below(step)
    bounded = OuterPart(norm(D)[:, None], together=False).below(Jacobian(step.norm))
    assert torch.equal(known.root, D @ J)
    assert at_least(known.norm, norm(D @ J)[:, None])
    torch.testing.assert_close(bounded.norm, norm(D)[:, None] * norm(J)[:, None])
    assert bounded.root is None
    scaled = OuterPart(numbers(*[2.0] * tokens), False, ScaledIdentity(torch.full((1, tokens), 2.0).double(), width))
    torch.testing.assert_close(scaled.below(step).root, 2 * J)
    torch.testing.assert_close(scaled.below(step).norm, 2 * step.norm)


# of what they are made


@given(rows=SIDES, columns=SIDES, rank=SIDES, squarings=st.integers(0, 4), exponent=st.floats(-250, 250), seed=NUMBERS)
def test_the_bound_of_a_spectral_norm_is_a_schatten_norm(rows, columns, rank, squarings, exponent, seed):
    normal = Normal(seed)
    matrix = 10**exponent * (normal(2, rows, rank) @ normal(2, rank, columns))
    exact, found = torch.linalg.matrix_norm(matrix, 2), spectral_bound(matrix, squarings)
    assert bool((found >= exact * (1 - 1e-14)).all())
    assert bool((found <= exact * min(rows, columns, rank) ** (1 / (4 * 2**squarings)) * (1 + 1e-13)).all())
    order = 4 * 2**squarings
    schatten = torch.linalg.svdvals(matrix / exact[:, None, None]).pow(order).sum(-1) ** (1 / order) * exact
    torch.testing.assert_close(found, schatten, rtol=1e-12, atol=0)


def test_the_bound_of_a_matrix_of_zeros_is_zero_or_next_to_it():
    assert spectral_bound(torch.zeros(3, 2, dtype=torch.float64), 3) < 1e-300


@st.composite
def vectors(draw, tokens=None):
    """Samples, heads, tokens, width, and normal numbers."""
    return draw(SIDES), draw(st.integers(1, 3)), tokens or draw(SIDES), draw(SIDES), Normal(draw(NUMBERS))


def rows_of(v, weights):
    """diag(weights) V of every head."""
    return weights[..., None] * v


def jacobians(v, weights, G, diagonal=False):
    """weights_t v_t (x) G_t of every token, (samples, heads, tokens, rows, columns)."""
    if diagonal:
        return weights[..., None, None] * G * v[..., None, :]
    product = torch.einsum("shta,shtob->shtoab", weights[..., None] * v, G)
    return product.flatten(-2)


def apart(vectors, weights):
    """At least the norm of what weights do to outputs of each token apart."""
    return vectors.halves(weights.square()[..., None])[..., 0]


def of_norm_one(G):
    return G / torch.linalg.matrix_norm(G, 2)[..., None, None]


def norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2)


def at_least(found, exact):
    return bool((found >= exact * (1 - 1e-12)).all())


def check_together(vectors, v, weights, D, diagonal=False):
    """Outputs of all tokens: D of each token mixes its heads, which have columns of their own or share them."""
    D = D / torch.linalg.matrix_norm(D.flatten(2), 2)[:, None, None, None]
    weights = weights.expand(*v.shape[:3])
    J = torch.einsum("sht,trhu,shtu->shru" if diagonal else "sht,trhu,shtp->shrup", weights, D, v)
    J = J.flatten(3) if J.ndim > 3 else J
    assert at_least(vectors.together(weights, shared=True), norm(J.sum(1)))
    if not diagonal:
        assert at_least(vectors.together(weights, shared=False), norm(J.movedim(1, 2).flatten(2)))


@given(drawn=vectors())
def test_known_vectors_bound_what_weights_do_to_tokens_apart_and_together(drawn):
    samples, heads, tokens, width, normal = drawn
    v, weights = normal(samples, heads, tokens, width), normal(samples, heads, tokens).abs()
    known, G = Known(v), of_norm_one(normal(samples, heads, tokens, 2, 3))
    J = jacobians(v, weights, G)
    assert at_least(apart(known, weights), norm(J.flatten(2, 3)))
    check_together(known, v, weights, normal(tokens, 4, heads, 3))
    torch.testing.assert_close(known.norms, v.norm(dim=-1))
    torch.testing.assert_close(known.largest, v.abs().amax(-1))
    one, lengths = Known(v[:, :, :1]), weights[:, :, 0] * v[:, :, 0].norm(dim=-1)
    torch.testing.assert_close(one.together(weights[:, :, :1], shared=False), lengths.amax(1))
    torch.testing.assert_close(one.together(weights[:, :, :1], shared=True), lengths.sum(1))


@given(drawn=vectors(), exponent=st.floats(-100, 100), small=st.floats(-200, 200))
def test_known_vectors_have_halves_for_many_weights_of_any_size(drawn, exponent, small):
    samples, heads, tokens, width, normal = drawn
    v, weights = 10**exponent * normal(samples, heads, tokens, width), normal(samples, heads, tokens, 3).square()
    weights = torch.cat([10**small * weights, torch.zeros_like(weights[..., :1])], -1)
    found = Known(v).halves(weights)
    exact = torch.stack([norm(rows_of(v, weight.sqrt())) for weight in weights.unbind(-1)], -1)
    assert found.shape == exact.shape
    assert at_least(found, exact)
    assert at_least(exact * min(tokens, width) ** (1 / 4), found)


@given(drawn=vectors())
def test_products_and_sums_of_known_vectors_are_exact(drawn):
    samples, heads, tokens, width, normal = drawn
    v, u, w = (
        normal(samples, heads, tokens, width),
        normal(samples, heads, tokens, 3),
        normal(samples, 1, tokens, width),
    )
    exact = torch.linalg.matrix_norm(v.mT @ u).square().sum(1)
    torch.testing.assert_close(Known(v).product(Known(u)), exact)
    torch.testing.assert_close(Known(v).plus(Known(w)).v, v + w)


@given(drawn=vectors())
def test_diagonals_bound_what_scales_do(drawn):
    samples, heads, tokens, width, normal = drawn
    v, weights = normal(samples, heads, tokens, width), normal(samples, heads, tokens).abs()
    known, G = Diagonal(v), of_norm_one(normal(samples, heads, tokens, 3, width))
    J = jacobians(v, weights, G, diagonal=True)
    assert at_least(apart(known, weights), norm(J.flatten(2, 3)))
    check_together(known, v, weights, normal(tokens, 4, heads, width), diagonal=True)
    whole = jacobians(v, weights, torch.eye(width, dtype=torch.float64).expand(tokens, -1, -1), diagonal=True)
    torch.testing.assert_close(apart(known, weights), norm(whole.flatten(2, 3)))


@given(drawn=vectors(), wide=st.booleans())
def test_vectors_of_bounded_norms_bound_all_vectors_of_these_norms(drawn, wide):
    samples, heads, tokens, width, normal = drawn
    v, u = normal(samples, heads, tokens, width), normal(samples, heads, tokens, width)
    weights = normal(samples, heads, 1 if wide else tokens).abs()

    def bounded(v, spectral=True):
        return Bounded(v.norm(dim=-1).amax(-1, keepdim=True), tokens, norm(v)[..., None] if spectral else None)

    all_of = weights.expand(-1, -1, tokens)
    D = normal(tokens, 4, heads, 3)
    for spectral in (True, False):
        found, other = bounded(v, spectral), bounded(u, spectral)
        assert at_least(found.spectral, norm(v)[..., None])
        assert at_least(apart(found, weights), norm(rows_of(v, all_of)))
        check_together(found, v, weights, D)
        assert at_least(found.halves(weights[..., None])[..., 0], norm(rows_of(v, all_of.sqrt())))
        assert at_least(found.product(other), torch.linalg.matrix_norm(v.mT @ u).square().sum(1))
        whole, twice = found.plus(other), found.times(torch.full((1, 1, 1), 2.0, dtype=torch.float64))
        assert at_least(whole.norms, (v + u).norm(dim=-1))
        assert at_least(whole.spectral, norm(v + u)[..., None])
        torch.testing.assert_close(twice.norms, 2 * found.norms)
        torch.testing.assert_close(twice.spectral, 2 * found.spectral)


@given(drawn=vectors(), columns=st.integers(1, 7), softmax=st.booleans(), causal=st.booleans())
def test_the_metric_bounds_products_through_the_derivative_of_attention(drawn, columns, softmax, causal):
    samples, heads, tokens, width, normal = drawn
    allowed = torch.ones(tokens, tokens).bool().tril(0 if causal else tokens)
    weights = (2 * normal(samples, heads, tokens, tokens)).masked_fill(~allowed, -math.inf).softmax(-1)
    if not softmax:
        weights = allowed.double().expand(samples, heads, -1, -1)
    y, z = normal(samples, heads, tokens, width), normal(samples, 1, tokens, columns)
    P = torch.diag_embed(weights)
    if softmax:
        P = P - weights[..., :, None] * weights[..., None, :]
    metric = Metric(weights, softmax=softmax)
    exact = y[:, :, None].mT @ P @ z[:, :, None]
    rounding = 1e-7  # of fourth roots of what cancels
    for found, least, rank in (
        (metric.norm(y, z), norm(exact), min(width, columns, tokens) ** 0.25),
        (metric.root(y), norm(y[:, :, None].mT @ P @ y[:, :, None]).sqrt(), min(width, tokens) ** 0.25),
    ):
        assert bool((found >= least * (1 - 1e-9) - rounding**2).all())
        assert bool((found <= rank * least * (1 + 1e-9) + 10 * rounding).all())


@given(
    width=st.integers(1, 7),
    deviation=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    along=st.sampled_from([0.0, 1.0]),
    across=st.sampled_from([0.0, 1.0]),
    seed=NUMBERS,
)
def test_the_curvature_of_a_normalisation_is_exact(width, deviation, along, across, seed):
    normal, eps = Normal(seed), 1e-2
    x = deviation * normal(4, width)
    u = along * x + across * normal(4, width)
    n = normalize(x, eps)
    found = normalization_curvature(n, u - u.mean(-1, keepdim=True), (u * n).sum(-1, keepdim=True))
    variance = x.var(-1, correction=0) + eps
    exact = torch.stack([norm(layer_norm_second_derivative(*pair, eps=eps)) for pair in zip(x, u, strict=True)])
    exact = exact * variance
    tolerance = 1e-12 * (1 + u.norm(dim=-1))
    assert bool((found >= exact - tolerance).all())
    if width >= 3:
        assert bool((found <= exact + tolerance).all())


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_largest_derivatives_of_an_activation_are_those_of_a_fine_grid(name):
    activation = ACTIVATIONS[name]
    x = torch.linspace(-20, 20, 2_000_001, dtype=torch.float64)
    for function, bound in ((activation.first, activation.steepest), (activation.second, activation.most_bent)):
        largest = function(x).abs().max().item()
        assert largest * (1 - 1e-15) <= bound <= largest + 1e-6


# bad input


@pytest.fixture
def as_users_have_it():
    """Without the checks of types and shapes, which are switched on in tests alone and would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refused(case, *parts, **changes):
    """What both functions say about these arguments."""
    arguments = {"inputs": case.inputs, "targets": case.targets, "loss": case.loss, "mask": case.mask} | changes
    for function in (hessian_norm, gradient_norm):
        with pytest.raises(InputError) as refusal:
            function(**{"module": case.module} | arguments)
        message = str(refusal.value)
        assert "\n" not in message
        for part in parts:
            assert part in message


@pytest.mark.parametrize(("word", "meant"), [("a_prior", "a_priori"), ("dat", "data"), ("measured", None), ("", None)])
def test_unknown_kinds_are_refused_with_those_that_are_known(word, meant):
    refused(Scaled(BLOCK, "mse"), f"'{word}'", "a_priori, data", *([f'"{meant}"'] if meant else []), kind=word)


def test_a_loss_given_as_a_function_is_refused_a_priori():
    case = Scaled(BLOCK, oracles.quartic)
    refused(case, "loss given as a function", 'kind="data"', kind="a_priori")
    assert case.bound("data")["total"] > 0


def test_an_activation_without_bounds_of_its_derivatives_is_refused_a_priori_and_used_with_them():
    case = Scaled(BLOCK | {"activation": SINE}, "mse")
    refused(case, "activation", "steepest", "most_bent", 'kind="data"', kind="a_priori")
    assert case.bound("data")["total"] > 0
    known = Scaled(BLOCK | {"activation": Activation(*SINE[:3], steepest=1.0, most_bent=1.0)}, "mse")
    assert known.bound("a_priori")["total"] >= known.hessian().norm()


X = torch.zeros(2, 3, 4, dtype=torch.float64)
"""Fits the block."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": X[..., :3]}, "inputs must be (samples, tokens, 4)"),
        ({"inputs": X[0]}, "inputs must be"),
        ({"inputs": X[:0]}, "inputs must be"),
        ({"inputs": X.float()}, "torch.float32"),
        ({"inputs": X / 0}, "not finite"),
        ({"targets": X[:1]}, "targets must be"),
        ({"targets": X[..., :2]}, "targets must be"),
        ({"targets": None}, "targets must be"),
        ({"targets": X.long()}, "floating point"),
        ({"targets": torch.tensor([0, 1]), "loss": "cross_entropy"}, "BlockClassifier(block, classes)"),
        ({"loss": "mae"}, "'mae' is not known"),
        ({"mask": torch.ones(2, 3)}, "mask must be (2, 3) of bool"),
        ({"mask": torch.ones(2, 2).bool()}, "mask must be (2, 3) of bool"),
        ({"mask": torch.zeros(2, 3).bool()}, "without any real token"),
        ({"module": torch.nn.Linear(4, 4)}, "Linear"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("as_users_have_it")
def test_what_does_not_fit_is_refused(kind, changes, said):
    refused(Scaled(BLOCK, "mse"), said, kind=kind, **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "module", [SelfAttention(4, 2), TransformerBlock(4, 2, 3), BlockClassifier(SelfAttention(4, 2), 3)]
)
def test_fresh_modules_in_single_precision_have_bounds(module, kind):
    inputs = torch.zeros(2, 3, 4)
    targets = module(inputs).detach()
    assert hessian_norm(module, inputs, targets, kind=kind)["total"] >= 0
    assert gradient_norm(module, inputs, targets, kind=kind)["total"] >= 0
