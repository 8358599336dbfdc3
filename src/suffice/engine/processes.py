"""Independent tasks in this process or in several, with the same results."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from suffice.errors import InputError

Task = TypeVar("Task")


def run_all(
    call: Callable[[Task], None],
    tasks: Sequence[Task],
    workers: int,
    threads: int,
    done: Callable[[Task], None] = lambda task: None,
) -> None:
    """Runs ``call(task)`` for each task, in any order; a call leaves its result on disk.

    Each process runs torch on ``threads`` threads, this one too, so that the bits do not depend on ``workers``.

    Args:
        call: a function of a module, or a ``functools.partial`` of one; it and the tasks must be picklable.
        tasks: what to call it with.
        workers: number of processes; with 1 everything runs in this one.
        threads: of each process.
        done: called in this process when a task is finished.

    Raises:
        InputError: a process was killed, as happens where memory is short. What a call raises comes through, once the
            tasks that have begun are stopped.

    Example:
        >>> run_all(print, ["one", "two"], workers=1, threads=1)
        one
        two
    """
    if workers == 1 or len(tasks) < 2:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for task in tasks:
                call(task)
                done(task)
        finally:
            torch.set_num_threads(before)
        return
    executor = ProcessPoolExecutor(
        min(workers, len(tasks)), multiprocessing.get_context("spawn"), _begin, (threads,)
    )
    with executor:
        futures = {executor.submit(call, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BaseException as error:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise InputError(
                    "a worker process was killed, as happens where memory is short; what was finished is kept: "
                    "the same command with fewer --workers goes on from there"
                ) from error
            raise


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
