"""The expansion to second order against losses measured along directions through w*."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from suffice import InputError, Problem
from suffice.curvature import flattened, parameter_count, unflattened
from suffice.landscape import expansion

RADII = [0.02, 0.1, 0.5]


def small(seed=0):
    torch.manual_seed(seed)
    x = torch.randn(30, 4, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    return Problem(model, TensorDataset(x, torch.randint(3, (30,))))


def directions(problem, count=3, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(parameter_count(problem), count, generator=draw, dtype=torch.float64)).Q


def polynomial(coefficients):
    """One parameter at w* = 1, and the losses sum_p c_ip (w - 1)^p of each sample i, (samples, powers)."""
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data[:] = 1.0

    def loss(outputs, batch):
        step = outputs[:, 0] - 1
        return sum(part * step**power for power, part in enumerate(batch[1].T))

    data = TensorDataset(torch.ones(len(coefficients), 1, dtype=torch.float64), torch.as_tensor(coefficients))
    return Problem(model, data, loss, order="source")


def losses_by_hand(problem, basis, distance):
    """l_i(w* + r u) and l_i(w* - r u), (samples, directions, 2), by forward passes of their own."""
    center = flattened(problem, problem.center())
    found = torch.empty(len(problem), basis.shape[1], 2, dtype=torch.float64)
    for direction, u in enumerate(basis.T):
        for side, sign in enumerate((1, -1)):
            with problem.measuring(), problem.at(unflattened(problem, center + sign * distance * u)):
                found[:, direction, side] = problem.losses(problem.batch(slice(None)))
    return found.numpy()


def test_spreads_are_those_of_losses_at_the_points_and_of_their_expansion():
    problem = small()
    basis = directions(problem)
    found = expansion(problem, basis, RADII)
    with problem.measuring():
        center = problem.losses(problem.batch(slice(None))).numpy()[:, None, None]
    for row, radius in enumerate(RADII):
        distance, step = radius * found.scale, 1e-3
        far, near = (losses_by_hand(problem, basis, length) for length in (distance, step))
        slopes = (near[..., :1] - near[..., 1:]) / (2 * step)  # central differences
        curvatures = (near.sum(-1, keepdims=True) - 2 * center) / step**2
        quadratic = center + distance * slopes * [1, -1] + distance**2 / 2 * curvatures
        for spread, losses in (("spread", far), ("quadratic_spread", quadratic), ("remainder_spread", far - quadratic)):
            expected = np.sqrt(losses.var(0, ddof=1).mean())
            assert getattr(found, spread)[row] == pytest.approx(expected, rel=1e-3), spread


def test_the_remainder_is_of_third_order():
    found = expansion(small(), directions(small()), [0.01, 0.02])
    assert found.remainder_spread[1] / found.remainder_spread[0] == pytest.approx(8, rel=0.02)


def test_shares_add_up_to_one_and_are_those_of_the_polynomial():
    draw = np.random.default_rng(0)
    coefficients = draw.standard_normal((40, 4))
    found = expansion(polynomial(coefficients), torch.ones(1, 1, dtype=torch.float64), [0.5, 2.0], scale=1.0)
    assert np.allclose(sum(found.shares), 1, rtol=1e-12)
    covariance = np.cov(coefficients.T)
    for row, r in enumerate([0.5, 2.0]):
        # odd powers cancel between the two sides
        parts = [
            covariance[0, 0],
            r**2 * covariance[1, 1],
            r**4 * covariance[2, 2],
            2 * r**2 * covariance[0, 2],
            r**6 * covariance[3, 3] + 2 * r**4 * covariance[1, 3],
        ]
        assert np.allclose([share[row] for share in found.shares], np.array(parts) / sum(parts), rtol=1e-9)
        assert found.spread[row] == pytest.approx(np.sqrt(sum(parts)))


def test_the_quadratic_radius_is_where_the_remainder_is_a_tenth():
    coefficients = np.zeros((20, 4))
    coefficients[:, 0] = coefficients[:, 3] = np.random.default_rng(0).standard_normal(20)
    # at w* + r and w* - r the loss is c (1 + r^3) and c (1 - r^3): S_R / S is r^3 / sqrt(1 + r^6)
    problem, expected = polynomial(coefficients), (0.01 / 0.99) ** (1 / 6)
    basis = torch.ones(1, 1, dtype=torch.float64)
    found = expansion(problem, basis, np.geomspace(0.1, 2, 25).tolist())
    assert found.quadratic_radius == pytest.approx(expected, rel=1e-3)
    scaled = expansion(problem, basis, np.geomspace(0.1, 2, 25).tolist(), scale=0.5)
    assert scaled.quadratic_radius == pytest.approx(2 * expected, rel=1e-3)


def test_it_is_not_extrapolated():
    coefficients = np.random.default_rng(0).standard_normal((20, 4))
    problem, basis = polynomial(coefficients), torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(InputError, match=r"below 2, the smallest measured.*smaller radii"):
        _ = expansion(problem, basis, [2.0, 4.0]).quadratic_radius
    with pytest.raises(InputError, match=r"above 0.01, the largest measured.*larger radii"):
        _ = expansion(problem, basis, [0.005, 0.01]).quadratic_radius


def test_the_remainder_of_a_linear_model_with_squared_errors_is_rounding():
    torch.manual_seed(0)
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    problem = Problem(nn.Linear(3, 1).double(), TensorDataset(x, y), "mse")
    found = expansion(problem, directions(problem), [0.1, 1.0, 10.0])
    assert (found.remainder_spread < 1e-12 * found.spread).all()
    assert np.allclose(found.quadratic_spread, found.spread)


def test_remainders_lie_at_the_probes_of_the_ledger():
    problem = small()
    basis = directions(problem)
    found = expansion(problem, basis, RADII)
    losses, rows = found.ledger.losses, found.derivatives
    assert found.remainder.shape == losses.shape
    assert not found.remainder[:, 0].any()
    probe, r = 1 + 2 * (1 * 3 + 2) + 1, -RADII[1] * found.scale  # second radius, third direction, minus
    expansion_there = losses[:, 0] + r * rows.gradients[:, 2] + r**2 / 2 * rows.hessians[:, 2, 2]
    assert np.allclose(found.remainder[:, probe], losses[:, probe] - expansion_there, atol=1e-14)


def test_a_second_run_takes_what_the_store_holds(tmp_path):
    problem = small()
    first = expansion(problem, directions(problem), RADII, store=tmp_path)
    measured = []
    again = expansion(problem, directions(problem), RADII, store=tmp_path, progress=measured.append)
    assert np.array_equal(first.remainder, again.remainder)
    assert sum(measured) == first.ledger.losses.size
    assert {path.name for path in tmp_path.iterdir()} >= {"losses", "derivatives"}


@pytest.mark.parametrize("radii", [[], [0.0, 1.0], [1.0, 0.5], [1.0, 1.0], [float("nan")], [1.0, float("inf")]])
def test_radii_that_do_not_ascend_are_refused(radii):
    problem = small()
    with pytest.raises(InputError, match="must ascend from above 0"):
        expansion(problem, directions(problem), radii)


def test_zero_weights_need_a_scale():
    problem = small()
    with torch.no_grad():
        for parameter in problem.moving.values():
            parameter.zero_()
    with pytest.raises(InputError, match="give scale="):
        expansion(problem, directions(problem), RADII)
    with pytest.raises(InputError, match="scale = -1"):
        expansion(problem, directions(problem), RADII, scale=-1.0)
