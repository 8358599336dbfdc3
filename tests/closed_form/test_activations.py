import jaxtyping
import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError
from suffice.closed_form import Activation, TransformerBlock
from suffice.closed_form.activations import ACTIVATIONS, find_activation


@pytest.mark.parametrize("name", ["gelu", "relu", "tanh", "identity"])
@given(numbers=st.lists(st.floats(-40, 40).filter(lambda x: x == 0 or abs(x) > 1e-100), min_size=1))
def test_derivatives_are_those_of_double_backward(name, numbers):
    activation = find_activation(name)
    x = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(activation.value(x).sum(), x, create_graph=True)
    second = torch.zeros_like(x)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), x, allow_unused=True, materialize_grads=True)
    x = x.detach()
    torch.testing.assert_close(activation.first(x), first.detach(), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(activation.second(x), second, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gelu", lambda x: x * mpmath.ncdf(x)), ("tanh", mpmath.tanh)],
)
@given(x=st.floats(-8, 8))
def test_derivatives_are_exact_to_rounding(name, value, x):
    mpmath.mp.dps = 50
    activation, point = ACTIVATIONS[name], torch.tensor(x, dtype=torch.float64)
    for order, function in enumerate(activation[:3]):
        assert float(function(point)) == pytest.approx(float(mpmath.diff(value, x, order)), rel=1e-14, abs=1e-15)


def test_relu_has_no_slope_and_no_curvature_at_its_kink():
    points = torch.tensor([-1.0, -0.0, 0.0, 1e-300, 1.0], dtype=torch.float64)
    relu = find_activation("relu")
    assert relu.first(points).tolist() == [0, 0, 0, 1, 1]
    assert relu.second(points).tolist() == [0, 0, 0, 0, 0]


def test_an_activation_of_ones_own_is_used_as_it_is():
    square = Activation(torch.square, lambda x: 2 * x, lambda x: torch.full_like(x, 2.0))
    assert find_activation(square) is square
    assert TransformerBlock(4, 4, 8, activation=square).activation is square


@pytest.fixture
def as_users_have_it():
    """Without the checks of types, which are switched on in tests alone and would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("function", [torch.relu, torch.nn.GELU(), None])
@pytest.mark.usefixtures("as_users_have_it")
def test_a_function_without_its_derivatives_is_refused(function):
    with pytest.raises(InputError, match=r"Activation\(value, first, second\)"):
        TransformerBlock(4, 4, 8, activation=function)


@pytest.mark.parametrize(("word", "meant"), [("gellu", "gelu"), ("relu6", "relu"), ("tan", "tanh")])
def test_unknown_names_are_refused_with_the_nearest_known(word, meant):
    with pytest.raises(InputError, match=f"'{word}' is not known; did you mean \"{meant}\""):
        find_activation(word)
