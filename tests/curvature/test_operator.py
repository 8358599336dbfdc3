"""What an operator takes and refuses, and the same operator for SciPy."""

import math

import numpy as np
import pytest
import torch
from prescribed_spectra import Reflected, as_operator, rotated

from suffice import InputError
from suffice.curvature.operator import SymmetricMatrix, check_tensor


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_with_vectors_and_with_columns(dtype):
    matrix = rotated(np.arange(7.0)).to(dtype)
    operator = as_operator(matrix, dtype)
    columns = torch.randn(7, 3, dtype=dtype)
    assert torch.equal(operator @ columns, matrix @ columns)
    assert torch.allclose(operator @ columns[:, 0], matrix @ columns[:, 0])
    assert (operator @ columns[:, 0]).shape == (7,)
    assert (operator.shape, operator.dtype, operator.device) == ((7, 7), dtype, matrix.device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scipy_sees_the_same_operator(dtype):
    operator = Reflected(np.arange(6.0), dtype)
    theirs = operator.to_scipy()
    columns = np.random.default_rng(0).standard_normal((6, 2))
    expected = operator @ torch.from_numpy(columns).to(dtype)
    assert theirs.dtype == np.dtype(str(dtype).removeprefix("torch."))
    assert theirs.shape == (6, 6)
    assert np.array_equal(theirs @ columns, expected.numpy())
    assert np.allclose(theirs @ columns[:, 0], expected[:, 0], rtol=1e-5)
    assert np.allclose(theirs.T @ columns, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (torch.ones(3), r"v has the shape \(3,\), it must be \(2,\) or \(2, n\)"),
        (torch.ones(2, 1, 1), r"v has the shape \(2, 1, 1\)"),
        (torch.ones(2, dtype=torch.float64), r"v is torch.float64 on cpu, A is torch.float32 on cpu; use v.to"),
        (torch.tensor([1.0, math.inf]), "not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vector, message):
    with pytest.raises(InputError, match=message):
        SymmetricMatrix(torch.eye(2)) @ vector


def test_arrays_of_numpy_are_refused_by_name():
    check_tensor(torch.ones(2), "basis")
    with pytest.raises(InputError, match=r"basis: a ndarray, not a tensor; take torch.as_tensor\(\.\.\.\) of it"):
        check_tensor(np.ones(2), "basis")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.ones(2, 3), "must be square"),
        (torch.ones(2, 2, dtype=torch.bfloat16), "float32 or float64"),
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "not symmetric: it differs from its transpose by up to 1"),
    ],
)
def test_matrices_that_are_none_are_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        SymmetricMatrix(matrix)
