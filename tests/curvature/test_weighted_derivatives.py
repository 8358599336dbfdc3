"""Derivatives of means over samples with weights: against differences of the weighted loss, and of any batching."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.utils.data import TensorDataset

from suffice import Convergence, Probes, Problem, record
from suffice.curvature import Hessian, along_k, gaps, mean_gradient, parameter_count, unflattened
from suffice.curvature.gradients import prefix_gradients

SAMPLES, STEP = 25, 1e-4


def problem_with(weights=None, order="shuffled", loss="cross_entropy", checks=False):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 3)).double()
    data = TensorDataset(torch.randn(SAMPLES, 3).double(), torch.randint(3, (SAMPLES,)))
    return Problem(model, data, loss, order=order, seed=1, checks=checks, sample_weights=weights)


WEIGHTS = np.random.default_rng(0).integers(1, 40, SAMPLES)


def weighted_loss(problem, vector, step, positions=slice(None)):
    """sum n l / sum n, written out, at weights moved along a vector."""
    center, parts = problem.center(), unflattened(problem, vector)
    with problem.at({name: center[name] + step * parts[name] for name in center}):
        losses = problem.all_losses(positions=positions).numpy()
    tokens = WEIGHTS[problem.index][positions]
    return float((tokens * losses).sum() / tokens.sum())


def direction(problem, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(parameter_count(problem), generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("positions", [slice(None), np.array([3, 1, 20])])
def test_gradient_and_hessian_are_differences_of_the_weighted_loss(positions):
    problem = problem_with(WEIGHTS, checks=True)  # the guards compare single samples, whatever their weights
    u = direction(problem, 1)
    ends = [weighted_loss(problem, u, sign * STEP, positions) for sign in (1, -1)]
    assert float(mean_gradient(problem, positions=positions) @ u) == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-6)
    middle = weighted_loss(problem, u, 0.0, positions)
    second = (ends[0] - 2 * middle + ends[1]) / STEP**2
    hessian = Hessian(problem, positions=positions)
    assert float(u @ (hessian @ u)) == pytest.approx(second, rel=1e-5)
    parts = [float(u @ (Hessian(problem, part, positions) @ u)) for part in ("outer", "functional")]
    assert sum(parts) == pytest.approx(second, rel=1e-5)
    assert parts[0] > 0


def test_they_do_not_depend_on_batches_and_order():
    first, other = problem_with(WEIGHTS), problem_with(WEIGHTS, order="source")
    u = direction(first, 2)
    assert_allclose(Hessian(first, batch_size=4) @ u, Hessian(other, batch_size=64, memory=0) @ u, rtol=1e-12)
    assert_allclose(mean_gradient(first, batch_size=7), mean_gradient(other), rtol=1e-12)


def test_weights_of_one_are_none_to_the_bit_and_a_factor_changes_nothing():
    plain, ones, sevens = (problem_with(weights) for weights in (None, np.ones(SAMPLES), np.full(SAMPLES, 7)))
    u = direction(plain, 3)
    assert torch.equal(Hessian(plain) @ u, Hessian(ones) @ u)
    assert torch.equal(mean_gradient(plain), mean_gradient(ones))
    assert_allclose(Hessian(plain) @ u, Hessian(sevens) @ u, rtol=1e-12)
    found = [gaps(problem, [1, 10, 24]) for problem in (plain, ones, sevens)]
    for name in ("loss", "gradient", "hessian", "ratio"):
        assert (getattr(found[0], name) == getattr(found[1], name)).all()
        assert_allclose(getattr(found[0], name), getattr(found[2], name), rtol=1e-6)
    assert found[0].plain().ratio is None


def test_samples_that_come_twice_weigh_two():
    """Copies in place of weights, which no code knows of."""
    weights = np.random.default_rng(1).integers(1, 4, SAMPLES)
    weighted, rows = problem_with(weights, order="source"), np.repeat(np.arange(SAMPLES), weights)
    copies = problem_with(order="source").elsewhere([problem_with().dataset[row] for row in rows])
    u = direction(weighted, 4)
    assert_allclose(Hessian(weighted) @ u, Hessian(copies) @ u, rtol=1e-11)
    assert_allclose(mean_gradient(weighted), mean_gradient(copies), rtol=1e-11)
    assert float(weighted.weighted_mean(weighted.all_losses())) == pytest.approx(float(copies.all_losses().mean()))


def test_gaps_and_prefixes_are_those_of_weighted_means():
    problem = problem_with(WEIGHTS)
    tokens, losses = problem.sample_weights, problem.all_losses().numpy()
    sizes = [1, 7, 24]
    found = gaps(problem, sizes)
    eye = torch.eye(parameter_count(problem), dtype=torch.float64)
    for row, k in enumerate(sizes):
        mean = (tokens[:k] * losses[:k]).sum() / tokens[:k].sum()
        assert found.loss[row] == pytest.approx(abs(losses[k] - mean))
        one, some = np.array([k]), np.arange(k)
        gradient = mean_gradient(problem, positions=one) - mean_gradient(problem, positions=some)
        assert found.gradient[row] == pytest.approx(float(gradient.norm()), rel=1e-9)
        hessian = Hessian(problem, positions=one) @ eye - Hessian(problem, positions=some) @ eye
        assert found.hessian[row] == pytest.approx(float(torch.linalg.matrix_norm(hessian, 2)), rel=1e-2)
        assert found.ratio[row] == pytest.approx(tokens[: k + 1].sum() / tokens[k])
    prefixes = list(prefix_gradients(problem, [3, SAMPLES]))
    assert_allclose(prefixes[0], mean_gradient(problem, positions=slice(0, 3)), rtol=1e-12)
    assert found.plain().ratio == found.ratio.tolist()
    assert along_k(problem, [10, SAMPLES], 1).values.shape == (1, 2, 1)


def test_the_bound_holds_for_weighted_means():
    problem = problem_with(WEIGHTS)
    curves = Convergence(record(problem, Probes.sphere(problem, radius=0.02, count=4)), resamples=2)
    bound = curves.bound(gaps(problem, [1, 5, 20, 24]), 0.02)
    assert (bound.total >= curves.in_order(bound.sizes).max(1)).all()
    assert_allclose(bound.loss, curves.in_order(bound.sizes)[:, 0], rtol=1e-9)


def test_a_callable_loss_takes_weights():
    own = problem_with(WEIGHTS, loss=lambda z, batch: torch.nn.functional.cross_entropy(z, batch[1], reduction="none"))
    u = direction(own, 5)
    assert_allclose(Hessian(own) @ u, Hessian(problem_with(WEIGHTS)) @ u, rtol=1e-10)
