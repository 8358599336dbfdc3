"""What a second rank gains for a product with a Hessian.

Run as ``python benchmarks/ranks.py [--samples 192] [--repeats 3]``: products of the Hessian of a small transformer with
one vector, by one rank and by two, each of one thread, begun by ``torchrun`` in turn; the best time of each. The bits
of the products are compared first. Graphs are built anew for each product, as for a model whose graphs do not fit.

The same by two processes of `suffice.engine.Workers`, which pass vectors and sums through files, as tasks do.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from environment import save
from torch import nn

from suffice import Problem
from suffice.curvature import Hessian
from suffice.digest import digest
from suffice.engine import Ranks, Workers
from suffice.storage import atomic_write

BATCH, WIDTH, TOKENS = 16, 128, 32


def problem_of(samples: int) -> Problem:
    """A transformer of two layers that classifies sequences."""
    torch.manual_seed(0)
    layers = [nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, 0.0, batch_first=True) for _ in range(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTH * TOKENS, 10))
    data = torch.utils.data.TensorDataset(torch.randn(samples, TOKENS, WIDTH), torch.arange(samples) % 10)
    return Problem(model, data)


def of_rank(samples: int) -> None:
    """In a rank: the seconds of some products, and a hash of the last."""
    with Ranks() as ranks:
        hessian = Hessian(problem_of(samples), batch_size=BATCH, memory=0, ranks=ranks)
        vector = torch.ones(hessian.shape[0])
        product, seconds = hessian @ vector, []
        for _ in range(3):
            began = time.perf_counter()
            product = hessian @ vector
            seconds.append(time.perf_counter() - began)
        if ranks.rank == 0:
            print(json.dumps({"seconds": seconds, "product": digest(product), "parameters": len(vector)}))


@functools.lru_cache(maxsize=1)
def kept(samples: int) -> Hessian:
    """The operator of a worker, from task to task."""
    return Hessian(problem_of(samples), batch_size=BATCH, memory=0)


def of_worker(folder: str, samples: int, rank: int) -> None:
    """Every second batch, each sum in a file."""
    hessian, rows = kept(samples), torch.from_numpy(np.load(f"{folder}/vector.npy"))[None]
    for chunk in range(rank, -(-samples // BATCH), 2):
        part = torch.zeros(rows.shape, dtype=torch.float64)
        positions = np.arange(chunk * BATCH, min((chunk + 1) * BATCH, samples))
        hessian._graphs.add(part, rows, positions, hessian.names)
        with atomic_write(Path(folder, f"{chunk}.npy")) as file:
            np.save(file, part.numpy())


def by_workers(samples: int) -> dict[str, Any]:
    """What `of_rank` finds, by two workers."""
    hessian = kept(samples)
    vector, seconds = torch.ones(hessian.shape[0]), []
    total = torch.zeros(len(vector), dtype=torch.float64)
    with tempfile.TemporaryDirectory() as folder, Workers(2, 1) as workers:
        for _ in range(4):
            began = time.perf_counter()
            with atomic_write(Path(folder, "vector.npy")) as file:
                np.save(file, vector.numpy())
            workers.run(functools.partial(of_worker, folder, samples), range(2))
            total.zero_()
            for chunk in range(-(-samples // BATCH)):
                total += torch.from_numpy(np.load(f"{folder}/{chunk}.npy"))[0]
            seconds.append(time.perf_counter() - began)
    return {"seconds": seconds[1:], "product": digest((total / samples).float()), "parameters": len(vector)}


def launched(ranks: int, samples: int) -> dict[str, Any]:
    """What rank 0 found."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    program = [__file__, "--samples", str(samples), "--rank"]
    done = subprocess.run([*command, *program], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """All sides, in turn."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, default=192)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--rank", action="store_true", help="run as one of the ranks")
    asked = arguments.parse_args()
    if asked.rank:
        of_rank(asked.samples)
        return
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, Any]]] = {"one rank": [], "two ranks": [], "two workers": []}
    for _ in range(asked.repeats):
        found["one rank"].append(launched(1, asked.samples))
        found["two ranks"].append(launched(2, asked.samples))
        found["two workers"].append(by_workers(asked.samples))
    products = {str(one["product"]) for of_ranks in found.values() for one in of_ranks}
    assert len(products) == 1, "the bits depend on the number of ranks"
    seconds = {ranks: [one["seconds"] for one in of_ranks] for ranks, of_ranks in found.items()}
    best = {ranks: min(min(run) for run in runs) for ranks, runs in seconds.items()}
    save(
        "ranks",
        {
            "samples": asked.samples,
            "batches": -(-asked.samples // BATCH),
            "parameters": found["one rank"][0]["parameters"],
            "same_bits": True,
            "seconds": seconds,
            "two_ranks_over_one": best["one rank"] / best["two ranks"],
            "two_workers_over_one_rank": best["one rank"] / best["two workers"],
            "load_average": os.getloadavg()[0],
        },
    )


if __name__ == "__main__":
    main()
