"""Planes through w*: orthonormal directions, units of their axes, and the points that probes are drawn at."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from suffice import InputError, Plane, Probes, Problem
from suffice.curvature import flattened, parameter_count, unflattened

DATA = TensorDataset(torch.zeros(4, 5), torch.zeros(4, dtype=torch.long))


class Mixed(nn.Module):
    """Parameters of 0 to 3 dimensions, one row of zeros, and rows of a single number."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(5, 3), nn.Linear(3, 2)
        self.token = nn.Parameter(torch.randn(2, 3, 4))
        self.column = nn.Parameter(torch.randn(6, 1))
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.first.weight.data[1] = 0

    def forward(self, x):
        extra = self.token.sum() + self.column.sum()
        return self.second(self.first(x)) * self.scale + extra * torch.tensor([0.0, 1.0], dtype=x.dtype)


def problem_of(dtype=torch.float64, parameters=None):
    data = TensorDataset(DATA.tensors[0].to(dtype), DATA.tensors[1])
    return Problem(Mixed().to(dtype), data, parameters=parameters)


def two(problem, seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, parameter_count(problem), dtype=torch.float64)


@given(seed=st.integers(0, 2**32), parameters=st.sampled_from([None, "first.*", ["token", "column"]]))
def test_directions_are_orthonormal(seed, parameters):
    problem = problem_of(parameters=parameters)
    for plane in (Plane.random(problem, seed=seed), Plane.spanned(problem, *two(problem, seed))):
        basis = torch.stack([plane.first, plane.second])
        assert torch.allclose(basis @ basis.T, torch.eye(2, dtype=torch.float64), atol=1e-13)


def test_nearly_parallel_directions_are_orthonormal_too():
    problem = problem_of()
    first, other = two(problem)
    plane = Plane.spanned(problem, 3 * first, first + 1e-5 * other)
    assert abs(float(plane.first @ plane.second)) < 1e-13
    assert float(plane.first @ first) == pytest.approx(float(first.norm()), rel=1e-14)


def test_every_filter_of_a_random_direction_is_as_long_as_that_of_the_weights():
    problem = problem_of()
    center = {name: value.double() for name, value in problem.center().items()}
    plane = Plane.random(problem, seed=3)
    length = float(flattened(problem, center).norm())
    first, second = (unflattened(problem, length * direction) for direction in (plane.first, plane.second))
    for name, value in center.items():
        rows = value.reshape(len(value), -1) if value.ndim > 1 else value.reshape(1, -1)
        expected = rows.norm(dim=1)
        assert torch.allclose(first[name].reshape(rows.shape).norm(dim=1), expected, rtol=1e-12), name
        if rows.shape[1] == 1:
            assert torch.allclose(second[name], torch.zeros_like(second[name]), atol=1e-15)
        else:
            ratio = second[name].reshape(rows.shape).norm(dim=1) / expected
            ratio = ratio[expected > 0]
            # the second is made a unit vector as a whole: all its filters by the same factor
            assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-12), name
            assert 1 <= ratio[0] < 2


