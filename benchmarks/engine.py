"""What running tasks by `suffice.engine` costs, and what a second worker gains.

Run as ``python benchmarks/engine.py [--seconds 10] [--tasks 8] [--ray]``: tasks of about so many seconds, each a
training loop of a small network on one thread, in a plain loop, by one worker, by two, and with ``--ray`` by two of a
cluster that is begun here. Processes are begun before the clock is, as a run begins them once; their start is given
apart. The driver's own time for each task, and the bytes that a task takes to a worker and back, are measured too.
"""

import argparse
import functools
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from environment import save
from torch import nn

from suffice.configuration import StudyConfig
from suffice.engine import RayCluster, Workers
from suffice.engine.processes import _call
from suffice.runs.study import _do, _Step
from suffice.training import ALL, Series


def train(folder: str, steps: int, task: int) -> None:
    """Trains a small network, and leaves its last loss."""
    torch.manual_seed(task)
    model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 10))
    optimizer = torch.optim.AdamW(model.parameters())
    x, y = torch.randn(64, 64), torch.arange(64) % 10
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    Path(folder, f"{task}.txt").write_text(repr(float(loss)))


def nothing(task: int) -> None:
    """A task that takes no time."""


def steps_of(seconds: float) -> int:
    """So many steps take about so long."""
    with tempfile.TemporaryDirectory() as folder:
        train(folder, 100, 0)  # the first are slower
        began = time.perf_counter()
        train(folder, 500, 0)
        return max(1, round(500 * seconds / (time.perf_counter() - began)))


def timed(run: Callable[[str], None]) -> tuple[float, dict[str, str]]:
    """Seconds of a run in a folder, and what it left there."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run(folder)
        return time.perf_counter() - began, {file.name: file.read_text() for file in Path(folder).iterdir()}


def by_workers(
    count: int, steps: int, tasks: int, begin: Callable[[], Executor] | None = None
) -> tuple[float, float, dict[str, str]]:
    """Seconds to begin, seconds of the tasks, and results."""
    with Workers(count, 1, begin) as workers:
        began = time.perf_counter()
        workers.run(nothing, range(count))
        start = time.perf_counter() - began
        seconds, found = timed(lambda folder: workers.run(functools.partial(train, folder, steps), range(tasks)))
    return start, seconds, found


def main() -> None:
    """All sides, twice in turn; the best of each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--tasks", type=int, default=8)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--ray", action="store_true")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    steps = steps_of(asked.seconds)

    def plain(folder: str) -> None:
        for task in range(asked.tasks):
            train(folder, steps, task)

    seconds: dict[str, list[float]] = {}
    starts: dict[str, list[float]] = {}
    every = []
    for _ in range(asked.repeats):
        taken, found = timed(plain)
        seconds.setdefault("plain loop", []).append(taken)
        every.append(found)
        sides: dict[str, tuple[int, Callable[[], Executor] | None]] = {
            "one worker": (1, None),
            "two workers": (2, None),
        }
        if asked.ray:
            sides["two workers by Ray"] = (2, functools.partial(RayCluster().executor, 1))
        for name, (count, begin) in sides.items():
            start, taken, found = by_workers(count, steps, asked.tasks, begin)
            seconds.setdefault(name, []).append(taken)
            starts.setdefault(name, []).append(start)
            every.append(found)
    assert all(found == every[0] for found in every), "results depend on the workers"
    config = StudyConfig(model="builtin:tiny-vit", data="builtin:digits")
    call = functools.partial(_do, config.model_dump_json(), "/shared/runs/study")
    there = len(pickle.dumps((_call, (1, call, _Step("cell", Series(ALL, "lora(4)", 0), 1000)), {})))
    with Workers(2, 1) as workers:
        workers.run(nothing, range(2))
        began = time.perf_counter()
        workers.run(nothing, range(2000))
        dispatch = (time.perf_counter() - began) / 2000
    best = {name: min(taken) for name, taken in seconds.items()}
    save(
        "engine",
        {
            "tasks": asked.tasks,
            "seconds_of_a_task": best["plain loop"] / asked.tasks,
            "seconds": seconds,
            "seconds_to_begin": starts,
            "overhead_of_one_worker": best["one worker"] / best["plain loop"] - 1,
            "two_workers_over_one": best["one worker"] / best["two workers"],
            "same_results": True,
            "driver_seconds_of_a_task": dispatch,
            "bytes_of_a_task_to_a_worker": there,
            "bytes_of_a_task_back": len(pickle.dumps(_call(1, nothing, 0))),
        },
    )


if __name__ == "__main__":
    main()
