"""Where memory runs out batches are halved, the run goes on, and the results are those of smaller batches."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from suffice import InputError, Plane, Probes, Problem, record, surface
from suffice.curvature import (
    Hessian,
    gaps,
    loss_gradients,
    mean_gradient,
    per_sample,
    prefix_gradients,
    spreads,
    top_eigenpairs,
)
from suffice.curvature.graphs import Graphs
from suffice.curvature.sample_products import SampleProducts
from suffice.errors import InputWarning
from suffice.memory import Halving, has_run_out

pytestmark = pytest.mark.filterwarnings("ignore:memory ran out with batches")

SAMPLES = 70
LIMIT = 9


class Limited(nn.Module):
    """A network whose memory holds so many samples at a time."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 3)).double()
        self.limit, self.refused = 10**9, 0

    def forward(self, x):
        if len(x) > self.limit:
            self.refused += 1
            torch.empty(1 << 50)  # torch's own error of a CPU
        return self.layers(x)


@pytest.fixture
def problem():
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(SAMPLES, 4, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (SAMPLES,), generator=draw)
    return Problem(Limited(), torch.utils.data.TensorDataset(x, y))


def _hessian_product(problem):
    return [Hessian(problem) @ torch.ones(parameters(problem), dtype=torch.float64)]


def _eigenvalues(problem):
    return [top_eigenpairs(Hessian(problem), 3).values]


def _gaps(problem):
    found = gaps(problem, [1, 20, 69])
    return [found.loss, found.gradient, found.hessian]


def _per_sample(problem):
    basis, _ = torch.linalg.qr(torch.randn(parameters(problem), 3, dtype=torch.float64))
    found = per_sample(problem, basis)
    return [found.losses, found.gradients, found.hessians]


def _surface(problem):
    return [surface(problem, Plane.random(problem, points=3)).at([1, 30, SAMPLES])]


def _prefixes(problem):
    return list(prefix_gradients(problem, [5, 60, SAMPLES]))


MEASURED = {
    "mean gradient": lambda problem: [mean_gradient(problem)],
    "gradients of prefixes": _prefixes,
    "gradients of samples": lambda problem: [loss_gradients(problem, np.arange(SAMPLES))],
    "outputs": lambda problem: [problem.all_outputs()],
    "Hessian product": _hessian_product,
    "eigenvalues": _eigenvalues,
    "gaps": _gaps,
    "spreads": lambda problem: [torch.tensor(spreads(problem))],
    "per-sample Hessians": _per_sample,
    "losses": lambda problem: [record(problem, Probes.sphere(problem, count=2), batch_size=32).losses],
    "surface": _surface,
}


def parameters(problem):
    return sum(parameter.numel() for parameter in problem.moving.values())


@pytest.mark.parametrize("name", MEASURED)
def test_results_do_not_change(problem, name):
    torch.manual_seed(3)
    expected = MEASURED[name](problem)
    problem.model.limit = LIMIT
    torch.manual_seed(3)
    found = MEASURED[name](problem)
    assert problem.model.refused > 0
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", MEASURED)
def test_a_sample_that_does_not_fit_is_refused_with_what_to_do(problem, name):
    MEASURED[name](problem)  # the guards have seen the model
    problem.model.limit = 0
    with pytest.raises(InputError, match=r"with a single sample .*4503599627370496 bytes.*let fewer parameters move"):
        MEASURED[name](problem)


def test_halved_batches_are_said(problem):
    problem.model.limit = LIMIT
    probes = Probes.sphere(problem, count=1)
    with pytest.warns(InputWarning, match="memory ran out with batches of 16 samples; they are halved to 8"):
        record(problem, probes, batch_size=32)


def test_products_of_samples_are_halved(problem, monkeypatch):
    expected, sizes, run = spreads(problem), [], SampleProducts.__call__

    def limited(self, positions, vectors):
        sizes.append(len(positions))
        if len(positions) > LIMIT:
            raise torch.OutOfMemoryError("no memory")
        return run(self, positions, vectors)

    monkeypatch.setattr(SampleProducts, "__call__", limited)
    found = spreads(problem)
    assert np.allclose(found, expected, rtol=1e-6)
    assert max(sizes) > LIMIT
    # 70, 35, 18, 9: each too large one is tried once in all passes
    assert [size for size in sizes if size > LIMIT] == [70, 35, 18]


@pytest.mark.deep
def test_kept_graphs_are_given_up_before_batches_are_halved(problem):
    graphs = Graphs(problem, "full", memory=1 << 30)
    vector = torch.ones(1, parameters(problem), dtype=torch.float64)
    names = list(problem.moving)

    def product(*batches):
        total = torch.zeros_like(vector)
        for batch in batches:
            graphs.add(total, vector, batch, names)
        return total

    first, second = np.arange(20), np.arange(20, 40)
    expected = product(first, second)
    (one, other) = graphs._kept.values()
    alive = [weakref.ref(one), weakref.ref(other)]
    state = {"fails": True}

    def scarce(vector):
        if state.pop("fails", False):
            raise torch.OutOfMemoryError("no memory")
        return type(other).product(other, vector)

    other.product = scarce
    del one, other, scarce
    sizes = []
    built = graphs._built

    def count(positions):
        gc.collect()
        assert all(graph() is None for graph in alive)  # nothing keeps what is given up
        sizes.append(len(positions))
        return built(positions)

    graphs._built = count
    assert torch.allclose(product(first, second), expected, rtol=1e-10)
    assert sizes == [20]
    assert torch.allclose(product(first, second), expected, rtol=1e-10)
    assert sizes == [20, 20, 20]


def test_errors_of_memory_are_known():
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 50)
    assert has_run_out(error.value)
    assert has_run_out(torch.OutOfMemoryError("CUDA out of memory"))
    assert not has_run_out(RuntimeError("shapes cannot be multiplied"))
    assert not has_run_out(ValueError("can't allocate memory"))


def test_what_failed_is_given_up_before_a_half_is_run():
    made = []

    def run(some):
        assert all(array() is None for array in made)
        big = np.zeros(len(some))
        made.append(weakref.ref(big))
        if len(some) > 2:
            raise MemoryError
        return len(some)

    halving = Halving(8)
    assert list(halving(run, np.arange(5))) == [2, 2, 1]
    assert halving.size == 2


def test_a_store_is_resumed_where_memory_ran_out(problem, tmp_path):
    probes = Probes.sphere(problem, count=2)
    expected = record(problem, probes, batch_size=32).losses
    problem.model.limit = LIMIT
    ledger = record(problem, probes, tmp_path, batch_size=32)
    assert ledger.batch_size == 32
    assert np.allclose(record(problem, probes, tmp_path, batch_size=32).losses, expected, rtol=1e-10)
