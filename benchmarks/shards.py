"""What breaks first in a run of very many shards: the driver, the store, or the workers that are lost.

Run as ``python benchmarks/shards.py [--shards 100000] [--workers 10000] [--written N]``. Measured are a store of
so many shards (a write, the list of what is missing, files and bytes) and the driver's time for a task by the number
of workers. Simulated is the schedule of all shards on all workers by one driver that hands out a task at a time, with
workers that are lost at random and come back.
"""

import argparse
import functools
import heapq
import random
import resource
import tempfile
import time
from collections import deque
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
from environment import save

from suffice.engine import Workers
from suffice.engine.processes import Ended
from suffice.storage import RowShards

PROBES = 9
"""Columns of a ledger: the centre and eight probes."""

ENDED = Ended("machine:1", 1.0, [])
"""What a worker tells of a task."""


class Immediate(Executor):
    """Finishes the oldest task once it has as many as there are workers: what is left is the driver's own time."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._held: deque[Future[Any]] = deque()

    def submit(self, call: Any, /, *arguments: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._held.append(future)
        if len(self._held) >= self._workers:
            self._held.popleft().set_result(ENDED)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        while self._held:
            self._held.popleft().set_result(ENDED)


class Draining(Immediate):
    """As above, with the last ones finished at once when no more will come."""

    def __init__(self, workers: int, tasks: int) -> None:
        super().__init__(workers)
        self._left = tasks

    def submit(self, call: Any, /, *arguments: Any, **named: Any) -> "Future[Any]":
        future = super().submit(call, *arguments, **named)
        self._left -= 1
        if self._left == 0:
            self.shutdown()
        return future


def driver_seconds(workers: int, tasks: int) -> float:
    """The driver's own time for a task."""
    with Workers(workers, 1, functools.partial(Draining, workers, tasks)) as crew:
        began = time.perf_counter()
        crew.run(int, range(tasks))
        return (time.perf_counter() - began) / tasks


def store(shards: int, rows: int, written: int) -> dict[str, Any]:
    """A ledger's array of so many shards, of which some are written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "losses.zarr")
        began = time.perf_counter()
        array = RowShards.resume(path, (shards * rows, PROBES), rows, {})
        made = time.perf_counter() - began
        values = np.ones((rows, PROBES))
        began = time.perf_counter()
        for shard in array.shards()[:written]:
            array.write(shard, values)
        write = (time.perf_counter() - began) / written
        began = time.perf_counter()
        missing = len(array.missing())
        look = time.perf_counter() - began
        assert missing == shards - written
        files = [file for file in path.rglob("*") if file.is_file()]
        return {
            "shards": shards,
            "shards_written": written,
            "seconds_to_make": made,
            "seconds_of_a_write": write,
            "seconds_to_list_what_is_missing": look,
            "files": len(files),
            "bytes_of_a_shard": files[-1].stat().st_size,
            "bytes_of_metadata": (path / "zarr.json").stat().st_size,
        }


def simulate(
    shards: int, workers: int, seconds: float, driver: float, lost_per_hour: float, draw: random.Random
) -> dict[str, float]:
    """Hours of all shards, and the shares of the workers' time that are idle and lost.

    Each task takes about ``seconds`` (half to twice as long, alike in logarithm). The driver takes ``driver``
    seconds to hand one out. A worker is lost at a rate, its task begins again on another, and it is back after
    five minutes.
    """
    free = [(0.0, worker) for worker in range(workers)]
    heapq.heapify(free)
    clock, end, busy, lost, left = 0.0, 0.0, 0.0, 0.0, shards
    back: list[float] = []  # when a lost task can be handed out again
    while left or back:
        since, worker = heapq.heappop(free)
        if left:
            left -= 1
        else:
            since = max(since, heapq.heappop(back))
        clock = max(clock, since) + driver
        takes = seconds * 2 ** draw.uniform(-1, 1)
        fails = draw.expovariate(lost_per_hour / 3600) if lost_per_hour else float("inf")
        if fails < takes:
            lost += fails
            heapq.heappush(back, clock + fails)
            heapq.heappush(free, (clock + fails + 300, worker))
            continue
        busy += takes
        end = max(end, clock + takes)
        heapq.heappush(free, (clock + takes, worker))
    return {
        "hours": end / 3600,
        "share_busy": busy / (end * workers),
        "share_lost": lost / (end * workers),
    }


def main() -> None:
    """The driver, the store and the schedules."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shards", type=int, default=100_000)
    arguments.add_argument("--workers", type=int, default=10_000)
    arguments.add_argument("--samples", type=int, default=10**9)
    arguments.add_argument("--written", type=int, help="shards that are written (default: all)")
    asked = arguments.parse_args()
    rows = asked.samples // asked.shards
    draw = random.Random(0)  # noqa: S311 -- a simulation
    dispatch = {count: driver_seconds(count, 20_000) for count in (10, 100, 1000, 10_000)}
    stored = store(asked.shards, 256, asked.written or asked.shards)
    driver = dispatch[10_000]
    schedules = [
        {"seconds_of_a_shard": seconds, "lost_per_worker_and_hour": rate, "driver_seconds_of_a_task": slow}
        | simulate(asked.shards, asked.workers, seconds, slow, rate, draw)
        for seconds in (10.0, 100.0, 1000.0)
        for rate in (0.0, 0.2)
        for slow in (driver, 10 * driver)
    ]
    save(
        "shards",
        {
            "samples": asked.samples,
            "shards": asked.shards,
            "workers": asked.workers,
            "samples_of_a_shard": rows,
            "driver_seconds_of_a_task_by_workers": dispatch,
            "store": stored,
            "schedules": schedules,
            "peak_bytes_of_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    )


if __name__ == "__main__":
    main()
