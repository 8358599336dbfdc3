"""Eigenpairs of operators with known spectra; what is multiple, deficient, noisy, tiny or refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from prescribed_spectra import Reflected, as_operator, by_magnitude, hessian_like, rotated, spectra
from scipy.sparse.linalg import eigsh

from suffice import InputError
from suffice.curvature.basis import Basis
from suffice.curvature.eigenpairs import eigenpairs_memory, top_eigenpairs
from suffice.curvature.operator import SymmetricMatrix, SymmetricOperator

PRECISIONS = [torch.float64, torch.float32]


def true_residuals(matrix, values, vectors):
    return torch.linalg.vector_norm(matrix.double() @ vectors.double() - vectors.double() * values, dim=0).numpy()


def check(eigenvalues, found, matrix, tolerance):
    """The largest values, true residuals, orthonormal vectors."""
    values, vectors, residuals = found
    count, eps = len(values), torch.finfo(vectors.dtype).eps
    expected = by_magnitude(eigenvalues)[:count]
    norm = abs(expected[0])
    bounds = np.maximum(tolerance * np.abs(expected), 20 * eps * norm)
    assert np.all(np.abs(np.abs(values.numpy()) - np.abs(expected)) <= 1.5 * bounds)
    true = true_residuals(matrix, values, vectors)
    assert np.all(true <= 1.01 * np.maximum(tolerance * values.abs().numpy(), 20 * eps * norm))
    assert np.all(np.abs(residuals.numpy() - true) <= 0.15 * tolerance * np.abs(expected[-1]) + 20 * eps * norm)
    assert torch.allclose(vectors.T @ vectors, torch.eye(count, dtype=vectors.dtype), atol=50 * eps)


@given(
    eigenvalues=spectra(),
    count=st.integers(1, 8),
    tolerance=st.sampled_from([1e-2, 1e-3, 1e-5]),
    dtype=st.sampled_from(PRECISIONS),
    seed=st.integers(0, 100),
)
@example(eigenvalues=np.repeat([3.0, 1.0, 0.1], [9, 9, 60]), count=10, tolerance=1e-3, dtype=torch.float64, seed=0)
@example(eigenvalues=np.repeat([3.0, 1.0, 0.1], [9, 9, 60]), count=10, tolerance=1e-3, dtype=torch.float32, seed=0)
def test_eigenpairs_are_those_of_the_dense_matrix(eigenvalues, count, tolerance, dtype, seed):
    matrix = rotated(eigenvalues, seed)
    operator = as_operator(matrix, dtype)
    found = top_eigenpairs(operator, min(count, len(eigenvalues)), tolerance, seed=seed)
    check(eigenvalues, found, matrix, tolerance)


@given(eigenvalues=spectra(), seed=st.integers(0, 100), dtype=st.sampled_from(PRECISIONS))
def test_all_eigenpairs_of_a_small_operator(eigenvalues, seed, dtype):
    matrix = rotated(eigenvalues[:30], seed)
    found = top_eigenpairs(as_operator(matrix, dtype), len(matrix), 1e-4, seed=seed)
    check(eigenvalues[:30], found, matrix, 1e-4)
    assert found.products == len(matrix)


@given(
    eigenvalues=spectra(),
    seed=st.integers(0, 100),
    scale=st.sampled_from([-1.0, 2.0**-20, 2.0**20]),
)
def test_a_factor_multiplies_values_and_residuals(eigenvalues, seed, scale):
    count = min(4, len(eigenvalues))
    matrix = rotated(eigenvalues, seed)
    one, other = (top_eigenpairs(as_operator(some), count, seed=seed) for some in (matrix, scale * matrix))
    norm = float(one.values[0].abs())
    assert torch.allclose(scale * one.values, other.values, rtol=1e-9, atol=1e-9 * abs(scale) * norm)
    assert torch.allclose(abs(scale) * one.residuals, other.residuals, rtol=1e-5, atol=1e-9 * abs(scale) * norm)
    assert one.products == other.products


@given(eigenvalues=spectra(), seed=st.integers(0, 100))
def test_values_do_not_depend_on_the_basis(eigenvalues, seed):
    count = min(4, len(eigenvalues))
    found = [top_eigenpairs(as_operator(rotated(eigenvalues, some)), count, 1e-8) for some in (seed, seed + 1)]
    norm = np.abs(eigenvalues).max()
    assert np.allclose(found[0].values.abs(), found[1].values.abs(), rtol=1e-8, atol=1e-12 * norm)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_basis_that_does_not_fit_is_restarted(dtype, monkeypatch):
    eigenvalues = np.concatenate([[3, -2.5, 2, 1.7, 1.5], np.linspace(-1, 1, 1500)])
    operator, count = Reflected(eigenvalues, dtype), 10
    memory = eigenpairs_memory(len(eigenvalues), count, dtype)
    sizes = []
    append = Basis.append
    monkeypatch.setattr(Basis, "append", lambda basis, vector: (append(basis, vector), sizes.append(len(basis)))[0])
    found = top_eigenpairs(operator, count, memory=memory.least)
    assert found.products == operator.products > 2 * max(sizes)
    work = 5 * 8 * len(eigenvalues) + count * dtype.itemsize * len(eigenvalues)
    assert max(sizes) * dtype.itemsize * len(eigenvalues) + work <= memory.least < memory.unrestarted
    assert np.allclose(found.values.abs(), np.abs(by_magnitude(eigenvalues)[:count]), rtol=1e-3)
    assert np.all(found.residuals.numpy() <= 1.01e-3 * found.values.abs().numpy())
    vectors = found.vectors.double()
    exact = operator.reflect(vectors.to(dtype)).double()
    residuals = operator.eigenvalues[:, None].double() * exact - exact * found.values
    assert np.allclose(torch.linalg.vector_norm(residuals, dim=0), found.residuals, atol=2e-5)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_an_operator_of_low_rank(dtype):
    eigenvalues = np.concatenate([[3.0, -2.0, 0.5], np.zeros(197)])
    found = top_eigenpairs(Reflected(eigenvalues, dtype), 6)
    assert np.allclose(found.values, [3, -2, 0.5, 0, 0, 0], atol=1e-6)
    assert found.residuals.max() < 1e-5


@pytest.mark.parametrize("value", [0.0, 2.5])
@pytest.mark.parametrize("size", [1, 2, 80])
def test_a_multiple_of_the_identity(value, size):
    found = top_eigenpairs(as_operator(value * torch.eye(size, dtype=torch.float64)), min(size, 3))
    assert np.allclose(found.values, value)
    assert found.residuals.max() <= 1e-14
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(min(size, 3), dtype=torch.float64))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_start_may_be_an_eigenvector_or_what_the_seed_draws(dtype):
    eigenvalues = hessian_like(300)
    operator = Reflected(eigenvalues, dtype)
    fifth = operator.reflect(torch.eye(300, dtype=dtype)[:, 4:5])[:, 0]
    drawn = torch.randn(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for start in (fifth, 7 * fifth, drawn, drawn.to(dtype)):
        found = top_eigenpairs(operator, 5, start=start, seed=0)
        assert np.allclose(found.values, by_magnitude(eigenvalues)[:5], rtol=1e-3)


def test_multiple_eigenvalues_are_found_as_often_as_they_occur():
    """Where one start vector sees a single eigenvector of each: so does ARPACK."""
    missed = missed_by_arpack = 0
    for seed in range(20):
        eigenvalues = hessian_like(400, (5, 4, 4, 3, 2.5, 2.5, 2), seed)
        operator = Reflected(eigenvalues, seed=seed)
        found = top_eigenpairs(operator, 6, seed=seed)
        missed += not np.allclose(found.values, by_magnitude(eigenvalues)[:6], rtol=1e-3)
        start = np.random.default_rng(seed).standard_normal(400)
        theirs = eigsh(operator.to_scipy(), 6, tol=1e-3, v0=start, return_eigenvectors=False)
        missed_by_arpack += not np.allclose(by_magnitude(theirs), by_magnitude(eigenvalues)[:6], rtol=1e-3)
    assert missed <= 1
    assert missed_by_arpack >= 10


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_products_are_counted_and_fewer_than_those_of_arpack_with_its_check(dtype):
    ours = theirs = 0
    for seed in range(5):
        operator = Reflected(hessian_like(2000, seed=seed), dtype, seed)
        found = top_eigenpairs(operator, 6, seed=seed)
        assert found.products == operator.products
        ours += found.products
        operator.products = 0
        start = np.random.default_rng(seed).standard_normal(2000).astype(np.float32)
        eigsh(operator.to_scipy(), 6, tol=1e-3, v0=start)
        theirs += operator.products + 6
    assert ours < theirs


class Broken(SymmetricOperator):
    """A diagonal operator whose product is changed by a function."""

    shape, dtype, device = (60, 60), torch.float64, torch.device("cpu")

    def __init__(self, change):
        self.change, self.products = change, 0

    def _product(self, vectors):
        self.products += 1
        return self.change(torch.arange(60.0, dtype=torch.float64)[:, None] * vectors, vectors, self.products)


def drift(product, vectors, count):
    return product * (1 + 0.02 * count)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda product, vectors, count: product + 5 * vectors.roll(1, 0), "not symmetric"),
        (lambda product, vectors, count: product + 5 * vectors.abs(), "not symmetric|not reproducible"),
        (drift, "not symmetric|not reproducible"),
        (lambda product, vectors, count: product / (count < 9), "not finite"),
    ],
)
def test_an_operator_that_is_none_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        top_eigenpairs(Broken(change), 5)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_products_with_noise_give_residuals_that_say_so(dtype):
    """Noise of 1e-5, as a model in float32 has: no smaller residual is to be had, and none is claimed."""
    draw = np.random.default_rng(0)
    eigenvalues = hessian_like(500)

    class Noisy(Reflected):
        def _product(self, vectors):
            noise = torch.from_numpy(draw.standard_normal(vectors.shape) * 1e-4 / math.sqrt(500)).to(vectors.dtype)
            return super()._product(vectors) + noise * torch.linalg.vector_norm(vectors, dim=0)

    found = top_eigenpairs(Noisy(eigenvalues, dtype), 6, 1e-5)
    assert np.allclose(found.values, by_magnitude(eigenvalues)[:6], atol=1e-3)
    assert 2e-5 < found.residuals.min() <= found.residuals.max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0: an operator of size 60 has 1 to 60 eigenpairs"),
        ({"count": 61}, "count is 61"),
        ({"tolerance": 0.0}, "tolerance is 0: it must be below 1, and at least 1.2e-06"),
        ({"tolerance": 1e-7}, "tolerance is 1e-07"),
        ({"tolerance": 1.0}, "tolerance is 1"),
        ({"tolerance": math.nan}, "tolerance is nan"),
        ({"memory": 1000}, "memory is 1,000 bytes: 2 eigenpairs of an operator of size 60 need"),
        ({"start": torch.zeros(60)}, "start has the norm 0"),
        ({"start": torch.full((60,), math.nan)}, "start has the norm nan"),
        ({"start": torch.ones(59)}, r"start has the shape \(59,\), it must be \(60,\)"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    operator = SymmetricMatrix(torch.eye(60))
    with pytest.raises(InputError, match=message):
        top_eigenpairs(operator, **({"count": 2} | arguments))


def test_eigenvalues_that_repeat_too_often_for_the_memory():
    operator = Reflected(np.repeat([3.0, 2.0, 0.1], [9, 9, 400]))
    with pytest.raises(InputError, match="multiple eigenvalues take a further vector.*bytes more"):
        top_eigenpairs(operator, 10, memory=eigenpairs_memory(418, 10, torch.float64).least)
