import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from suffice import InputError, Probes, Problem

DATA = TensorDataset(torch.zeros(4, 5), torch.zeros(4, dtype=torch.long))


def problem_of(dtype=torch.float32, parameters=None, width=3):
    torch.manual_seed(0)
    return Problem(nn.Sequential(nn.Linear(5, width), nn.Linear(width, 2)).to(dtype), DATA, parameters=parameters)


def distance_between(state, other):
    return math.sqrt(sum(float((state[name].double() - other[name].double()).square().sum()) for name in other))


def equal(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in other)


@given(
    radius=st.floats(1e-3, 10),
    seed=st.integers(0, 2**32),
    precision=st.sampled_from([(torch.float64, 1e-12), (torch.float32, 1e-4)]),
    parameters=st.sampled_from([None, "1.*", ["0.weight", "1.bias"]]),
)
def test_sphere_points_lie_at_the_stated_distance(radius, seed, precision, parameters):
    dtype, tolerance = precision
    problem = problem_of(dtype, parameters)
    probes, center = Probes.sphere(problem, radius, count=2, seed=seed), problem.center()
    length = math.sqrt(sum(float(value.double().square().sum()) for value in center.values()))
    assert probes.distance == pytest.approx([0, radius * length, radius * length], rel=1e-12)
    for probe in (1, 2):
        assert distance_between(probes[probe], center) == pytest.approx(radius * length, rel=tolerance)


def test_sphere_in_float32_is_off_by_the_rounding_of_the_weights_only():
    problem = problem_of(torch.float32, width=200)
    probes = Probes.sphere(problem, radius=0.1, count=3)
    for probe in (1, 2, 3):
        assert distance_between(probes[probe], problem.center()) == pytest.approx(probes.distance[probe], rel=1e-6)


def every_kind(problem, count=3, seed=0):
    states = [{name: value + place for name, value in problem.center().items()} for place in range(1, count + 1)]
    return {
        "sphere": Probes.sphere(problem, 0.1, count, seed),
        "gaussian": Probes.gaussian(problem, 0.1, count, seed),
        "points": Probes.points(problem, states),
    }


