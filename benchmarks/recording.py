"""What `suffice.record` costs over a bare loop of forward passes, by batch size, and in memory.

Run as ``python benchmarks/recording.py [--threads N] [--dinov2 FOLDER]`` on an idle machine: where something else
runs as well, threads wait for each other, and models this small run up to ten times slower.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from environment import alternate, save
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import suffice
from suffice.models import TINY_VIT, load_image_classifier, moving_parameters
from suffice.problem import Problem, fastest_batch_size

CLASSES = [str(label) for label in range(10)]
BATCH_SIZES = [2**power for power in range(4, 13)]
MEMORY_SAMPLES = (2_000, 50_000)


def mlp_problem(samples: int) -> Problem:
    """784-64-10. The pixels are drawn in place, so that making them needs no more memory than they take."""
    torch.manual_seed(0)
    pixels = torch.empty(samples, 784).normal_()
    model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
    return Problem(model, TensorDataset(pixels, torch.randint(10, (samples,))))


def vit_problem(
    samples: int, source: str = TINY_VIT, image_size: int = 28, channels: int = 1, method: str = "all"
) -> Problem:
    """A Vision Transformer on random pixels."""
    torch.manual_seed(0)
    model = load_image_classifier(source, CLASSES, image_size=image_size).model
    data = TensorDataset(torch.randn(samples, channels, image_size, image_size), torch.randint(10, (samples,)))
    own_size = model.config.image_size == image_size
    return Problem(
        model,
        data,
        predict=lambda model, batch: model(batch[0], **({} if own_size else {"interpolate_pos_encoding": True})).logits,
        parameters=moving_parameters(model, method),
    )


def bare_loop(problem: Problem, states: Sequence[dict[str, Tensor]], batch_size: int) -> Tensor:
    """What one would write by hand: slices of the data in their own order, float32 losses, states made before."""
    pixels, labels = problem.dataset.tensors
    columns = []
    with torch.no_grad():
        for state in states:
            for name, parameter in problem.moving.items():
                parameter.data = state[name]
            losses = []
            for start in range(0, len(pixels), batch_size):
                batch = pixels[start : start + batch_size], labels[start : start + batch_size]
                losses.append(functional.cross_entropy(problem.outputs(batch), batch[1], reduction="none"))
            columns.append(torch.cat(losses))
        for name, parameter in problem.moving.items():
            parameter.data = states[0][name]
    return torch.stack(columns, 1)


def overhead(
    problem: Problem, count: int, batch_sizes: Sequence[int], repeats: int, table_count: int | None = None
) -> dict[str, Any]:
    """Both sides by batch size, at ``table_count`` probes; then record at "auto" against the best of the bare loop.

    The guards of each recording are measured apart: their time does not grow with the samples.
    """
    guarded = copy.copy(problem)
    problem.checks = False
    probes = suffice.Probes.sphere(problem, count=count)
    few_probes = suffice.Probes.sphere(problem, count=table_count or count)
    states = [probes[probe] for probe in range(len(probes))]
    expected = bare_loop(problem, states, 64)[torch.from_numpy(problem.index)].double()
    measured = torch.from_numpy(suffice.record(guarded, probes).losses)  # guards of the model run here
    assert torch.allclose(measured, expected, rtol=1e-5, atol=1e-5)

    def bare(batch_size: int) -> Callable[[], Any]:
        return lambda: bare_loop(problem, states[: len(few_probes)], batch_size)

    def record(batch_size: int) -> Callable[[], Any]:
        return lambda: suffice.record(problem, few_probes, batch_size=batch_size)

    sides = {("bare", size): bare(size) for size in batch_sizes}
    sides |= {("record", size): record(size) for size in batch_sizes}
    table = {key: min(seconds) for key, seconds in alternate(sides, 3).items()}
    best = min(batch_sizes, key=lambda size: table["bare", size])
    seconds = alternate(
        {
            "record": lambda: suffice.record(problem, probes),
            "guarded": lambda: suffice.record(guarded, probes),
            "bare": lambda: bare_loop(problem, states, best),
        },
        repeats,
    )
    ratios = [ours / theirs for ours, theirs in zip(seconds["record"], seconds["bare"], strict=True)]
    added = [guards - ours for guards, ours in zip(seconds["guarded"], seconds["record"], strict=True)]
    return {
        "samples": len(problem),
        "probes": len(probes),
        "probes_of_table": len(few_probes),
        "parameters_moving": sum(parameter.numel() for parameter in problem.moving.values()),
        "attention": getattr(getattr(problem.model, "config", None), "_attn_implementation", None),
        "largest_difference": float((measured - expected).abs().max()),
        "batch_size_auto": fastest_batch_size(problem),
        "batch_size_best_bare": best,
        "ratio_of_best": min(seconds["record"]) / min(seconds["bare"]),
        "ratio_median": statistics.median(ratios),
        "ratios": ratios,
        "guards_add_seconds": statistics.median(added),
        "seconds": seconds,
        "seconds_by_batch_size": {
            side: {size: table[side, size] for size in batch_sizes} for side in ("bare", "record")
        },
    }


def batching(problem: Problem, few: Problem, repeats: int) -> dict[str, Any]:
    """How many times faster a sample is at "auto" than at batch size 1, which runs on fewer samples."""
    probes, few_probes = suffice.Probes.sphere(problem), suffice.Probes.sphere(few)
    seconds = alternate(
        {
            "auto": lambda: suffice.record(problem, probes),
            "one": lambda: suffice.record(few, few_probes, batch_size=1),
        },
        repeats,
    )
    one, auto = (min(seconds[side]) / len(data) for side, data in (("one", few), ("auto", problem)))
    return {"samples": len(problem), "samples_one": len(few), "times_faster": one / auto}


def peak_bytes() -> int:
    """The largest memory of this process so far. (``ru_maxrss`` would count the process that started this one.)"""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def recorded_memory(samples: int) -> dict[str, int]:
    """In a process of its own: peaks before and after recording to a store."""
    problem = mlp_problem(samples)
    probes = suffice.Probes.sphere(problem)
    before = peak_bytes()
    with tempfile.TemporaryDirectory() as store:
        suffice.record(problem, probes, store=store)
    data = sum(tensor.numel() * tensor.element_size() for tensor in problem.dataset.tensors)
    return {"samples": samples, "data": data, "peak_before": before, "peak": peak_bytes()}


def memory() -> dict[str, Any]:
    """The peak less the data set, with few samples and with many."""
    command = [sys.executable, __file__, "--memory"]
    runs = [
        json.loads(subprocess.run([*command, str(samples)], check=True, capture_output=True, text=True).stdout)
        for samples in MEMORY_SAMPLES
    ]
    few, many = (run["peak"] - run["data"] for run in runs)
    return {"runs": runs, "ratio": many / few}


def main() -> None:
    """All parts, one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--memory", type=int, help="only record so many samples and print the peaks")
    arguments.add_argument("--dinov2", help="folder of DINOv2-small, to look at its batch sizes too")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.memory:
        print(json.dumps(recorded_memory(asked.memory)))
        return
    results = {
        "memory": memory(),
        "overhead": {
            "tiny_vit": overhead(vit_problem(4_096), 8, BATCH_SIZES, 5, table_count=1),
            "mlp": overhead(mlp_problem(50_000), 8, BATCH_SIZES, 9),
        },
        "batching": {
            "tiny_vit": batching(vit_problem(2_000), vit_problem(256), 3),
            "mlp": batching(mlp_problem(20_000), mlp_problem(1_000), 5),
        },
    }
    if asked.dinov2:
        problem = vit_problem(64, asked.dinov2, image_size=56, channels=3, method="last_layers(2)")
        results["overhead"]["dinov2_small"] = overhead(problem, 1, [2, 4, 8, 16, 32, 64], 5)
    save("recording", results)


if __name__ == "__main__":
    main()
