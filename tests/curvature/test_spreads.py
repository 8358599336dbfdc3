"""Spreads over samples against dense Hessians, and products of the Hessians of single samples."""

import numpy as np
import pytest
import torch
from small_models import SAMPLES, SOUND, drawn, problem_of

from suffice.curvature import Hessian, loss_gradients, parameter_count, sample_products, spectral_norm, spreads
from suffice.curvature.sample_products import SampleProducts

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")

KINDS = ["norm_mlp", "regression", "experts", pytest.param("lora_at_start", marks=pytest.mark.deep)]


def dense_hessians(problem):
    eye = torch.eye(parameter_count(problem), dtype=torch.float64)
    return torch.stack([Hessian(problem, positions=np.array([one])) @ eye for one in range(SAMPLES)])


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_dense_matrices(kind):
    problem = SOUND[kind]()
    found = spreads(problem, tolerance=1e-4)
    with problem.measuring():
        losses = problem.losses(problem.batch(slice(None)))
    gradients = loss_gradients(problem, np.arange(SAMPLES))
    hessians = dense_hessians(problem)
    apart = hessians - hessians.mean(0)
    variance = (apart @ apart).sum(0) / (SAMPLES - 1)
    assert found.loss == pytest.approx(float(losses.std()))
    assert found.gradient == pytest.approx(float(gradients.var(0).sum().sqrt()))
    assert found.hessian == pytest.approx(float(torch.linalg.eigvalsh(variance)[-1].sqrt()), rel=1e-4)
    assert 0 <= found.residual <= 1e-4 * found.hessian


@pytest.mark.parametrize("route", ["vmap", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_products_of_single_samples_are_those_of_their_hessians(kind, route, monkeypatch):
    if route == "plain":

        def refuse(function):
            raise RuntimeError("not today")

        monkeypatch.setattr(sample_products, "vmap", refuse)
    problem = SOUND[kind]()
    positions = np.array([4, 1, 5])
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(3, parameter_count(problem), generator=draw, dtype=torch.float64)
    expected = torch.einsum("spq,sq->sp", dense_hessians(problem)[positions], vectors)
    found = SampleProducts(problem)(positions, vectors)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_equal_samples_have_no_spread(dtype):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 3))
    x = torch.randn(1, 4, dtype=dtype).repeat(6, 1)
    problem = problem_of(model, x, torch.ones(6, dtype=torch.long), dtype=dtype)
    found = spreads(problem)
    scale = abs(spectral_norm(Hessian(problem)).value)
    assert found.hessian <= 100 * torch.finfo(dtype).eps * scale


def test_the_way_of_products_is_judged_by_samples_whose_products_are_not_zero():
    """Of the first two, all derivatives vanish."""
    x = drawn(SAMPLES, 3)
    x[:2] = 0

    class Distances(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.centers = torch.nn.Parameter(drawn(2, 3, seed=5))

        def forward(self, x):
            return x.square().sum(1, keepdim=True) * (x[:, None] - self.centers).square().sum(2).sin()

    problem = problem_of(Distances(), x, torch.zeros(SAMPLES, 2, dtype=torch.float64), loss="mse", order="source")
    vectors = drawn(SAMPLES, 6)
    products = SampleProducts(problem)
    right = products._by_vmap
    products._by_vmap = lambda positions, some: 2 * right(positions, some)
    with problem.measuring():
        found = products(np.arange(SAMPLES), vectors)
    expected = [Hessian(problem, positions=np.array([row])) @ vectors[row] for row in range(SAMPLES)]
    assert torch.allclose(found, torch.stack(expected), rtol=1e-8, atol=1e-12)
