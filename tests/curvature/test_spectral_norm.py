"""The norm of indefinite operators, from random starts and from starts at the wrong end."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prescribed_spectra import Reflected, as_operator, hessian_like, rotated, spectra

from suffice import InputError
from suffice.curvature.operator import SymmetricMatrix
from suffice.curvature.spectral_norm import spectral_norm

PRECISIONS = [torch.float64, torch.float32]


@given(
    eigenvalues=spectra(),
    tolerance=st.sampled_from([1e-2, 1e-4]),
    dtype=st.sampled_from(PRECISIONS),
    seed=st.integers(0, 100),
)
def test_the_norm_is_that_of_the_dense_matrix(eigenvalues, tolerance, dtype, seed):
    matrix = rotated(eigenvalues, seed)
    found = spectral_norm(as_operator(matrix, dtype), tolerance, seed=seed)
    norm = np.abs(eigenvalues).max()
    assert abs(abs(found.value) - norm) <= 2 * tolerance * norm
    vector = found.vector.double()
    assert float(torch.linalg.vector_norm(vector)) == pytest.approx(1, abs=1e-5)
    true = float(torch.linalg.vector_norm(matrix @ vector - found.value * vector))
    assert true == pytest.approx(found.residual, abs=20 * torch.finfo(dtype).eps * norm)
    assert found.residual <= tolerance * abs(found.value) + 20 * torch.finfo(dtype).eps * norm
    assert found.products <= len(eigenvalues)


@given(
    end=st.sampled_from([1.0, -1.0]),
    ratio=st.floats(1.02, 3),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(PRECISIONS),
)
def test_a_start_at_the_wrong_end_finds_the_right_one(end, ratio, seed, dtype):
    """The start is the eigenvector of the smaller end, whose residual is zero at once."""
    eigenvalues = np.concatenate([[end, -end * ratio], np.random.default_rng(seed).uniform(-0.5, 0.5, 298)])
    operator = Reflected(eigenvalues, dtype, seed)
    wrong = operator.reflect(torch.eye(300, dtype=dtype)[:, :1])[:, 0]
    found = spectral_norm(operator, 1e-2, start=wrong, seed=seed)
    assert found.value == pytest.approx(-end * ratio, rel=1e-2)
    assert found.products == operator.products >= 8


def test_two_ends_of_the_same_magnitude():
    found = spectral_norm(Reflected(np.concatenate([[2.0, -2.0], np.linspace(-1, 1, 400)])), 1e-6)
    assert abs(found.value) == pytest.approx(2, rel=1e-6)


def test_a_start_saves_products():
    eigenvalues = np.concatenate([[1.1], np.linspace(-1, 1, 2000)])
    operator = Reflected(eigenvalues)
    cold = spectral_norm(operator, 1e-3)
    warm = spectral_norm(operator, 1e-3, start=cold.vector)
    assert warm.value == pytest.approx(1.1, rel=1e-3)
    assert 8 <= warm.products < cold.products


@given(eigenvalues=spectra(), seed=st.integers(0, 100), scale=st.sampled_from([-1.0, 2.0**-30, 2.0**30]))
def test_a_factor_multiplies_the_value(eigenvalues, seed, scale):
    matrix = rotated(eigenvalues, seed)
    one, other = (spectral_norm(as_operator(some), 1e-3, seed=seed) for some in (matrix, scale * matrix))
    assert abs(other.value) == pytest.approx(abs(scale * one.value), rel=1e-9)
    assert other.products == one.products


@pytest.mark.parametrize("size", [1, 50])
def test_the_zero_operator(size):
    found = spectral_norm(as_operator(torch.zeros(size, size, dtype=torch.float64)))
    assert (found.value, found.residual, found.products) == (0.0, 0.0, 1)


def test_a_basis_that_does_not_fit_is_restarted():
    operator = Reflected(np.concatenate([[-1.05], np.linspace(-1, 1, 3000)]))
    enough, least = spectral_norm(operator, 1e-3), spectral_norm(operator, 1e-3, memory=(16 + 5) * 8 * 3001)
    assert least.value == pytest.approx(enough.value, rel=1e-4)
    assert least.products >= enough.products > 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 1e-8}, "tolerance is 1e-08: it must be below 1, and at least 1.2e-06"),
        ({"start": torch.zeros(60)}, "start has the norm 0"),
        ({"start": torch.full((60,), math.inf)}, "start has the norm inf"),
        ({"memory": 100}, "memory is 100 bytes: a basis of 16 vectors of 60 needs"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        spectral_norm(SymmetricMatrix(torch.eye(60)), **arguments)


def test_a_few_products_suffice_on_a_hessian():
    assert spectral_norm(Reflected(hessian_like(5000)), 1e-2).products <= 10
