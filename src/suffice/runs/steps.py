"""The steps of a run that do not depend on each other, in as many processes as there is room for."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from suffice.engine import RayCluster, Workers, choose_device
from suffice.errors import InputError
from suffice.runs.estimate import in_parallel
from suffice.runs.log import note
from suffice.runs.watch import Watch, counted, duration

Step = TypeVar("Step")


def processes_of(workers: int | None, threads: int, device: str, cluster: RayCluster | None) -> int:
    """How many processes a run has: those that were asked for, or as many as there is room for.

    Args:
        workers: number asked for.
        threads: of each process.
        device: as a configuration names it; a GPU has room for one.
        cluster: where they run; on this machine by default.

    Raises:
        InputError: fewer than one.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers = {workers}: must be at least 1")
    if cluster is not None:
        room = cluster.capacity(threads)
    else:
        room = 1 if choose_device(device).type == "cuda" else max(1, (os.cpu_count() or 1) // threads)
    return workers or room


def time_in_words(seconds: float, processes: int, threads: int, cluster: RayCluster | None, at_most: str = "") -> str:
    """How long work should take that this process would do alone in some seconds.

    Example:
        >>> time_in_words(600.0, 1, 1, None)
        'in 1 process: about 10 min.'
    """
    shared = in_parallel(seconds, processes, threads, is_here=cluster is None) if seconds else seconds
    return f"in {counted(processes, 'process', 'processes')}: {at_most}about {duration(shared)}."


def run_steps(
    kinds: Mapping[str, Sequence[Step]],
    call: Callable[[Step], None],
    seconds: Callable[[Step], float],
    processes: int,
    threads: int,
    watch: Watch,
    cluster: RayCluster | None,
) -> None:
    """Runs all steps, one kind after the other, and tells how far they have come.

    Args:
        kinds: steps by the words for them.
        call: does a step and leaves its result on disk; see `Workers.run`.
        seconds: that a step should take.
        processes: how many there are.
        threads: of each.
        watch: told of progress and of slow steps.
        cluster: where they run; on this machine by default.
    """

    def milliseconds(step: Step) -> int:
        """What a step counts on a display, which tells the time that is left from what the others took."""
        return max(1, round(1000 * seconds(step)))

    begin = None if cluster is None else functools.partial(cluster.executor, threads)
    with Workers(processes, threads, begin) as workers:
        for what, steps in kinds.items():
            if not steps:
                continue
            with watch.progress(what, sum(map(milliseconds, steps))) as progress:
                workers.run(
                    call,
                    steps,
                    slow=functools.partial(_tell_slow, watch),
                    cost=milliseconds,
                    took=_note_task,
                    progress=progress,
                )


def _tell_slow(watch: Watch, step: object, seconds: float, expected: float) -> None:
    watch.say(f"Slow: the {step} has run for {duration(seconds)}; others like it took about {duration(expected)}.")


def _note_task(step: object, seconds: float, worker: str) -> None:
    note("task", str(step), seconds=seconds, worker=worker)
