"""Eigenvalues above the bulk, where the spectrum is known."""

import dataclasses

import numpy as np
import pytest
import torch
from prescribed_spectra import Reflected

from suffice import InputError
from suffice.curvature import outliers, spectral_density, top_eigenpairs

BULK = np.random.default_rng(0).uniform(-0.3, 1.0, 400)


def found_of(apart, count=20, scale=1.0, width=0.1):
    A = Reflected(scale * np.concatenate([apart, BULK]))
    density = spectral_density(A, draws=4, width=scale * width)
    return outliers(density, top_eigenpairs(A, count, tolerance=1e-6))


@pytest.mark.parametrize("apart", [[], [3.0], [9.0, 5.0, 4.0, 2.0], [6.0, 2.5, -5.0, -3.0]])
@pytest.mark.parametrize("scale", [1.0, *(pytest.param(scale, marks=pytest.mark.deep) for scale in (1e-4, 1e3))])
def test_they_are_those_that_were_set_apart(apart, scale):
    found = found_of(apart, scale=scale)
    above = [value for value in apart if value > 0]
    assert found.count == len(above)
    assert found.values / scale == pytest.approx(above)
    assert 1.0 < found.edge / scale < 1.5  # a few widths beyond the bulk


@pytest.mark.deep
def test_several_in_one_place_are_several():
    assert found_of([4.0, 4.0, 4.0]).count == 3


def test_too_few_eigenvalues_are_refused():
    with pytest.raises(InputError, match=r"2 eigenvalues reach down to 5.*more than 2 outliers; ask top_eigenpairs"):
        found_of([9.0, 5.0, 4.0, 2.0], count=2)
    with pytest.raises(InputError, match="more than 1 outliers"):
        found_of([9.0, -5.0], count=2)  # it does not help that the other end is reached


@pytest.mark.deep
def test_an_eigenvalue_too_near_to_the_edge_is_refused():
    A = Reflected(np.concatenate([[9.0, 5.0], BULK]))
    density, pairs = spectral_density(A, draws=4, width=0.1), top_eigenpairs(A, 20)
    far = dataclasses.replace(pairs, residuals=torch.full_like(pairs.residuals, 1.0))
    with pytest.raises(InputError, match="smaller tolerance"):
        outliers(density, far)
    assert outliers(density, pairs).count == 2


@pytest.mark.deep
def test_a_density_that_does_not_fall_is_refused():
    A = Reflected(np.concatenate([[9.0, 5.0], BULK]))
    density = spectral_density(A, draws=4, width=0.1)
    cut = dataclasses.replace(density, density=np.full_like(density.density, density.density.max()))
    with pytest.raises(InputError, match="does not fall"):
        outliers(cut, top_eigenpairs(A, 20))
