import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import Normal
from torch.autograd.functional import hessian, jacobian
from torch.nn import functional

from suffice.closed_form import (
    layer_norm_jacobian,
    layer_norm_second_derivative,
    softmax_jacobian,
    softmax_second_derivative,
)

SEEDS = st.integers(0, 2**32)
WIDTHS = st.integers(1, 7)
EPS = st.sampled_from([1e-5, 1e-2, 1.0])
SIZES = st.sampled_from([1e-2, 1.0, 30.0])


def close(found, expected, scale=1.0):
    """By the size of all entries together: where one of them is 0, it is 0 by a difference of larger ones."""
    return float((found - expected).norm()) < 1e-11 * max(float(expected.norm()), scale)


@given(seed=SEEDS, width=WIDTHS, eps=EPS)
def test_the_jacobian_of_layer_norm_is_that_of_automatic_differentiation(seed, width, eps):
    x = Normal(seed)(2, 3, width)
    found = layer_norm_jacobian(x, eps)
    for place in ((i, j) for i in range(2) for j in range(3)):
        expected = jacobian(lambda x: functional.layer_norm(x, (width,), eps=eps), x[place])
        assert close(found[place], expected, 1 / float(x[place].var(correction=0) + eps) ** 0.5)


@given(seed=SEEDS, width=WIDTHS, eps=EPS)
def test_the_second_derivative_of_layer_norm_is_that_of_double_backward(seed, width, eps):
    x, u = Normal(seed)(2, 3, width)
    found = layer_norm_second_derivative(x, u, eps)
    for row in range(3):
        expected = hessian(lambda x, u=u[row]: u @ functional.layer_norm(x, (width,), eps=eps), x[row])
        assert close(found[row], expected, float(u[row].norm() / (x[row].var(correction=0) + eps)))
        assert close(found[row].mT, found[row])


@given(seed=SEEDS, width=st.integers(3, 7), eps=st.sampled_from([0.0, 1e-5, 1.0]), shift=st.sampled_from([0.0, 10.0]))
def test_the_spectral_norm_of_the_jacobian_of_layer_norm_is_one_over_the_deviation(seed, width, eps, shift):
    x = Normal(seed)(4, width) + shift
    deviation = (x.var(-1, correction=0) + eps).sqrt()
    norms = torch.linalg.matrix_norm(layer_norm_jacobian(x, eps), 2)
    torch.testing.assert_close(norms, 1 / deviation, rtol=1e-12, atol=0)


@given(seed=SEEDS, width=WIDTHS, size=SIZES)
def test_the_jacobian_of_softmax_is_that_of_automatic_differentiation(seed, width, size):
    t = size * Normal(seed)(2, 3, width)
    found = softmax_jacobian(t.softmax(-1))
    for place in ((i, j) for i in range(2) for j in range(3)):
        assert close(found[place], jacobian(lambda t: t.softmax(-1), t[place]))


@given(seed=SEEDS, width=WIDTHS, size=SIZES)
def test_the_second_derivative_of_softmax_is_that_of_double_backward(seed, width, size):
    t, u = Normal(seed)(2, 3, width)
    found = softmax_second_derivative((size * t).softmax(-1), u)
    for row in range(3):
        assert close(found[row], hessian(lambda t, u=u[row]: u @ t.softmax(-1), size * t[row]))
        assert close(found[row].mT, found[row])


@given(seed=SEEDS, width=WIDTHS, size=SIZES)
def test_the_spectral_norm_of_the_jacobian_of_softmax_is_at_most_a_half(seed, width, size):
    norms = torch.linalg.matrix_norm(softmax_jacobian((size * Normal(seed)(5, width)).softmax(-1)), 2)
    assert float(norms.max()) <= 0.5 + 1e-15


def test_half_is_reached_by_softmax():
    halves = torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert float(torch.linalg.matrix_norm(softmax_jacobian(halves), 2)) == pytest.approx(0.5, rel=1e-14)
