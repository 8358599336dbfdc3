"""Estimates against dense matrices: exact where they say so, right on average, and within their error bars."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prescribed_spectra import Reflected, as_operator, hessian_like, rotated, spectra
from scipy.stats import t as student

from suffice import InputError
from suffice.curvature.operator import SymmetricMatrix, random_signs
from suffice.curvature.traces import diagonal, frobenius_norm, moments, trace

PRECISIONS = [torch.float64, torch.float32]
ESTIMATORS = {"trace": trace, "frobenius_norm": frobenius_norm}


def dense(matrix):
    return {"trace": float(matrix.trace()), "frobenius_norm": float(torch.linalg.matrix_norm(matrix))}


@given(eigenvalues=spectra(30), seed=st.integers(0, 100), dtype=st.sampled_from(PRECISIONS))
def test_with_as_many_products_as_parameters_all_is_exact(eigenvalues, seed, dtype):
    matrix, draws = rotated(eigenvalues, seed), len(eigenvalues)
    operator = as_operator(matrix, dtype)
    accuracy = {"rel": 0, "abs": 100 * torch.finfo(dtype).eps * np.abs(eigenvalues).sum()}
    for name, estimator in ESTIMATORS.items():
        assert estimator(operator, draws) == (pytest.approx(dense(matrix)[name], **accuracy), 0)
    values, errors = diagonal(operator, draws)
    assert torch.allclose(values, matrix.diagonal(), rtol=0, atol=accuracy["abs"])
    assert not errors.any()


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_an_operator_of_low_rank_is_seen_whole(dtype):
    eigenvalues = np.concatenate([[3.0, -2.0, 0.5], np.zeros(97)])
    matrix = rotated(eigenvalues)
    operator, accuracy = as_operator(matrix, dtype), 100 * torch.finfo(dtype).eps
    for name, estimator in ESTIMATORS.items():
        value, error = estimator(operator, 12)
        assert value == pytest.approx(dense(matrix)[name], abs=accuracy)
        assert error < accuracy
    assert torch.allclose(diagonal(operator, 12).values, matrix.diagonal(), rtol=0, atol=accuracy)


@given(eigenvalues=spectra(60), seed=st.integers(0, 100), scale=st.sampled_from([-1.0, 2.0**-20, 2.0**20]))
def test_a_factor_multiplies_values_and_errors(eigenvalues, seed, scale):
    matrix = rotated(eigenvalues, seed)
    one, other = as_operator(matrix), as_operator(scale * matrix)
    for name, estimator in ESTIMATORS.items():
        factor = abs(scale) if name == "frobenius_norm" else scale
        close = {"rel": 1e-6, "abs": 1e-8 * abs(scale) * np.abs(eigenvalues).max()}
        values = estimator(one, 8, seed), estimator(other, 8, seed)
        assert values[1].value == pytest.approx(factor * values[0].value, **close)
        assert values[1].error == pytest.approx(abs(scale) * values[0].error, **close)
    close = {"rtol": 1e-6, "atol": 1e-8 * abs(scale) * np.abs(eigenvalues).max()}
    entries = diagonal(one, 8, seed), diagonal(other, 8, seed)
    assert torch.allclose(scale * entries[0].values, entries[1].values, **close)
    assert torch.allclose(abs(scale) * entries[0].errors, entries[1].errors, **close)


SEEDS = 100


@pytest.mark.parametrize(("name", "draws"), [("trace", 12), ("trace", 30), ("frobenius_norm", 30)])
@pytest.mark.parametrize("kind", ["hessian", "bulk"])
def test_error_bars_hold_the_truth_as_often_as_they_say(name, kind, draws):
    """90% intervals, right on average: binomial standard error 0.03."""
    eigenvalues = hessian_like(120) if kind == "hessian" else np.random.default_rng(0).standard_normal(120) + 0.5
    matrix = rotated(eigenvalues)
    operator = as_operator(matrix)
    estimates = [ESTIMATORS[name](operator, draws, seed) for seed in range(SEEDS)]
    deviations = np.array([estimate.value - dense(matrix)[name] for estimate in estimates])
    errors = np.array([estimate.error for estimate in estimates])
    held = (np.abs(deviations) <= student.ppf(0.95, draws // 2 - 1) * errors).mean()
    assert 0.82 <= held <= 0.97
    assert abs(deviations.mean()) < 3 * deviations.std() / np.sqrt(SEEDS)


def test_error_bars_of_diagonals():
    matrix = rotated(hessian_like(60))
    held = []
    for seed in range(40):
        values, errors = diagonal(as_operator(matrix), 16, seed)
        held.append(((values - matrix.diagonal()).abs() <= student.ppf(0.95, 7) * errors).double().mean())
    assert 0.86 <= np.mean(held) <= 0.94


def test_the_subspace_lowers_the_error_where_few_eigenvalues_stand_out():
    """Against the plain means of random signs, at equal products."""
    eigenvalues, draws = hessian_like(300), 20
    operator, ours, theirs = as_operator(rotated(eigenvalues)), [], []
    generator = torch.Generator().manual_seed(0)
    for seed in range(30):
        ours.append(trace(operator, draws, seed).value - eigenvalues.sum())
        signs = [random_signs(operator, generator) for _ in range(draws)]
        theirs.append(np.mean([float(one @ (operator @ one)) for one in signs]) - eigenvalues.sum())
    assert np.std(ours) < 0.3 * np.std(theirs)


@pytest.mark.parametrize("estimator", [trace, frobenius_norm, diagonal])
def test_products_are_as_many_as_asked_for(estimator):
    operator = Reflected(hessian_like(80))
    estimator(operator, 15)
    assert operator.products == 15


def test_both_moments_are_those_of_the_same_products():
    operator = Reflected(hessian_like(80))
    found = moments(operator, 15, seed=3)
    assert operator.products == 15
    assert found == (trace(operator, 15, seed=3), frobenius_norm(operator, 15, seed=3))


def test_too_few_draws_are_refused():
    for estimator in (trace, frobenius_norm, diagonal):
        with pytest.raises(InputError, match="draws is 3: give at least 4"):
            estimator(SymmetricMatrix(torch.eye(5)), 3)
    assert trace(SymmetricMatrix(torch.eye(2)), 2) == (2, 0)
