import math

import mpmath
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import Normal
from torch.autograd.functional import hessian
from torch.nn import functional

from suffice import InputError
from suffice.closed_form.losses import check_targets, loss_derivatives

SEEDS = st.integers(0, 2**32)
SHAPES = st.one_of(st.tuples(*[st.integers(1, 3)] * 2), st.tuples(*[st.integers(1, 3)] * 3))
"""Logits, or tokens."""


def whole(second):
    """The Hessian of every sample as one matrix, also where it was given token by token."""
    if second.ndim == 3:
        return second
    return torch.stack([torch.block_diag(*tokens) for tokens in second])


def check(found, losses, outputs):
    """Against double backward; losses is a list of functions of each sample's outputs."""
    for sample, loss in enumerate(losses):
        z = outputs[sample].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z), z)
        torch.testing.assert_close(found.gradient[sample], gradient, rtol=1e-13, atol=1e-13)
        expected = hessian(loss, outputs[sample]).reshape(z.numel(), z.numel())
        torch.testing.assert_close(whole(found.hessian)[sample], expected, rtol=1e-12, atol=1e-13)


@given(seed=SEEDS, shape=SHAPES)
def test_the_mean_squared_error_has_the_derivatives_of_double_backward(seed, shape):
    outputs, targets = Normal(seed)(2, *shape)
    losses = [lambda z, target=target: ((z - target) ** 2).mean() for target in targets]
    check(loss_derivatives("mse", outputs, targets), losses, outputs)


@given(seed=SEEDS, mask=st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1, max_size=3))
def test_the_mean_squared_error_is_a_mean_over_real_tokens(seed, mask):
    mask = torch.tensor(mask)
    outputs, targets = Normal(seed)(2, *mask.shape, 2)
    losses = [lambda z, i=i: ((z - targets[i])[mask[i].nonzero()[:, 0]] ** 2).mean() for i in range(len(mask))]
    check(loss_derivatives("mse", outputs, targets, mask), losses, outputs)


@given(seed=SEEDS, samples=st.integers(1, 3), classes=st.integers(1, 4), scale=st.sampled_from([1, 30]))
def test_cross_entropy_has_the_derivatives_of_double_backward(seed, samples, classes, scale):
    logits = scale * Normal(seed)(samples, classes)
    targets = torch.arange(samples) % classes
    losses = [lambda z, target=target: functional.cross_entropy(z, target) for target in targets]
    check(loss_derivatives("cross_entropy", logits, targets), losses, logits)


@pytest.mark.parametrize("loss", [oracles.quartic, oracles.coupled, oracles.wavy, oracles.linear])
@given(seed=SEEDS, shape=SHAPES)
def test_a_function_has_the_derivatives_of_double_backward(loss, seed, shape):
    outputs, targets = Normal(seed)(2, *shape)
    losses = [lambda z, target=target: loss(z, target) for target in targets]
    check(loss_derivatives(loss, outputs, targets), losses, outputs)


def test_a_hessian_in_which_no_tokens_meet_is_given_token_by_token():
    outputs, targets = Normal(0)(2, 2, 3, 4)
    for loss, apart in [("mse", True), (oracles.quartic, True), (oracles.linear, True), (oracles.coupled, False)]:
        assert loss_derivatives(loss, outputs, targets).hessian.shape == ((2, 3, 4, 4) if apart else (2, 12, 12))


def test_a_function_may_turn_gradients_off_around_itself():
    outputs, targets = Normal(0)(2, 2, 3, 4)
    with torch.no_grad():
        found = loss_derivatives(oracles.quartic, outputs, targets)
    check(found, [lambda z, target=target: oracles.quartic(z, target) for target in targets], outputs)


def test_a_constant_function_has_no_derivatives():
    found = loss_derivatives(lambda z, target: target.sum(), *Normal(0)(2, 2, 3, 4))
    assert not found.gradient.any()
    assert not found.hessian.any()


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, target: (z - target) ** 2,
        lambda z, target: (z - target).sum().item(),
        lambda z, target: math.nan * z.sum(),
        lambda z, target: None,
    ],
    ids=["not a scalar", "not a tensor", "not finite", "nothing"],
)
def test_a_function_that_returns_no_finite_scalar_is_refused(loss):
    with pytest.raises(InputError, match=r"one finite number, a tensor of shape \(\)"):
        loss_derivatives(loss, *Normal(0)(2, 2, 3, 4))


@pytest.mark.parametrize("word", ["ms", "crossentropy", "cross-entropy"])
def test_unknown_losses_are_refused_with_the_nearest_known(word):
    meant = "mse" if word == "ms" else "cross_entropy"
    with pytest.raises(InputError, match=f"'{word}' is not known; did you mean \"{meant}\""):
        check_targets(word, (2, 3), torch.zeros(2, 3))


def test_derivatives_that_are_not_finite_are_refused():
    outputs = torch.zeros(2, 3, 4, dtype=torch.float64)
    with pytest.raises(InputError, match="finite"):
        loss_derivatives(lambda z, target: z.norm(), outputs, outputs)


@pytest.mark.parametrize("margin", [1.0, 30.0, 50.0, 300.0])
def test_cross_entropy_keeps_its_digits_where_a_class_is_almost_certain(margin):
    mpmath.mp.dps = 200
    logits = torch.tensor([[margin, 0.0, -1.0]], dtype=torch.float64)
    powers = [mpmath.exp(float(z)) for z in logits[0]]
    p = [power / mpmath.fsum(powers) for power in powers]
    gradient, hessian = loss_derivatives("cross_entropy", logits, torch.tensor([0]))
    for i in range(3):
        assert float(gradient[0, i]) == pytest.approx(float(p[i] - (i == 0)), rel=1e-13)
        for j in range(3):
            assert float(hessian[0, i, j]) == pytest.approx(float(p[i] * ((i == j) - p[j])), rel=1e-13)
