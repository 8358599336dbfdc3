"""GELU with derivatives written out, against finite differences and PyTorch's own."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from suffice.curvature.written_out import Gelu, WrittenOut


def inputs(*shape):
    draw = torch.Generator().manual_seed(0)
    return (3 * torch.randn(*shape, generator=draw, dtype=torch.float64)).requires_grad_()


def test_derivatives_are_finite_differences():
    assert gradcheck(Gelu.apply, inputs(3, 5))
    assert gradgradcheck(Gelu.apply, inputs(3, 5))


CALLS = {
    "function": functional.gelu,
    "module": torch.nn.GELU(),
    "told to be exact": lambda x: functional.gelu(x, approximate="none"),
    "by tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "something else": functional.silu,
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
    is_written_out = kind in ("function", "module", "told to be exact") and dtype != torch.bfloat16
    assert (outputs.grad_fn.name() == "GeluBackward") == is_written_out
