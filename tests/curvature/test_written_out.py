"""GELU and LayerNorm with derivatives written out, against finite differences and PyTorch's own."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from suffice.curvature.written_out import Gelu, LayerNorm, WrittenOut


def inputs(*shape):
    draw = torch.Generator().manual_seed(0)
    return (3 * torch.randn(*shape, generator=draw, dtype=torch.float64)).requires_grad_()


def test_derivatives_are_finite_differences():
    assert gradcheck(Gelu.apply, inputs(3, 5))
    assert gradgradcheck(Gelu.apply, inputs(3, 5))


@pytest.mark.parametrize("weight", [None, inputs(4)], ids=["plain", "weight"])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 2, 4)], ids=str)
def test_derivatives_of_the_norm_are_finite_differences(shape, weight):
    def norm(x):
        return LayerNorm.apply(x, weight, 1e-5)

    def norm_of_both(x, weight):
        return LayerNorm.apply(x, weight, 1e-5)

    of, arguments = (norm, inputs(*shape)) if weight is None else (norm_of_both, (inputs(*shape), weight))
    assert gradcheck(of, arguments)
    assert gradgradcheck(of, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_far_from_zero_derivatives_are_those_of_a_line(dtype):
    x = torch.tensor([-1e30, -60, 60, 1e30], dtype=dtype, requires_grad=True)
    outputs = Gelu.apply(x)
    (gradient,) = torch.autograd.grad(outputs.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    assert torch.equal(outputs, torch.relu(x))
    assert gradient.tolist() == [0, 0, 1, 1]
    assert second.tolist() == [0, 0, 0, 0]


CALLS = {
    "function": functional.gelu,
    "module": torch.nn.GELU(),
    "told to be exact": lambda x: functional.gelu(x, approximate="none"),
    "by tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "something else": functional.silu,
    "norm": lambda x: torch.nn.LayerNorm(6).to(x)(x),
    "norm without bias": lambda x: torch.nn.LayerNorm(6, bias=False).to(x)(x),
    "norm without weights": lambda x: torch.nn.LayerNorm(6, elementwise_affine=False).to(x)(x),
    "norm called by name": lambda x: functional.layer_norm(input=x, normalized_shape=(6,)),
    "norm over two dimensions": lambda x: torch.nn.LayerNorm([5, 6]).to(x)(x),
    "norm of what is transposed": lambda x: functional.layer_norm(x.transpose(0, 1), (6,)).transpose(0, 1),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", CALLS)
def test_within_the_mode_calls_have_the_same_values_and_derivatives(kind, dtype):
    def derivatives(outputs, x):
        (gradient,) = torch.autograd.grad(outputs.square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), x)
        return outputs.detach(), gradient.detach(), second

    x, again = (inputs(2, 5, 6).detach().to(dtype).requires_grad_() for _ in range(2))
    expected = derivatives(CALLS[kind](x), x)
    with WrittenOut():
        outputs = CALLS[kind](again)
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 0}[dtype]
    for found, known in zip(derivatives(outputs, again), expected, strict=True):
        assert torch.allclose(found, known, rtol=tolerance, atol=tolerance)
    assert outputs.dtype == dtype


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, "GeluBackward") for kind in ("function", "module", "told to be exact")]
    + [(kind, "LayerNormBackward") for kind in ("norm without weights", "norm called by name")],
)
def test_they_are_written_out(kind, name):
    with WrittenOut():
        assert CALLS[kind](inputs(2, 5, 6)).grad_fn.name() == name
        assert CALLS[kind](inputs(2, 5, 6).bfloat16()).grad_fn.name() != name
