"""Hessians of single samples in a subspace, against a loop over samples and columns; by the number of samples.

Run as ``python benchmarks/per_sample.py DINOV2_SMALL [--threads N] [--only vit dinov2 scaling]`` (15 minutes). The loop
takes the product of each sample's Hessian and each basis vector by ``jvp(grad)``, and projects it. Both sides run in
turn; the answers are compared first. Guards have run before.
"""

import argparse
import json
import math
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from environment import RESULTS, alternate, save
from spectra import trained_vit
from torch import Tensor
from torch.func import functional_call, grad, jvp
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import TensorDataset

from suffice import Problem
from suffice.curvature import parameter_count, per_sample
from suffice.models import adapted, load_image_classifier, split

DIRECTIONS, REPEATS = 16, 3
OURS, LOOP = 256, 4
"""Samples that each side takes: the loop's time a sample does not depend on it."""

SIZES = (500, 1000, 2000, 4000, 8000)


def random_basis(problem: Problem) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(parameter_count(problem), DIRECTIONS, generator=draw)).Q


def vit(samples: int) -> Problem:
    """The embedded Vision Transformer on digits, trained a little; all parameters move."""
    model, pixels, labels = trained_vit(1797, 150)
    rows = torch.arange(samples) % len(pixels)
    return Problem(
        model, TensorDataset(pixels[rows], labels[rows]), predict=lambda model, batch: model(batch[0]).logits
    )


def last_block(folder: str, samples: int) -> Problem:
    """The last block of DINOv2-S with its norm and head, on the block's inputs."""
    torch.manual_seed(0)
    pixels, labels = torch.randn(samples, 3, 56, 56), torch.arange(samples) % 10
    whole = load_image_classifier(folder, [str(label) for label in range(10)], image_size=56).model.eval()
    model = adapted(whole, "last_layers(1)")

    def predict(model: Any, batch: Any) -> Tensor:
        outputs: Tensor = model(batch["pixel_values"]).logits
        return outputs

    parts = split(model, predict, {"pixel_values": pixels[:2], "labels": labels[:2]})
    assert parts is not None
    with torch.no_grad():
        features = torch.cat([parts.features({"pixel_values": some}) for some in pixels.split(32)])
    return Problem(parts.rest, TensorDataset(features, labels))


def loop(problem: Problem, basis: Tensor, samples: int) -> Tensor:
    """U'h_iU of the first samples, one by one and column by column."""
    sizes = [parameter.numel() for parameter in problem.moving.values()]
    weights = {name: value.detach() for name, value in problem.moving.items()}
    columns = [
        {
            name: part.reshape(value.shape)
            for (name, value), part in zip(weights.items(), column.split(sizes), strict=True)
        }
        for column in basis.T.contiguous()
    ]
    found = torch.empty(samples, DIRECTIONS, DIRECTIONS)
    with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
        for row in range(samples):
            batch = problem.batch(slice(row, row + 1))

            def loss(weights: dict[str, Tensor], batch: Any = batch) -> Tensor:
                outputs = functional_call(problem.model, weights, (batch[0],))
                logits = outputs if isinstance(outputs, Tensor) else outputs.logits
                return functional.cross_entropy(logits.double(), batch[1])

            for place, column in enumerate(columns):
                product = jvp(grad(loss), (weights,), (column,))[1]
                found[row, :, place] = torch.cat([product[name].flatten() for name in weights]) @ basis
    return found


def compare(make: Callable[[int], Problem]) -> dict[str, Any]:
    """Seconds a sample of both sides."""
    problem, few = make(OURS), make(LOOP)
    few.index = problem.index[:LOOP]
    few.dataset = problem.dataset
    basis = random_basis(problem)
    answers = {"ours": per_sample(problem, basis).hessians[:LOOP], "loop": loop(problem, basis, LOOP).numpy()}
    difference = float(np.abs(answers["ours"] - answers["loop"]).max() / np.abs(answers["loop"]).max())
    assert difference < 1e-4, f"the answers differ by {difference}"
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: per_sample(problem, basis),
        "loop": lambda: loop(problem, basis, LOOP),
    }
    seconds = alternate(sides, REPEATS)
    each = {
        "ours": [taken / OURS for taken in seconds["ours"]],
        "loop": [taken / LOOP for taken in seconds["loop"]],
    }
    return {
        "parameters": len(basis),
        "directions": DIRECTIONS,
        "largest_difference_relative": difference,
        "milliseconds_a_sample": {name: 1e3 * statistics.median(taken) for name, taken in each.items()},
        "times_faster": statistics.median(b / a for a, b in zip(each["ours"], each["loop"], strict=True)),
    }


def scaling() -> dict[str, Any]:
    """Seconds and peak memory by the number of samples, on the embedded ViT; the faster of a way up and a way down."""
    basis, seconds, memory = random_basis(vit(SIZES[0])), dict.fromkeys(SIZES, math.inf), {}
    for size in (*SIZES, *SIZES[::-1]):
        problem = vit(size)
        problem.checks = False
        start = time.perf_counter()
        rows = per_sample(problem, basis)
        seconds[size] = min(seconds[size], time.perf_counter() - start)
        assert len(rows.losses) == size
        memory.setdefault(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    exponent, _ = np.polyfit([math.log(size) for size in SIZES], [math.log(taken) for taken in seconds.values()], 1)
    data_and_results = SIZES[-1] * (28 * 28 * 4 + (1 + DIRECTIONS + DIRECTIONS**2) * 8)
    return {
        "seconds": seconds,
        "exponent": float(exponent),
        "peak_memory_mib": memory,
        "data_and_results_mib_of_the_largest": data_and_results / 2**20,
    }


def main() -> None:
    """The parts asked for, beside the stored others."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", help="folder of DINOv2-small")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--only", nargs="+", choices=["vit", "dinov2", "scaling"])
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "scaling": scaling,  # first: the peak of memory is that of the process
        "vit": lambda: compare(vit),
        "dinov2": lambda: compare(lambda samples: last_block(asked.model, samples)),
    }
    stored = RESULTS / "per_sample.json"
    results = json.loads(stored.read_text()) if asked.only and stored.exists() else {}
    results.pop("environment", None)
    save("per_sample", results | {name: parts[name]() for name in parts if name in (asked.only or parts)})


if __name__ == "__main__":
    main()
