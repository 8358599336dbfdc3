"""Moments of the change by one more sample over Gaussian points, against Monte Carlo and enumeration."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from suffice import InputError, Probes, Problem, record
from suffice.curvature import PerSample, per_sample
from suffice.landscape import gaussian_moments

SIZES = [1, 2, 7, 18, 19]


def quadratic(samples=20):
    """Losses that are quadratic in the weights: squared errors of a linear model."""
    torch.manual_seed(0)
    x, y = torch.randn(samples, 4, dtype=torch.float64), torch.randn(samples, 1, dtype=torch.float64)
    return Problem(nn.Linear(4, 1).double(), TensorDataset(x, y), "mse")


def basis_of(columns, parameters=5):
    draw = torch.Generator().manual_seed(1)
    return torch.linalg.qr(torch.randn(parameters, columns, generator=draw, dtype=torch.float64)).Q


def rows_of(samples=12, directions=3, seed=0):
    draw = np.random.default_rng(seed)
    hessians = draw.standard_normal((samples, directions, directions))
    return PerSample(
        draw.standard_normal(samples), draw.standard_normal((samples, directions)), hessians + hessians.swapaxes(1, 2)
    )


@pytest.mark.parametrize("sigma", [pytest.param(0.1, marks=pytest.mark.deep), 1.0])
def test_they_are_those_of_drawn_points_where_losses_are_quadratic(sigma):
    problem, basis, count = quadratic(), basis_of(3), 1000
    found = gaussian_moments(per_sample(problem, basis), SIZES, sigma)
    probes = Probes.gaussian(problem, sigma, count, seed=2, basis=basis)
    losses = record(problem, probes).losses[:, 1:]
    means = np.cumsum(losses, 0) / np.arange(1, len(losses) + 1)[:, None]
    for row, k in enumerate(SIZES):
        steps = means[k] - means[k - 1]
        for measured, expected in ((steps, found.mean[row]), (steps**2, found.square[row])):
            assert abs(measured.mean() - expected) < 4 * measured.std(ddof=1) / math.sqrt(count)


@pytest.mark.parametrize("order", [None, np.array([3, 0, 11, 5, 2, 7])])
def test_they_are_exact_sums_over_a_quadrature(order):
    """Gauss-Hermite rules with 3 nodes integrate polynomials of degree 4 in each coordinate exactly."""
    rows, sigma = rows_of(), 0.7
    sizes = [1, 3, 5]
    found = gaussian_moments(rows, sizes, sigma, order)
    chosen = np.arange(12) if order is None else order
    nodes, weights = np.array([-math.sqrt(3), 0, math.sqrt(3)]), np.array([1 / 6, 2 / 3, 1 / 6])
    for row, k in enumerate(sizes):
        mean = square = 0.0
        for where in np.ndindex(3, 3, 3):
            delta, weight = sigma * nodes[list(where)], weights[list(where)].prod()
            losses = (rows.losses + rows.gradients @ delta + np.einsum("d,sde,e->s", delta, rows.hessians, delta) / 2)[
                chosen
            ]
            step = losses[: k + 1].mean() - losses[:k].mean()
            mean, square = mean + weight * step, square + weight * step**2
        assert found.mean[row] == pytest.approx(mean, rel=1e-12, abs=1e-14)
        assert found.square[row] == pytest.approx(square, rel=1e-12)


def test_small_sigma_leaves_the_step_at_the_center():
    rows = rows_of()
    found = gaussian_moments(rows, [4], 1e-9)
    assert found.mean[0] == pytest.approx(rows.losses[:5].mean() - rows.losses[:4].mean())
    assert found.square[0] == pytest.approx(found.mean[0] ** 2)


@pytest.mark.parametrize("sizes", [[0], [12], []])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(InputError, match="sizes"):
        gaussian_moments(rows_of(), sizes, 1.0)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sigma_that_is_none_is_refused(sigma):
    with pytest.raises(InputError, match="sigma"):
        gaussian_moments(rows_of(), [1], sigma)
