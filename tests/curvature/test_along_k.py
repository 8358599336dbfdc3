"""Eigenpairs of the mean Hessian of the first k samples, against dense matrices."""

import numpy as np
import pytest
import torch
from small_models import SAMPLES, SOUND

from suffice import InputError
from suffice.curvature import Hessian, along_k, parameter_count, subspace_overlap

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")

SIZES = [1, 3, SAMPLES]
COUNT = 2


def dense(problem, positions):
    """By central differences of gradients."""
    parameters, step = list(problem.moving.values()), 1e-5

    def gradient():
        loss = problem.losses(problem.batch(positions)).mean()
        parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])

    columns = []
    with problem.measuring(), torch.enable_grad():
        for parameter in parameters:
            flat = parameter.detach().reshape(-1)
            for entry in range(len(flat)):
                value = float(flat[entry])
                ends = []
                for sign in (1, -1):
                    flat[entry] = value + sign * step
                    ends.append(gradient())
                flat[entry] = value
                columns.append((ends[0] - ends[1]) / (2 * step))
    matrix = torch.stack(columns)
    return (matrix + matrix.T) / 2


def top(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    first = values.abs().argsort(descending=True)[:COUNT]
    return values[first], vectors[:, first]


@pytest.mark.deep
def test_they_are_those_of_dense_matrices_along_every_order():
    problem = SOUND["norm_mlp"]()
    orders = [np.arange(SAMPLES), np.array([3, 5, 0, 1, 4, 2])]
    found = along_k(problem, SIZES, COUNT, orders)
    _, whole = top(dense(problem, np.arange(SAMPLES)))
    for row, order in enumerate(orders):
        for column, size in enumerate(SIZES):
            values, vectors = top(dense(problem, order[:size]))
            assert found.values[row, column] == pytest.approx(values.numpy(), rel=1e-4)
            assert found.overlap[row, column] == pytest.approx(float((vectors.T @ whole).square().sum()) / 2, abs=1e-3)
            assert (found.residuals[row, column] <= 1e-3 * np.abs(found.values[row, column])).all()
    assert found.overlap[:, -1] == pytest.approx([1, 1])
    assert np.array_equal(found.values[0, -1], found.whole.values.numpy())


@pytest.mark.deep
def test_its_own_order_is_the_default():
    problem = SOUND["norm_mlp"]()
    default, given = along_k(problem, [2, 4], 1), along_k(problem, [2, 4], 1, [np.arange(SAMPLES)])
    assert np.array_equal(default.values, given.values)
    assert np.array_equal(default.overlap, given.overlap)
    first = Hessian(problem, positions=slice(0, 2))
    vector = torch.linalg.eigh(first @ torch.eye(parameter_count(problem), dtype=torch.float64)).eigenvalues
    assert abs(default.values[0, 0, 0]) == pytest.approx(float(vector.abs().max()), rel=1e-5)


def test_progress_counts_sizes_of_all_orders():
    told = []
    along_k(SOUND["norm_mlp"](), [2, 3], 1, [np.arange(SAMPLES)] * 2, progress=told.append)
    assert told == [1] * 4


@pytest.mark.parametrize("sizes", [[], [0, 2], [3, 2], [2, 2], [SAMPLES + 1]])
def test_sizes_that_do_not_ascend_are_refused(sizes):
    with pytest.raises(InputError, match="must ascend from 1 to at most 6"):
        along_k(SOUND["norm_mlp"](), sizes, 1)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 6]])
def test_an_order_that_is_no_permutation_is_refused(order):
    with pytest.raises(InputError, match="permutation of 0 to 5"):
        along_k(SOUND["norm_mlp"](), [2], 1, [np.array(order)])


def test_overlap_does_not_depend_on_the_basis_of_a_subspace():
    draw = torch.Generator().manual_seed(0)
    one, other, turn = (
        torch.linalg.qr(torch.randn(*shape, generator=draw, dtype=torch.float64)).Q
        for shape in ((9, 3), (9, 3), (3, 3))
    )
    cosines = torch.linalg.svdvals(one.T @ other)
    assert subspace_overlap(one, other) == pytest.approx(float(cosines.square().mean()))
    assert subspace_overlap(one @ turn, other) == pytest.approx(subspace_overlap(one, other))
    assert subspace_overlap(one, one @ turn) == pytest.approx(1)
    with pytest.raises(InputError, match="same shape"):
        subspace_overlap(one, other[:, :2])