@pytest.mark.parametrize("kind", ["sphere", "gaussian", "points"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_first_probe_is_the_model_itself_and_all_keep_its_dtype(kind, dtype):
    problem = problem_of(dtype)
    probes = every_kind(problem)[kind]
    assert len(probes) == 4
    assert equal(probes[0], dict(problem.model.named_parameters()))
    assert probes.distance[0] == 0
    assert all(value.dtype == dtype for state in probes for value in state.values())


@pytest.mark.parametrize("kind", ["sphere", "gaussian", "points"])
def test_probes_hold_the_moving_parameters_only(kind):
    probes = every_kind(problem_of(parameters="1.*"))[kind]
    assert all(set(state) == {"1.weight", "1.bias"} for state in probes)


@pytest.mark.parametrize("kind", ["sphere", "gaussian", "points"])
def test_the_stated_distance_is_the_distance(kind):
    problem = problem_of(torch.float64)
    probes = every_kind(problem)[kind]
    distances = [distance_between(state, problem.center()) for state in probes]
    assert probes.distance == pytest.approx(distances, rel=1e-12)


@pytest.mark.parametrize("kind", ["sphere", "gaussian"])
def test_a_larger_count_adds_points_without_changing_any(kind):
    problem = problem_of()
    few, many = every_kind(problem, count=2)[kind], every_kind(problem, count=5)[kind]
    assert all(equal(few[probe], many[probe]) for probe in range(3))


@pytest.mark.parametrize("kind", ["sphere", "gaussian"])
def test_points_are_the_same_whenever_asked_for_and_others_for_another_seed(kind):
    problem = problem_of()
    probes, same, other = (every_kind(problem, seed=seed)[kind] for seed in (0, 0, 1))
    last_first = {probe: same[probe] for probe in (3, 2, 1)}
    assert all(equal(probes[probe], last_first[probe]) for probe in (1, 2, 3))
    assert not any(equal(probes[1], other[probe]) for probe in (1, 2, 3))
    assert not equal(probes[1], probes[2])


@pytest.mark.parametrize("kind", ["sphere", "gaussian", "points"])
def test_probes_do_not_follow_the_model(kind):
    problem = problem_of()
    probes = every_kind(problem)[kind]
    before = [{name: value.clone() for name, value in state.items()} for state in probes]
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter.add_(1)
    assert all(equal(state, old) for state, old in zip(probes, before, strict=True))


def test_drawing_leaves_the_random_numbers_of_others_alone():
    problem, before = problem_of(), torch.get_rng_state()
    assert len([*Probes.sphere(problem, 0.1, 3), *Probes.gaussian(problem, 0.1, 3)]) == 8
    assert torch.equal(torch.get_rng_state(), before)


def flat(state):
    return torch.cat([value.flatten() for value in state.values()]).numpy()


def test_sphere_directions_are_independent_and_uniform():
    problem = problem_of(torch.float64, width=100)
    probes = Probes.sphere(problem, 0.1, count=40)
    directions = np.array([flat(probes[probe]) - flat(probes[0]) for probe in range(1, 41)])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    size = directions.shape[1]
    cosines = (directions @ directions.T)[np.triu_indices(40, 1)]
    assert np.mean(cosines**2) == pytest.approx(1 / size, rel=0.25)
    assert np.abs(directions.mean(0)).max() < 5 / math.sqrt(40 * size)


def test_gaussian_points_have_the_stated_mean_and_deviation():
    problem = problem_of(torch.float64, width=100)
    probes = Probes.gaussian(problem, sigma=0.3, count=40)
    steps = np.array([flat(probes[probe]) - flat(probes[0]) for probe in range(1, 41)])
    assert abs(steps.mean()) < 4 * 0.3 / math.sqrt(steps.size)
    assert steps.std() == pytest.approx(0.3, rel=4 / math.sqrt(2 * steps.size))
    assert probes.distance[1:].mean() == pytest.approx(0.3 * math.sqrt(steps.shape[1]), rel=0.02)


@pytest.mark.parametrize("probe", [-1, 4, 100])
def test_a_probe_that_is_not_there_is_an_index_error(probe):
    with pytest.raises(IndexError, match=f"probe {probe} of 4"):
        Probes.sphere(problem_of(), count=3)[probe]


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf])
def test_a_radius_or_sigma_that_is_not_positive_is_refused(radius):
    with pytest.raises(InputError, match="radius"):
        Probes.sphere(problem_of(), radius)
    with pytest.raises(InputError, match="sigma"):
        Probes.gaussian(problem_of(), radius, 3)


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_that_is_not_positive_is_refused(count):
    with pytest.raises(InputError, match="count"):
        Probes.sphere(problem_of(), count=count)
    with pytest.raises(InputError, match="count"):
        Probes.gaussian(problem_of(), 0.1, count)


def test_a_sphere_around_zero_is_refused():
    problem = problem_of()
    for parameter in problem.model.parameters():
        parameter.data.zero_()
    with pytest.raises(InputError, match=r"Probes\.gaussian"):
        Probes.sphere(problem)


# given points


@pytest.mark.parametrize("full", [True, False])
def test_points_take_a_full_or_a_partial_state(full):
    problem = problem_of(torch.float64, parameters="1.*")
    state = {name: value.clone() for name, value in problem.model.state_dict().items()}
    state["1.bias"] += 3
    given = state if full else {name: state[name] for name in problem.moving}
    probes = Probes.points(problem, [given])
    assert equal(probes[1], {name: state[name] for name in problem.moving})
    assert probes.distance == pytest.approx([0, 3 * math.sqrt(2)])


def test_points_of_another_precision_are_converted():
    problem = problem_of(torch.float32)
    doubled = {name: value.double() for name, value in problem.center().items()}
    assert equal(Probes.points(problem, [doubled])[1], problem.center())


def test_points_take_the_full_state_of_a_model_with_tied_weights():
    model = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False))
    model[1].weight = model[0].weight
    problem = Problem(model, DATA)
    moved = {name: value + 1 for name, value in model.state_dict().items()}
    assert Probes.points(problem, [moved]).distance[1] == pytest.approx(5)


