"""The loss surface for every k from one pass."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import suffice
from suffice import InputError, Plane, Problem, surface
from suffice.curvature import unflattened
from suffice.landscape import ledger as ledger_module


def problem_of(samples=23, order="shuffled"):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3)).double()
    x = torch.randn(samples, 4, dtype=torch.float64)
    return Problem(model, TensorDataset(x, torch.randint(3, (samples,))), order=order)


@pytest.fixture(scope="module")
def measured():
    problem = problem_of()
    return problem, surface(problem, Plane.random(problem, extent=0.4, points=5))


@pytest.mark.parametrize("order", ["shuffled", "source"])
def test_every_surface_is_the_mean_over_the_first_samples_recorded_at_its_points(order):
    problem = problem_of(order=order)
    plane = Plane.random(problem, extent=0.4, points=5)
    found = surface(problem, plane, batch_size=4)
    sizes = list(range(1, len(problem) + 1))
    surfaces = found.at(sizes)
    assert surfaces.shape == (23, 5, 5)
    # an independent route: the model itself at w* + ||w*|| (x u + y v), sample by sample
    x, y = problem.dataset.tensors
    center = {name: value.clone() for name, value in problem.model.state_dict().items()}
    for row, second in enumerate(plane.y):
        for column, first in enumerate(plane.x):
            step = plane.center_norm * (first * plane.first + second * plane.second)
            state = {name: center[name] + part for name, part in unflattened(problem, step).items()}
            outputs = torch.func.functional_call(problem.model, state, (x,))
            losses = nn.functional.cross_entropy(outputs, y, reduction="none").detach().numpy()[problem.index]
            for size in sizes:
                assert surfaces[size - 1, row, column] == pytest.approx(losses[:size].mean(), rel=1e-12)


def test_surfaces_do_not_depend_on_how_sizes_are_asked_for(measured):
    _, found = measured
    surfaces = found.at([7, 23, 1, 7])
    for index, size in enumerate((7, 23, 1, 7)):
        assert np.array_equal(surfaces[index], found.at([size])[0])


def test_sizes_across_shards(monkeypatch):
    monkeypatch.setattr(ledger_module, "SHARD_SAMPLES", 4)
    problem = problem_of()
    found = surface(problem, Plane.random(problem, points=3), batch_size=4)
    expected = np.cumsum(found.ledger.losses, axis=0) / np.arange(1, 24)[:, None]
    assert found.ledger.prefix_means(list(range(1, 24))) == pytest.approx(expected, rel=1e-13)
    assert found.ledger.variances() == pytest.approx(found.ledger.losses.var(0, ddof=1), rel=1e-12)


@pytest.mark.parametrize("size", [0, 24])
def test_sizes_that_are_not_there_are_refused(measured, size):
    with pytest.raises(InputError, match=f"size {size}: sizes go from 1 to the number of samples, 23"):
        measured[1].at([5, size])
    with pytest.raises(InputError, match=f"size {size}: sizes go from 1"):
        measured[1].chance([5, size])


def test_the_distance_is_to_the_surface_of_all_samples(measured):
    _, found = measured
    surfaces = found.at([1, 5, 23])
    expected = [float(np.sqrt(((one - surfaces[-1]) ** 2).mean())) for one in surfaces]
    assert found.distance([1, 5, 23]) == pytest.approx(expected, rel=1e-12)
    assert found.distance([23])[0] == 0


def test_chance_is_the_mean_over_random_orders(measured):
    _, found = measured
    losses = found.ledger.losses[:, found.plane.probes.ravel()]
    draw = np.random.default_rng(0)
    sizes = np.array([1, 5, 15])
    squares = []
    for _ in range(4000):
        means = np.cumsum(losses[draw.permutation(len(losses))], axis=0)[sizes - 1] / sizes[:, None]
        squares.append(np.square(means - losses.mean(0)).mean(1))
    assert found.chance([1, 5, 15]) == pytest.approx(np.sqrt(np.mean(squares, axis=0)), rel=0.03)


def test_an_interrupted_surface_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_module, "SHARD_SAMPLES", 8)
    problem = problem_of()
    plane = Plane.random(problem, extent=0.4, points=5)
    expected = surface(problem, plane, batch_size=8).at([3, 23])

    class StoppedError(Exception):
        pass

    def stop_in_the_second_shard(done, counts=[]):  # noqa: B006
        counts.append(done)
        if sum(counts) > 8 * 25:
            raise StoppedError

    with pytest.raises(StoppedError):
        surface(problem, plane, tmp_path / "store", 8, stop_in_the_second_shard)
    done = []
    found = surface(problem, plane, tmp_path / "store", 8, done.append)
    assert done[0] == 8 * 25  # the first shard was in the store
    assert sum(done) == 23 * 25
    assert np.array_equal(found.at([3, 23]), expected)


def test_a_store_of_another_plane_is_refused(tmp_path):
    problem = problem_of()
    surface(problem, Plane.random(problem, points=3), tmp_path / "store")
    with pytest.raises(InputError, match="probes.directions: changed"):
        surface(problem, Plane.random(problem, points=3, seed=1), tmp_path / "store")


def test_along_an_eigenvector_the_surface_bends_by_its_eigenvalue():
    problem = problem_of()
    pairs = suffice.curvature.top_eigenpairs(suffice.curvature.Hessian(problem), 2, tolerance=1e-8)
    plane = Plane.spanned(problem, *pairs.vectors.T, extent=2e-3, points=3)
    losses = surface(problem, plane).at([len(problem)])[0]
    step = plane.center_norm * 2e-3
    along = [losses[1, 0] - 2 * losses[1, 1] + losses[1, 2], losses[0, 1] - 2 * losses[1, 1] + losses[2, 1]]
    assert np.array(along) / step**2 == pytest.approx(pairs.values.tolist(), rel=1e-3)
