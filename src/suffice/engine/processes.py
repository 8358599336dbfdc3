"""Independent tasks in this process or in several, with the same results."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeAlias, TypeVar

import torch

from suffice.errors import InputError, InputWarning

T = TypeVar("T")

Told: TypeAlias = tuple[str, type[Warning], str, int]
"""A warning: its message, category, file and line."""


class Workers:
    """Runs independent tasks; a context, which ends with the processes that it has begun.

    Each process runs torch on ``threads`` threads, this one too, so that the bits do not depend on ``count``.

    Args:
        count: number of processes; with 1 everything runs in this one.
        threads: of each process.

    Example:
        >>> with Workers(count=1, threads=1) as workers:
        ...     workers.run(print, ["one", "two"])
        one
        two
    """

    def __init__(self, count: int, threads: int) -> None:
        self._count = count
        self._threads = threads
        self._executor: ProcessPoolExecutor | None = None
        self._others: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._executor is None:
            return
        self._executor.shutdown(wait=error is None, cancel_futures=True)
        if error is not None:
            for process in multiprocessing.active_children():
                if process not in self._others:
                    process.terminate()

    def run(
        self,
        call: Callable[[T], None],
        tasks: Sequence[T],
        done: Callable[[T], None] = lambda task: None,
    ) -> None:
        """Calls ``call(task)`` for each task, in any order; a call leaves its result on disk.

        Args:
            call: a function of a module, or a ``functools.partial`` of one; it and the tasks must be picklable.
            tasks: what to call it with.
            done: called in this process when a task is finished.

        Raises:
            InputError: a process was killed, as happens where memory is short. What a call raises comes through, and
                what the calls warn of is warned of here, each once.
        """
        if self._count == 1 or not tasks:
            self._run_here(call, tasks, done)
            return
        if self._executor is None:
            self._others = multiprocessing.active_children()
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._count, context, _begin, (self._threads,))
        futures = {self._executor.submit(_call, call, task): task for task in tasks}
        told: set[Told] = set()
        try:
            for future in as_completed(futures):
                for warning in set(future.result()) - told:
                    warnings.warn_explicit(*warning)
                    told.add(warning)
                done(futures[future])
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was killed, as happens where memory is short; what was finished is kept: the same "
                "command with fewer --workers goes on from there"
            ) from error

    def _run_here(self, call: Callable[[T], None], tasks: Sequence[T], done: Callable[[T], None]) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            for task in tasks:
                call(task)
                done(task)
        finally:
            torch.set_num_threads(before)


def _call(call: Callable[[T], None], task: T) -> list[Told]:
    """Calls in a worker, and gives what the call has warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        call(task)
    return [(str(one.message), _told_as(one.category), one.filename, one.lineno) for one in caught]


def _told_as(category: type[Warning]) -> type[Warning]:
    """The nearest category that every process knows: those of a checkpoint's own code cannot be sent."""
    return next(kind for kind in category.__mro__ if kind is InputWarning or kind.__module__ == "builtins")


def _begin(threads: int) -> None:
    """Prepares a worker: it ends with its parent, which alone hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
