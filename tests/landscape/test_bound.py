"""The bound on the change by one more sample, against what is measured near w*."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from suffice import Convergence, InputError, Probes, Problem, record
from suffice.curvature import Spreads, gaps, spreads

SIZES = [1, 3, 10, 30, 59]


def trained(seed=0):
    """A small model near a minimum, in float64."""
    torch.manual_seed(seed)
    x = torch.randn(60, 4, dtype=torch.float64)
    y = (x[:, 0] + x[:, 1] ** 2 > 0.7).long()
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return Problem(model, TensorDataset(x, y))


@pytest.mark.parametrize("radius", [0.003, 0.03])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_never_below_the_measurement_close_to_the_center(radius, seed):
    problem = trained(seed)
    curves = Convergence(record(problem, Probes.sphere(problem, radius, count=40)))
    found = curves.bound(gaps(problem, SIZES), radius)
    assert (found.total >= curves.in_order(SIZES).max(1)).all()


def test_its_terms_are_of_order_zero_one_and_two_in_the_radius():
    problem = trained()
    curves, measured = Convergence(record(problem, Probes.sphere(problem))), gaps(problem, SIZES)
    one, two = curves.bound(measured, 0.1), curves.bound(measured, 0.2)
    assert np.array_equal(one.loss, two.loss)
    assert np.allclose(two.gradient, 2 * one.gradient)
    assert np.allclose(two.hessian, 4 * one.hessian)
    assert np.allclose(one.total, one.loss + one.gradient + one.hessian)
    distance = 0.1 * measured.center_norm
    assert np.allclose(one.gradient * (measured.sizes + 1), distance * measured.gradient)


def test_at_the_center_it_is_the_measurement():
    problem = trained()
    curves = Convergence(record(problem, Probes.sphere(problem)))
    found = curves.bound(gaps(problem, SIZES), 0)
    assert np.allclose(found.total, curves.in_order(SIZES)[:, 0], rtol=1e-10)


def test_it_is_attained_by_a_quadratic_along_the_worst_direction():
    """One parameter: all three terms point the same way at one of the two points of the sphere, or none is lost."""
    x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    model = torch.nn.Linear(1, 1, bias=False).double()
    model.weight.data[:] = 1.0
    problem = Problem(model, TensorDataset(x, torch.zeros_like(x)), "mse", order="source")
    probes = Probes.points(problem, [{"weight": torch.tensor([[1.5]], dtype=torch.float64)}])
    curves = Convergence(record(problem, probes))
    assert np.allclose(curves.bound(gaps(problem, [1, 2]), 0.5).total, curves.in_order([1, 2])[:, 1])


def test_gaps_of_something_else_are_refused():
    problem, other = trained(), trained(1)
    curves, measured = Convergence(record(problem, Probes.sphere(problem))), gaps(other, SIZES)
    with pytest.raises(InputError, match="the gaps are not those of the ledger"):
        curves.bound(measured, 0.1)


@pytest.mark.parametrize("radius", [-0.1, float("nan"), float("inf")])
def test_a_radius_that_is_none_is_refused(radius):
    problem = trained()
    curves = Convergence(record(problem, Probes.sphere(problem)))
    with pytest.raises(InputError, match="radius is"):
        curves.bound(gaps(problem, SIZES), radius)


def test_the_norm_of_the_hessians_counts_with_its_residual():
    problem = trained()
    curves, measured = Convergence(record(problem, Probes.sphere(problem))), gaps(problem, SIZES)
    more = dataclasses.replace(measured, residual=measured.residual + 1.0)
    difference = curves.bound(more, 0.1).hessian - curves.bound(measured, 0.1).hessian
    assert np.allclose(difference, (0.1 * measured.center_norm) ** 2 / (2 * (measured.sizes + 1)))


@pytest.mark.parametrize("radius", [0.003, 0.03])
def test_the_typical_bound_is_never_below_the_difference_close_to_the_center(radius):
    problem = trained()
    curves = Convergence(record(problem, Probes.sphere(problem, radius, count=40)))
    found = curves.typical_bound(spreads(problem), radius, SIZES)
    assert (found.total >= curves.difference(SIZES)).all()
    assert np.allclose(found.loss, curves.null(SIZES))


def test_spreads_of_something_else_are_refused():
    curves = Convergence(record(trained(), Probes.sphere(trained())))
    with pytest.raises(InputError, match="the spreads are not those of the ledger"):
        curves.typical_bound(spreads(trained(1)), 0.1, SIZES)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("radius", [0.0, 0.03, 1.0])
def test_the_size_by_the_bound_is_the_first_within_the_tolerance(radius, relative):
    problem = trained()
    curves, measured = Convergence(record(problem, Probes.sphere(problem))), spreads(problem)
    epsilon = 0.3 * curves.sample.center_loss
    k = curves.size_by_bound(measured, radius, 0.3 if relative else epsilon, relative)
    constant = curves.typical_bound(measured, radius, [1]).total[0] * np.sqrt(2)
    assert constant <= epsilon * np.sqrt(k * (k + 1)) * (1 + 1e-12)
    assert k == 1 or constant > epsilon * np.sqrt((k - 1) * k)


def test_at_the_center_the_size_by_the_bound_is_that_by_difference_there():
    problem = trained()
    ledger = record(problem, Probes.sphere(problem))
    there = Convergence(ledger.at([0]))
    for tolerance in (0.5, 0.05, 0.003):
        expected = there.sufficient_size(tolerance, "difference").size
        assert Convergence(ledger).size_by_bound(spreads(problem), 0.0, tolerance) == pytest.approx(expected, abs=1)


def test_no_size_by_the_bound_without_a_scale_or_a_tolerance(ledger_of):
    losses = np.array([[1.0, 2.0], [-1.0, 3.0], [0.5, 1.0], [-0.5, 4.0]])
    curves = Convergence(ledger_of(losses))
    measured = Spreads(float(losses[:, 0].std(ddof=1)), 1.0, 1.0, 0.0, 1.0)
    with pytest.raises(InputError, match="indistinguishable from zero"):
        curves.size_by_bound(measured, 0.1, 0.05)
    assert curves.size_by_bound(measured, 0.1, 0.05, relative=False) > 1
    with pytest.raises(InputError, match="too small for these losses"):
        curves.size_by_bound(measured, 0.1, 1e-200, relative=False)
    with pytest.raises(InputError, match="must be positive"):
        curves.size_by_bound(measured, 0.1, 0.0)


def test_gaps_and_spreads_of_other_parameters_are_refused():
    problem = trained()
    curves = Convergence(record(problem, Probes.sphere(problem, 0.01)))
    some = Problem(problem.model, problem.dataset, parameters="2.*")
    with pytest.raises(InputError, match="the gaps are not those of the ledger"):
        curves.bound(gaps(some, SIZES), 0.01)
    with pytest.raises(InputError, match="the spreads are not those of the ledger"):
        curves.typical_bound(spreads(some), 0.01, SIZES)
