"""The loss surface at retrained minima, against direct computations on a small head."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.interpolate import RegularGridInterpolator
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import Convergence, Probes, Problem, record
from suffice.configuration import StudyConfig
from suffice.landscape import root_mean_square
from suffice.problem import norm
from suffice.studies import measure_retrained
from suffice.studies.retrained import CURVE_SIZES, gradient_norms
from suffice.training import Learner, Series

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(100, 4, generator=DRAW).double()
Y = (X[:, :3] + torch.randn(100, 3, generator=DRAW)).argmax(1)
ORDER, VALIDATION = np.random.default_rng(0).permutation(80), np.arange(80, 100)
SIZES = [10, 30, 60]
PLACE = Series("all", "head", 3)


def learner_of():
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()

    def problem(rows):
        chosen = torch.from_numpy(rows)
        return Problem(model, TensorDataset(X[chosen], Y[chosen]), order="source")

    return Learner(model, problem, {name: value.detach().clone() for name, value in model.named_parameters()})


@pytest.fixture(scope="module")
def minima():
    """Weights near the minimum of the first samples of the order."""
    found = {}
    for size in SIZES:
        learner = learner_of()
        rows, parameters = ORDER[:size], list(learner.model.parameters())
        optimizer = torch.optim.LBFGS(parameters, max_iter=60, line_search_fn="strong_wolfe")

        def mean_loss(optimizer=optimizer, rows=rows, model=learner.model):
            optimizer.zero_grad()
            loss = losses_at(dict(model.named_parameters()), rows).mean()
            loss.backward()
            return loss

        optimizer.step(mean_loss)
        found[size] = learner.state()
    return found


@pytest.fixture(scope="module")
def measured(minima, tmp_path_factory):
    config = StudyConfig(model="m", data="d", probes=3, tolerances=[0.05, 0.2], seed=2, batch_size=16)
    store = tmp_path_factory.mktemp("retrained") / "surface"
    learner = learner_of()
    return config, learner, measure_retrained(config, learner, ORDER, VALIDATION, minima, store, PLACE), store


def losses_at(weights, rows):
    logits = functional.linear(X[rows], weights["weight"], weights["bias"])
    return functional.cross_entropy(logits, Y[rows], reduction="none")


def gradient_at(weights, rows):
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
    gradients = torch.autograd.grad(losses_at(leaves, rows).mean(), list(leaves.values()))
    return math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(sorted),
    st.sampled_from([1, 7, 100, "auto"]),
)
def test_gradient_norms_are_those_of_the_mean_loss_of_each_prefix(sizes, batch_size):
    learner = learner_of()
    order = np.random.default_rng(1).permutation(100)
    found = gradient_norms(learner.problem(order), sizes, batch_size)
    assert found == pytest.approx([gradient_at(learner.initial, order[:size]) for size in sizes], rel=1e-10)


def test_gradient_norms_leave_no_gradients_behind():
    learner = learner_of()
    gradient_norms(learner.problem(ORDER), [5, 20], 7)
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def test_losses_are_those_at_the_minima(measured, minima):
    _, _, found, _ = measured
    last = minima[SIZES[-1]]
    assert (found.sizes, found.samples) == (SIZES, SIZES[-1])
    assert (found.task, found.method, found.seed) == PLACE
    of_all = ORDER[: SIZES[-1]]
    expected = {
        "own": [losses_at(minima[k], ORDER[:k]) for k in SIZES],
        "own_at_full": [losses_at(last, ORDER[:k]) for k in SIZES],
        "full": [losses_at(minima[k], of_all) for k in SIZES],
        "validation": [losses_at(minima[k], VALIDATION) for k in SIZES],
    }
    for name, losses in expected.items():
        assert getattr(found, name) == pytest.approx([float(of_size.mean()) for of_size in losses], rel=1e-10)


def test_distances_are_those_to_the_last_minimum(measured, minima):
    _, _, found, _ = measured
    last = minima[SIZES[-1]]
    expected = [math.sqrt(sum(float((minima[k][name] - last[name]).square().sum()) for name in last)) for k in SIZES]
    assert found.distance == pytest.approx(expected, rel=1e-10)
    assert found.distance[-1] == 0


def test_gradients_are_those_at_the_minima(measured, minima):
    _, _, found, _ = measured
    own = [gradient_at(minima[k], ORDER[:k]) for k in SIZES]
    at_full = [gradient_at(minima[SIZES[-1]], ORDER[:k]) for k in SIZES]
    assert found.gradient == pytest.approx(own, rel=1e-8)
    assert found.gradient_at_full == pytest.approx(at_full, rel=1e-8)


def test_gradient_vanishes_at_the_own_minimum_and_not_at_that_of_all(measured):
    _, _, found, _ = measured
    assert max(found.gradient) < 0.02
    assert found.gradient_at_full[0] > 5 * max(found.gradient)
    assert found.own[0] < found.own_at_full[0]
    assert found.full[-1] <= min(found.full)


def test_curves_are_those_around_the_last_minimum(measured):
    config, learner, found, _ = measured
    problem, held_out = (learner.problem(rows) for rows in (ORDER[: SIZES[-1]], VALIDATION))
    probes = Probes.sphere(problem, config.radius, config.probes, config.seed)
    curves = Convergence(record(problem, probes), record(held_out, probes), seed=config.seed)
    grid = curves.log_sizes(CURVE_SIZES)
    assert found.curve_sizes == grid.tolist()
    for name in ("difference", "remaining", "null"):
        assert getattr(found, name) == pytest.approx(getattr(curves, name)(grid), rel=1e-9)
    assert found.in_order == pytest.approx(root_mean_square(curves.in_order(grid)), rel=1e-9)
    assert found.coefficient_of_variation == pytest.approx(curves.population.coefficient_of_variation, rel=1e-9)
    asked = [(answer.criterion, answer.tolerance) for answer in found.sufficient_sizes]
    assert asked == [("remaining", 0.05), ("remaining", 0.2), ("difference", 0.05), ("difference", 0.2)]
    assert found.sufficient_sizes == [curves.sufficient_size(tolerance, criterion) for criterion, tolerance in asked]


def test_the_learner_is_left_at_the_last_minimum(measured, minima):
    _, learner, _, _ = measured
    assert all(torch.equal(learner.state()[name], value) for name, value in minima[SIZES[-1]].items())


def test_what_was_measured_is_found_again(measured, minima):
    config, _, found, store = measured
    again = measure_retrained(config, learner_of(), ORDER, VALIDATION, minima, store, PLACE)
    assert again == found


def test_the_largest_size_may_be_the_only_one(minima, tmp_path):
    config = StudyConfig(model="m", data="d", probes=2)
    last = {SIZES[-1]: minima[SIZES[-1]]}
    found = measure_retrained(config, learner_of(), ORDER, VALIDATION, last, tmp_path / "surface", PLACE)
    assert (found.sizes, found.distance) == ([60], [0.0])
    assert found.own == found.own_at_full == found.full


def test_the_plane_goes_through_the_minima_and_its_surface_has_their_losses(minima, tmp_path):
    config = StudyConfig(model="m", data="d", probes=1, surface_points=21)
    found = measure_retrained(
        config, learner_of(), ORDER, VALIDATION, minima, tmp_path / "surface", PLACE, with_surface=True
    )
    drawn, center = found.surface, norm(minima[SIZES[-1]])
    assert list(drawn.minima) == SIZES[:-1]
    for size, place in drawn.minima.items():
        distance = found.distance[SIZES.index(size)]
        assert math.hypot(*place) * center == pytest.approx(distance, rel=1e-6)
        assert min(drawn.x) < place[0] < max(drawn.x)
        assert min(drawn.y) < place[1] < max(drawn.y)
    assert drawn.minima[SIZES[0]][1] == pytest.approx(0, abs=1e-9)
    row, column = drawn.y.index(0), drawn.x.index(0)
    assert drawn.losses()[-1, row, column] == pytest.approx(found.full[-1], rel=1e-6)
    assert drawn.sizes[-1] == SIZES[-1]
    # between the grid's points a surface that bends little is nearly linear
    x, y = np.array(drawn.x), np.array(drawn.y)
    losses = RegularGridInterpolator((y, x), drawn.losses()[-1], method="cubic")
    for size, (at_x, at_y) in drawn.minima.items():
        assert float(losses((at_y, at_x))) == pytest.approx(found.full[SIZES.index(size)], rel=0.02)


def test_without_two_smaller_sizes_there_is_no_plane(minima, tmp_path):
    config = StudyConfig(model="m", data="d", probes=1)
    two = {size: minima[size] for size in SIZES[1:]}
    found = measure_retrained(config, learner_of(), ORDER, VALIDATION, two, tmp_path / "s", PLACE, with_surface=True)
    assert found.surface is None
