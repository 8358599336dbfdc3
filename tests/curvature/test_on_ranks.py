"""Derivatives on several ranks: the bits of one process, the values of central differences, and ranks that differ."""

import copy
import functools
import json
import os
import signal
import sys

import numpy as np
import pytest
import torch
from launched import launched
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from suffice import InputError, Problem
from suffice.curvature import Hessian, along_k, flattened, gaps, mean_gradient, top_eigenpairs, unflattened
from suffice.engine import Ranks

pytestmark = pytest.mark.deep  # each has processes of its own

SAMPLES, BATCH = 47, 10
"""Five batches, the last of seven."""

PARTS = ("full", "outer", "functional")


class Rows(Dataset):
    """Samples that may stop being readable, or end whoever reads them."""

    broken = killing = False

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        if self.killing:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.broken:
            raise OSError("Stale file handle")
        return self.x[row], self.y[row]

    def fingerprint(self):
        return repr(self.x.sum().item())


def problem_of(dtype=torch.float64, kind=TensorDataset):
    torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3)
    x, y = torch.randn(SAMPLES, 6, dtype=dtype), torch.randint(3, (SAMPLES,))
    return Problem(nn.Sequential(*layers).to(dtype), kind(x, y), seed=1)


def vectors_of(hessian, columns=2):
    draw = torch.Generator().manual_seed(2)
    return torch.randn(hessian.shape[0], columns, generator=draw, dtype=hessian.dtype)


def measured(ranks):
    """What is to be the same on any number of ranks, to the bit."""
    found = {}
    for dtype in (torch.float64, torch.float32):
        problem = problem_of(dtype)
        for part in PARTS:
            hessian = Hessian(problem, part, batch_size=BATCH, ranks=ranks)
            found[f"{part} {dtype}"] = hessian @ vectors_of(hessian)
        few = Hessian(problem, batch_size=64, memory=0, ranks=ranks)  # one batch, so that all ranks but one are idle
        found[f"one batch {dtype}"] = few @ vectors_of(few)
        some = Hessian(problem, positions=np.array([3, 40, 5, 7]), batch_size=1, ranks=ranks).block("5.*")
        found[f"block {dtype}"] = some @ vectors_of(some)
        found[f"gradient {dtype}"] = mean_gradient(problem, BATCH, ranks=ranks)
        found[f"gradient of one {dtype}"] = mean_gradient(problem, BATCH, slice(5, 6), ranks=ranks)
        pairs = top_eigenpairs(Hessian(problem, batch_size=BATCH, ranks=ranks), 2)
        found[f"pairs {dtype}"] = torch.cat([pairs.values[None], pairs.vectors])
    gap = gaps(problem, [1, 33, 46], ranks=ranks)
    found["gaps"] = torch.from_numpy(np.stack([gap.loss, gap.gradient, gap.hessian, gap.residual]))
    along = along_k(problem, [20, SAMPLES], 1, ranks=ranks)
    found["along k"] = torch.from_numpy(np.stack([along.values[0, :, 0], along.overlap[0]]))
    return {name: value.double().numpy() for name, value in found.items()}


def on_ranks(folder):
    """In a rank."""
    with Ranks() as ranks:
        np.savez(f"{folder}/{ranks.rank}.npz", **measured(ranks))
        hessian = Hessian(problem_of(), batch_size=BATCH, ranks=ranks)
        print(json.dumps({"memory": hessian.memory}))