def test_the_seed_decides_random_directions():
    problem = problem_of()
    one, same, other = (Plane.random(problem, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.first, same.first)
    assert torch.equal(one.second, same.second)
    assert not torch.equal(one.first, other.first)


@pytest.mark.parametrize("points", [4, 5])
def test_axes_have_units_of_the_norm_of_the_weights(points):
    problem = problem_of()
    plane = Plane.random(problem, extent=0.3, points=points)
    probes = Probes.plane(problem, plane)
    center = flattened(problem, problem.center())
    length = float(center.norm())
    assert len(probes) == points**2 + (points == 4)  # w* is on the grid of odd points only
    for row, y in enumerate(plane.y):
        for column, x in enumerate(plane.x):
            probe = int(plane.probes[row, column])
            assert probes.distance[probe] == pytest.approx(length * math.hypot(x, y), abs=1e-13)
            step = flattened(problem, probes[probe]) - center
            assert float(step.norm()) / length == pytest.approx(math.hypot(x, y), abs=1e-12)
            assert float(step @ plane.first) == pytest.approx(length * x, abs=1e-12)
            assert float(step @ plane.second) == pytest.approx(length * y, abs=1e-12)


def test_the_middle_of_an_odd_grid_is_the_centre_to_the_bit():
    problem = problem_of(torch.float32)
    plane = Plane.random(problem, extent=0.7, points=41)
    probes = Probes.plane(problem, plane)
    assert plane.probes[20, 20] == 0
    assert all(torch.equal(value, probes[0][name]) for name, value in problem.center().items())
    assert sorted(plane.probes.ravel().tolist()) == list(range(41**2))


def test_a_plane_between_checkpoints_goes_through_them():
    problem = problem_of()
    torch.manual_seed(1)
    states = [
        {name: value + 0.1 * torch.randn(value.shape, dtype=value.dtype) for name, value in problem.center().items()}
        for _ in range(2)
    ]
    plane = Plane.between(problem, *states, points=21)
    center = flattened(problem, problem.center())
    for state in states:
        step = flattened(problem, state) - center
        x, y = (float(step @ direction) for direction in (plane.first, plane.second))
        left = step - x * plane.first - y * plane.second
        assert float(left.norm()) < 1e-12 * float(step.norm())
        assert plane.x[0] < x / plane.center_norm < plane.x[-1]
        assert plane.y[0] < y / plane.center_norm < plane.y[-1]
    assert float((flattened(problem, states[0]) - center) @ plane.second) == pytest.approx(0, abs=1e-12)
    assert (plane.probes == 0).sum() == 1
    assert np.allclose(np.diff(plane.x), np.diff(plane.x)[0])


@pytest.mark.parametrize("points", [3, 4, 9, 41])
def test_a_plane_between_checkpoints_covers_them_whatever_the_number_of_points(points):
    problem = problem_of()
    center = problem.center()
    far = {name: 1.9 * value for name, value in center.items()}
    near = {name: 0.9 * value + 0.1 * torch.randn_like(value) for name, value in center.items()}
    plane = Plane.between(problem, far, near, points)
    assert (plane.x == 0).sum() == (plane.y == 0).sum() == 1
    for state in (far, near):
        x, y = plane.coordinates_of(problem, state)
        assert plane.x[0] < x < plane.x[-1]
        assert plane.y[0] < y < plane.y[-1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Plane.spanned(p, torch.ones(3), torch.ones(3)), r"shape \(3,\): 57 parameters move"),
        (lambda p: Plane.spanned(p, two(p)[0], -2 * two(p)[0]), "are parallel"),
        (lambda p: Plane.spanned(p, two(p)[0], 0 * two(p)[0]), "a direction is zero"),
        (lambda p: Plane.spanned(p, two(p)[0], math.nan * two(p)[0]), "not finite"),
        (lambda p: Plane.random(p, points=2), "points = 2"),
        (lambda p: Plane.random(p, extent=0.0), "extent = 0.0"),
        (lambda p: Plane.between(p, {}, {}), "state 1 lacks the moving parameter 'token'"),
        (lambda p: Plane.between(p, p.center() | {"scale": torch.ones(2)}, p.center()), "state 1: 'scale' is"),
        (lambda p: Plane.between(p, p.center(), p.center()), "a direction is zero"),
        (lambda p: Probes.plane(problem_of(parameters="scale"), Plane.random(p)), "made for other parameters"),
    ],
)
def test_bad_planes_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make(problem_of())


def test_complex_parameters_are_refused():
    model = nn.Linear(5, 2, dtype=torch.complex64)
    data = TensorDataset(DATA.tensors[0].to(torch.complex64), DATA.tensors[1])
    problem = Problem(model, data, loss=lambda outputs, batch: outputs.abs().sum(1))
    with pytest.raises(InputError, match="'weight' is complex"):
        Plane.random(problem)


def test_a_centre_of_zero_is_refused():
    problem = problem_of()
    for parameter in problem.moving.values():
        parameter.data.zero_()
    with pytest.raises(InputError, match="all moving parameters are zero"):
        Plane.spanned(problem, *two(problem))


def test_steps_that_float32_cannot_hold_are_refused():
    problem = problem_of(torch.float32)
    with pytest.raises(InputError, match="SUF006"):
        Probes.plane(problem, Plane.random(problem, extent=2e-7, points=41)).check(problem)
