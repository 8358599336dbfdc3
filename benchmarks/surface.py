"""What a loss surface for all k costs over the forward passes that it needs.

``python benchmarks/surface.py [--threads N] [--points 41] [--samples 1400] [--repeats 3]``: 41 x 41 points, 1,400 real
digits, all parameters of the embedded Vision Transformer, one thread. ``--points 9 --samples 512`` is quick.

The other side is `recording.bare_loop`, what one would write by hand, with the weights of all points made beforehand
and at its own best batch size. It runs over some of the points, as weights of all would need a gigabyte; its time goes
with their number. Times are processor seconds, which other work on the machine disturbs less.
"""

import argparse
import tempfile
import time
from typing import Any

import numpy as np
import torch
from environment import save
from recording import bare_loop
from torch.utils.data import TensorDataset, default_collate

import suffice
from suffice.data import load_samples
from suffice.models import TINY_VIT, load_classifier
from suffice.problem import Problem, fastest_batch_size

BATCH_SIZES = (64, 128, 256, 512, 1024)

AT_A_TIME = 50
"""Points whose weights the bare loop holds."""


def digits_problem(samples: int) -> Problem:
    """The embedded Vision Transformer, all parameters, on real digits; a new head, as it is not trained here."""
    data = load_samples("builtin:digits")
    classifier = load_classifier(TINY_VIT, data, seed=0)
    inputs = classifier.inputs(data, np.arange(samples))
    batch = default_collate([inputs[row] for row in range(samples)])
    tensors = TensorDataset(batch["pixel_values"], batch["labels"])
    return Problem(classifier.model, tensors, predict=lambda model, batch: model(batch[0]).logits)


def surface_cost(problem: Problem, points: int, repeats: int) -> dict[str, Any]:
    """Both sides in turn, after answers were compared."""
    plane = suffice.Plane.random(problem, extent=0.5, points=points)
    probes = suffice.Probes.plane(problem, plane)
    problem.checks = False
    some = np.linspace(0, len(probes) - 1, min(AT_A_TIME, len(probes))).round().astype(int).tolist()
    states = [probes[probe] for probe in some]
    by_size = {}
    for size in BATCH_SIZES:
        bare_loop(problem, states[:5], size)
        start = time.process_time()
        bare_loop(problem, states[:5], size)
        by_size[size] = time.process_time() - start
    best = min(by_size, key=lambda size: by_size[size])
    seconds: dict[str, list[float]] = {"surface": [], "bare": []}
    for _ in range(repeats):
        parts = []
        start = time.process_time()
        expected = bare_loop(problem, states, best)
        parts.append(time.process_time() - start)
        with tempfile.TemporaryDirectory() as store:
            start = time.process_time()
            found = suffice.surface(problem, plane, store)
            surfaces = found.at(range(1, len(problem) + 1))
            seconds["surface"].append(time.process_time() - start)
            measured = torch.from_numpy(found.ledger.losses[:, some])
        start = time.process_time()
        bare_loop(problem, states, best)
        parts.append(time.process_time() - start)
        seconds["bare"].append(sum(parts) / 2 / len(some) * len(probes))  # before and after: drift hits both alike
        assert torch.allclose(measured, expected[torch.from_numpy(problem.index)].double(), rtol=1e-4, atol=1e-4)
        assert np.isfinite(surfaces).all()
    ratios = [ours / bare for ours, bare in zip(seconds["surface"], seconds["bare"], strict=True)]
    return {
        "points": points,
        "samples": len(problem),
        "parameters_moving": len(plane.first),
        "batch_size_auto": fastest_batch_size(problem),
        "batch_size_best_bare": best,
        "bare_points": len(some),
        "processor_seconds": seconds,
        "ratios": ratios,
        "ratio_median": float(np.median(ratios)),
        "ratio_of_best": min(seconds["surface"]) / min(seconds["bare"]),
    }


def main() -> None:
    """The surface, and the file with its cost."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--points", type=int, default=41)
    arguments.add_argument("--samples", type=int, default=1400)
    arguments.add_argument("--repeats", type=int, default=3)
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    found = surface_cost(digits_problem(asked.samples), asked.points, asked.repeats)
    if (asked.points, asked.samples) == (41, 1400):
        save("surface", found)
    else:
        print(found)


if __name__ == "__main__":
    main()