def changed(state, **changes):
    return {name: value for name, value in (state | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.bias": None}, "state 1 lacks the moving parameter '1.bias'"),
        ({"1.bias": torch.zeros(3)}, r"state 1: '1.bias' is \(3,\), not \(2,\)"),
        ({"1.bias": torch.tensor([0, math.nan])}, "state 1: '1.bias' has values that are not finite"),
        ({"0.bias": torch.zeros(3)}, "state 1 differs from the model in '0.bias'"),
        ({"0.bias": torch.zeros(4)}, "state 1 differs from the model in '0.bias'"),
        ({"1.bais": torch.zeros(2)}, "state 1 has '1.bais', which the model has not"),
    ],
)
def test_points_that_do_not_fit_the_model_are_refused(change, message):
    problem = problem_of(parameters="1.*")
    state = dict(problem.model.state_dict())
    with pytest.raises(InputError, match=message) as refusal:
        Probes.points(problem, [state, changed(state, **change)])
    assert "\n" not in str(refusal.value)


def orthonormal(problem, count=3):
    size = sum(value.numel() for value in problem.center().values())
    return torch.linalg.qr(torch.randn(size, count, dtype=torch.float64, generator=torch.Generator().manual_seed(4))).Q


def step_of(problem, state):
    return torch.cat([(state[name] - value).flatten() for name, value in problem.center().items()])


def test_rays_go_both_ways_along_each_direction():
    problem = problem_of(torch.float64)
    basis, distances = orthonormal(problem), [0.5, 2.0]
    probes = Probes.rays(problem, basis, distances)
    assert len(probes) == 1 + 2 * 3 * 2
    assert equal(probes[0], problem.center())
    for ring, distance in enumerate(distances):
        for direction in range(3):
            for side, sign in enumerate((1, -1)):
                probe = 1 + 2 * (3 * ring + direction) + side
                assert torch.allclose(step_of(problem, probes[probe]), sign * distance * basis[:, direction])
                assert probes.distance[probe] == distance
    probes.check(problem)


def test_rays_are_told_apart_by_directions_and_distances():
    problem = problem_of(torch.float64)
    basis = orthonormal(problem)
    descriptions = [
        Probes.rays(problem, *given).description
        for given in ((basis, [1.0]), (basis, [2.0]), (basis[:, :2].contiguous(), [1.0]))
    ]
    assert all(one != other for row, one in enumerate(descriptions) for other in descriptions[:row])


@pytest.mark.parametrize("distances", [[], [0.0], [1.0, -1.0], [float("nan")]])
def test_rays_refuse_distances_that_are_none(distances):
    problem = problem_of(torch.float64)
    with pytest.raises(InputError, match="distance"):
        Probes.rays(problem, orthonormal(problem), distances)


def test_a_basis_that_is_not_orthonormal_is_refused():
    problem = problem_of(torch.float64)
    with pytest.raises(InputError, match="not orthonormal"):
        Probes.rays(problem, 2 * orthonormal(problem), [1.0])
    with pytest.raises(InputError, match="not orthonormal"):
        Probes.gaussian(problem, 1.0, 2, basis=2 * orthonormal(problem))


@pytest.mark.deep
def test_gaussian_points_within_a_basis_have_standard_normal_coordinates():
    problem = problem_of(torch.float64)
    basis = orthonormal(problem)
    probes = Probes.gaussian(problem, 0.3, 500, basis=basis)
    steps = torch.stack([step_of(problem, probes[probe]) for probe in range(1, 501)])
    coordinates = steps @ basis / 0.3
    assert torch.allclose(coordinates @ basis.T * 0.3, steps, atol=1e-14)  # nothing outside
    assert torch.allclose(coordinates.mean(0), torch.zeros(3, dtype=torch.float64), atol=4 / 500**0.5)
    assert torch.allclose(coordinates.T.cov(), torch.eye(3, dtype=torch.float64), atol=4 * (2 / 500) ** 0.5)
    assert probes.distance[1:] == pytest.approx(torch.linalg.vector_norm(steps, dim=1).numpy())
    assert probes.description != Probes.gaussian(problem, 0.3, 500).description
