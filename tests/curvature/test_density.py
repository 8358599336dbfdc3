"""The density against that of the eigenvalues themselves; moments, error bars, and what a factor does."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prescribed_spectra import Reflected, as_operator, hessian_like, rotated, spectra
from scipy.stats import t as student

from suffice import InputError
from suffice.curvature.density import density_memory, spectral_density
from suffice.curvature.operator import SymmetricMatrix


def smoothed(grid, width, eigenvalues):
    """The density that the estimate is of."""
    scaled = (grid[:, None] - eigenvalues) / width
    return np.exp(-0.5 * scaled**2).mean(1) / (width * math.sqrt(2 * math.pi))


def moment(density, power):
    return np.trapezoid(density.density * density.grid**power, density.grid)


@given(eigenvalues=spectra(60), seed=st.integers(0, 100), dtype=st.sampled_from([torch.float64, torch.float32]))
def test_it_integrates_to_one_over_the_spectrum(eigenvalues, seed, dtype):
    width = 0.05 * np.abs(eigenvalues).max()
    density = spectral_density(as_operator(rotated(eigenvalues, seed), dtype), 3, seed, steps=20, width=width)
    assert moment(density, 0) == pytest.approx(1, abs=1e-7)
    assert np.all(density.density >= 0)
    assert np.all(density.error >= 0)
    assert np.allclose(density.weights.sum(1), 1)
    reach = 1e-5 * np.abs(eigenvalues).max()
    assert eigenvalues.min() - reach <= density.nodes.min() <= density.nodes.max() <= eigenvalues.max() + reach


@given(eigenvalues=spectra(60), seed=st.integers(0, 100))
def test_the_quadrature_has_the_moments_of_its_vectors(eigenvalues, seed):
    """To the order 2 steps - 1, for the vectors of signs that it draws."""
    matrix, steps = rotated(eigenvalues, seed), 4
    norm = np.abs(eigenvalues).max()
    density = spectral_density(as_operator(matrix), 3, seed, steps=steps, width=norm)
    generator = torch.Generator().manual_seed(seed)
    for nodes, weights in zip(density.nodes, density.weights, strict=True):
        signs = 2.0 * torch.randint(2, (len(matrix),), generator=generator, dtype=torch.int8).double() - 1
        product = signs.clone()
        for power in range(2 * min(steps, len(matrix))):
            exact = float(signs @ product) / len(matrix) / norm**power
            assert float(weights @ (nodes / norm) ** power) == pytest.approx(exact, abs=1e-10)
            product = matrix @ product


def test_the_moments_are_traces():
    eigenvalues = hessian_like(500)
    density = spectral_density(Reflected(eigenvalues), draws=40, steps=30)
    for power, extra in ((1, 0.0), (2, density.width**2)):
        each = (density.weights * density.nodes**power).sum(1)
        error = each.std(ddof=1) / math.sqrt(len(each))
        assert moment(density, power) == pytest.approx(each.mean() + extra, rel=1e-6)
        assert abs(each.mean() - (eigenvalues**power).mean()) < 3 * error


@pytest.mark.deep
def test_with_many_draws_it_is_the_density_of_the_eigenvalues():
    """At the default width, what the quadrature adds to the error over the draws is small."""
    eigenvalues = np.concatenate([np.random.default_rng(0).beta(2, 5, 290), [1.5, 1.8, 2.0, -0.5, -0.5] * 2])
    density = spectral_density(Reflected(eigenvalues), draws=100, steps=24)
    difference = density.density - smoothed(density.grid, density.width, eigenvalues)
    assert np.abs(difference).max() < 0.01 * density.density.max()
    assert np.all(np.abs(difference) <= 4 * density.error + 2e-3 * density.density.max())


def test_error_bars_hold_the_truth_as_often_as_they_say():
    """90% intervals, point by point: over a spectrum in which no single eigenvalue stands out."""
    eigenvalues = np.random.default_rng(0).standard_normal(200)
    held = []
    for seed in range(25):
        density = spectral_density(Reflected(eigenvalues), draws=6, seed=seed, steps=16)
        truth = smoothed(density.grid, density.width, eigenvalues)
        inside = truth > 0.05 * truth.max()
        held.append((np.abs(density.density - truth) <= student.ppf(0.95, 5) * density.error)[inside].mean())
    assert 0.84 <= np.mean(held) <= 0.95


@given(eigenvalues=spectra(60), seed=st.integers(0, 100), scale=st.sampled_from([-1.0, 2.0**-20, 2.0**20]))
def test_a_factor_stretches_the_grid(eigenvalues, seed, scale):
    matrix, width = rotated(eigenvalues, seed), 0.1 * np.abs(eigenvalues).max()
    one = spectral_density(as_operator(matrix), 3, seed, steps=12, width=width)
    other = spectral_density(as_operator(scale * matrix), 3, seed, steps=12, width=abs(scale) * width)
    order = slice(None, None, int(np.sign(scale)))
    reach = np.abs(other.grid).max()
    assert np.allclose(scale * one.grid[order], other.grid, rtol=0, atol=1e-9 * reach)
    assert np.allclose(one.density[order], abs(scale) * other.density, rtol=0, atol=1e-7 * one.density.max())
    assert np.allclose(one.error[order], abs(scale) * other.error, rtol=0, atol=1e-7 * one.density.max())


def test_the_default_width_is_the_range_over_the_steps():
    density = spectral_density(Reflected(np.linspace(-1, 3, 400)), draws=2, steps=20)
    assert density.width == (density.nodes.max() - density.nodes.min()) / 20
    assert density.width == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_a_multiple_of_the_identity_needs_a_width(value):
    operator = as_operator(value * torch.eye(30, dtype=torch.float64))
    with pytest.raises(InputError, match="the density is a point; give a width"):
        spectral_density(operator)
    density = spectral_density(operator, width=0.5)
    assert np.allclose(density.density, smoothed(density.grid, 0.5, np.array([value])))
    assert np.allclose(density.error, 0)


def test_one_parameter():
    density = spectral_density(SymmetricMatrix(torch.full((1, 1), 3.0)), width=0.1)
    assert moment(density, 1) == pytest.approx(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 1}, "give at least 2 draws and 1 step"),
        ({"steps": 0}, "give at least 2 draws and 1 step"),
        ({"width": 0.0}, "width is 0: give one that is finite and above"),
        ({"width": -1.0}, "width is -1"),
        ({"width": math.nan}, "width is nan"),
        ({"width": 1e-9}, "width is 1e-09"),
        ({"memory": 100}, "memory is 100 bytes: 60 steps of 60 parameters take"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        spectral_density(SymmetricMatrix(torch.diag(torch.arange(60.0))), **arguments)


def test_the_memory_is_known_before():
    operator = Reflected(np.arange(50.0))
    memory = density_memory(50, 10, torch.float64)
    assert len(spectral_density(operator, steps=10, memory=memory).nodes[0]) == 10
    with pytest.raises(InputError, match="give more memory or fewer steps"):
        spectral_density(operator, steps=11, memory=memory)
