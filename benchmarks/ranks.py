"""What a second rank gains for a product with a Hessian.

Run as ``python benchmarks/ranks.py [--samples 192] [--repeats 3]``: products of the Hessian of a small transformer with
one vector, by one rank and by two, each of one thread, begun by ``torchrun`` in turn; the best time of each. The bits
of the products are compared first. Graphs are built anew for each product, as for a model whose graphs do not fit.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from environment import save
from torch import nn

from suffice import Problem
from suffice.curvature import Hessian
from suffice.digest import digest
from suffice.engine import Ranks

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


def launched(ranks: int, samples: int) -> dict[str, Any]:
    """What rank 0 found."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    program = [__file__, "--samples", str(samples), "--rank"]
    done = subprocess.run([*command, *program], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """One rank and two, in turn."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, default=192)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--rank", action="store_true", help="run as one of the ranks")
    asked = arguments.parse_args()
    if asked.rank:
        of_rank(asked.samples)
        return
    found: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(asked.repeats):
        for ranks, of_ranks in found.items():
            of_ranks.append(launched(ranks, asked.samples))
    products = {str(one["product"]) for of_ranks in found.values() for one in of_ranks}
    assert len(products) == 1, "the bits depend on the number of ranks"
    seconds = {ranks: [one["seconds"] for one in of_ranks] for ranks, of_ranks in found.items()}
    best = {ranks: min(min(run) for run in runs) for ranks, runs in seconds.items()}
    save(
        "ranks",
        {
            "samples": asked.samples,
            "batches": -(-asked.samples // BATCH),
            "parameters": found[1][0]["parameters"],
            "same_bits": True,
            "seconds_by_ranks": {str(ranks): runs for ranks, runs in seconds.items()},
            "two_ranks_over_one": best[1] / best[2],
            "load_average": os.getloadavg()[0],
        },
    )


if __name__ == "__main__":
    main()