@pytest.fixture(scope="module")
def alone():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measured(None)
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module", params=[2, 3])
def together(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    ends = launched(request.param, __file__, "on_ranks", folder)
    assert [status for status, *_ in ends] == [0] * request.param, ends
    memory = [json.loads(output)["memory"] for _, output, _ in ends]
    return memory, [dict(np.load(folder / f"{rank}.npz")) for rank in range(request.param)]


def test_every_rank_has_the_bits_of_one_process(alone, together):
    for found in together[1]:
        assert found.keys() == alone.keys()
        different = [name for name in alone if not np.array_equal(found[name], alone[name])]
        assert different == []


def test_a_rank_keeps_the_graphs_of_its_own_batches(together):
    whole = Hessian(problem_of(), batch_size=BATCH).memory
    memory, _ = together
    assert max(memory) < 0.8 * whole
    assert sum(memory) == pytest.approx(whole, rel=0.1)


def test_the_values_are_those_of_central_differences(together):
    problem, step = problem_of(), 1e-4
    hessian = Hessian(problem)
    products = together[1][0]["full torch.float64"]
    gradient = together[1][0]["gradient torch.float64"]
    center = problem.center()

    def loss(vector, far):
        parts = unflattened(problem, vector)
        with problem.at({name: center[name] + far * parts[name] for name in center}):
            return float(problem.all_losses().mean())

    for vector, product in zip(vectors_of(hessian).T, products.T, strict=True):
        up, here, down = (loss(vector, far) for far in (step, 0, -step))
        assert float(vector @ torch.from_numpy(product)) == pytest.approx((up - 2 * here + down) / step**2, rel=1e-5)
        assert float(vector @ torch.from_numpy(gradient)) == pytest.approx((up - down) / (2 * step), rel=1e-6)
    assert flattened(problem, center).shape == gradient.shape


def said(call):
    with pytest.raises(InputError) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def other_weights(problem):
    problem.model[0].bias.data[3] += 1e-7
    return Hessian, {}


def other_frozen_weights(problem):
    problem.model.register_buffer("scale", torch.ones(1))
    return mean_gradient, {}


def other_samples(problem):
    problem.dataset.tensors[0][30, 2] += 1e-7
    return Hessian, {}


def other_order(problem):
    problem.index = problem.index[::-1].copy()
    return mean_gradient, {}


def other_batches(problem):
    return Hessian, {"batch_size": 9}


def other_part(problem):
    return Hessian, {"part": "outer"}


def other_forward(problem):
    problem.model[2] = nn.ReLU()
    return Hessian, {}


DIFFERENCES = {
    other_forward: "rank 1 has other losses of the same samples than rank 0",
    other_weights: "rank 1 has other weights than rank 0",
    other_frozen_weights: "rank 1 has other weights than rank 0",
    other_samples: "rank 1 has other samples than rank 0",
    other_order: "rank 1 has other samples than rank 0",
    other_batches: "rank 1 has other batch size than rank 0 (9, there 64)",
    other_part: "rank 1 has other part than rank 0 (outer, there full)",
}


def refused():
    """In a rank: the second holds something else, and at last is killed."""
    with Ranks() as ranks:
        found = {}
        for differ in DIFFERENCES:
            problem = problem_of()
            derivative, settings = differ(problem if ranks.rank == 1 else copy.deepcopy(problem))
            given = settings if ranks.rank == 1 else {}
            found[differ.__name__] = said(functools.partial(derivative, problem, ranks=ranks, **given))
        hessian = Hessian(problem_of(), ranks=ranks)
        vectors = vectors_of(hessian)
        vectors[7, 1] += 1e-12 * ranks.rank
        found["vectors"] = said(lambda: hessian @ vectors)
        hessian = Hessian(problem_of(kind=Rows), batch_size=5, memory=0, ranks=ranks)
        hessian._problem.dataset.broken = ranks.rank == 1
        found["unreadable"] = said(lambda: hessian @ vectors_of(hessian))
        hessian._problem.dataset.broken = False
        found["afterwards"] = (hessian @ vectors_of(hessian)).tolist()
        torch.set_num_threads(1 + ranks.rank)
        found["threads"] = said(lambda: mean_gradient(problem_of(), ranks=ranks))
        print(json.dumps(found), flush=True)
        hessian._problem.dataset.killing = ranks.rank == 1
        print(said(lambda: hessian @ vectors_of(hessian)))


def test_ranks_that_differ_are_refused_and_all_say_the_same(alone):
    (status, output, errors), (other, others_output, _) = launched(2, __file__, "refused")
    assert (status, other) == (0, -signal.SIGKILL), errors
    told, at_last = output.splitlines()
    first, second = json.loads(told), json.loads(others_output)
    assert first == second
    for differ, message in DIFFERENCES.items():
        assert first[differ.__name__].startswith(message)
    assert first["vectors"].startswith("rank 1 has other vectors than rank 0")
    assert first["unreadable"].startswith("rank 1 of 2: ")
    assert first["unreadable"].endswith("Stale file handle")
    assert first["threads"].startswith("rank 1 has other number of threads than rank 0 (2, there 1)")
    assert np.allclose(first["afterwards"], alone["full torch.float64"], rtol=1e-10)
    assert at_last.startswith("rank 1 of 2 has ended, or did not answer within 600 s")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
