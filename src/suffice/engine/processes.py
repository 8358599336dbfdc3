"""Independent tasks in this process or in several, with the same results."""

import multiprocessing
import os
import signal
import socket
import statistics
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeAlias, TypeVar

import torch

from suffice.engine.device import lost_gpu
from suffice.errors import InputError, InputWarning

T = TypeVar("T")

Told: TypeAlias = tuple[Warning, str, int]
"""A warning, its file and line."""


class Ended(NamedTuple):
    """What a worker tells of a task that it has done: its name, the seconds, and what was warned of."""

    worker: str
    seconds: float
    told: list[Told]


TRIES = 3
"""Times that a task is begun, where each worker that had it was lost; the last time alone, if others were lost with it
and may have been why."""

LOOK = 1.0
"""Seconds between looks at the tasks that run."""

SLOW, LONG = 4.0, 30.0
"""A task is slow that has run so many times as long as others of its cost, and at least so many seconds."""

ENOUGH = 3
"""Finished tasks from which it is known how long others should take."""

ALMOST = 0.95
"""Share of its cost that a task under way counts at most."""


class LostWorkerError(Exception):
    """The process that had a task is gone, and the executor goes on without it."""


class LostGPUError(LostWorkerError):
    """The process that had a task can run nothing on its GPU any more, and has to end."""


class Workers:
    """Runs independent tasks; a context, which ends with the processes that it has begun.

    Each process runs torch on ``threads`` threads, this one too, so that the bits do not depend on ``count``. Where a
    worker dies, its task is begun again on another, `TRIES` times in all.

    Args:
        count: number of processes; with 1 everything runs in this one, unless ``begin`` is given.
        threads: of each process.
        begin: begins the executor that runs the tasks: any of the kind of `concurrent.futures.Executor` whose calls run
            in processes of their own, such as those of joblib's loky, Dask, mpi4py and `RayCluster`. It is called
            again where an executor breaks. By default, processes of this machine.

    Attributes:
        count: as given.

    Example:
        >>> with Workers(count=1, threads=1) as workers:
        ...     workers.run(print, ["one", "two"])
        one
        two
    """

    def __init__(self, count: int, threads: int, begin: Callable[[], Executor] | None = None) -> None:
        self.count = count
        self._threads = threads
        self._begin = begin
        self._executor: Executor | None = None
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
        slow: Callable[[T, float, float], None] = lambda task, seconds, expected: None,
        cost: Callable[[T], int] = lambda task: 1,
        took: Callable[[T, float, str], None] = lambda task, seconds, worker: None,
        progress: Callable[[int], None] = lambda cost: None,
    ) -> None:
        """Calls ``call(task)`` for each task, in any order; a call leaves its result on disk.

        No more tasks are handed out than there are workers, so memory does not grow with their number.

        Args:
            call: a function of a module, or a ``functools.partial`` of one; it and the tasks must be picklable.
            tasks: what to call it with.
            slow: called once in this process for a task that runs much longer than the others did, with its seconds
                until now and those expected.
            cost: of a task, in any unit.
            took: called in this process when a task is finished, with its seconds and the host and process that had it.
            progress: called in this process with the cost that was done since the last call. A task under way counts
                in part, by its time and that of finished ones.

        Raises:
            InputError: a task lost its worker `TRIES` times, as happens where memory is short. What a call raises comes
                through, and what the calls warn of is warned of here, each once.
        """
        if (self._begin is None and self.count == 1) or not tasks:
            self._run_here(call, tasks, cost, took, progress)
            return
        waiting, tries, told = deque(range(len(tasks))), Counter[int](), set[tuple[str, type[Warning], str, int]]()
        together: set[int] = set()  # lost with others
        alone: set[int] = set()
        running: dict[Future[Ended], int] = {}
        ended: SimpleQueue[Future[Ended]] = SimpleQueue()
        clock = _Clock(lambda index: cost(tasks[index]), lambda index, *seconds: slow(tasks[index], *seconds), progress)
        while waiting or running:
            while waiting and len(running) < self.count:
                if running and not alone.isdisjoint([waiting[0], *running.values()]):
                    break
                index = waiting.popleft()
                tries[index] += 1
                clock.start(index)
                future = self._submit(call, tasks[index])
                running[future] = index
                future.add_done_callback(ended.put)
            clock.look()
            try:
                future = ended.get(timeout=LOOK)
            except Empty:
                continue
            if future not in running:  # lost with others
                continue
            lost = self._lost_with(future, running)
            for other in lost:
                index = running.pop(other)
                clock.lose(index)
                _check_tries(tries[index], other.exception())
                waiting.append(index)
                if len(lost) > 1:
                    together.add(index)
                if index in together and tries[index] == TRIES - 1:
                    alone.add(index)
            if lost:
                _warn_of_loss(future.exception(), len(lost))
                continue
            answer = future.result()
            for warning, file, line in answer.told:
                same = (str(warning), type(warning), file, line)
                if same not in told:
                    told.add(same)
                    warnings.warn_explicit(warning, type(warning), file, line)
            index = running.pop(future)
            clock.stop(index)
            took(tasks[index], answer.seconds, answer.worker)

    def _lost_with(self, ended: "Future[Ended]", running: Iterable["Future[Ended]"]) -> "list[Future[Ended]]":
        """Tasks that have lost their worker: none, this one, or all that ran in an executor that has to end."""
        error = ended.exception()
        if isinstance(error, LostWorkerError) and not isinstance(error, LostGPUError):
            return [ended]
        if not isinstance(error, (BrokenExecutor, LostGPUError)):
            return []
        wait(running)
        if self._executor is not None:
            # nobody writes any more when the tasks are begun again
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
        return [future for future in running if isinstance(future.exception(), (BrokenExecutor, LostWorkerError))]

    def _submit(self, call: Callable[[T], None], task: T) -> "Future[Ended]":
        if self._executor is None:
            self._others = multiprocessing.active_children()
            self._executor = self._local() if self._begin is None else self._begin()
        try:
            return self._executor.submit(_call, self._threads, call, task)
        except BrokenExecutor as error:  # between two looks; counts as one that ran
            broken: Future[Ended] = Future()
            broken.set_exception(error)
            return broken

    def _local(self) -> Executor:
        return ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), _prepare)

    def _run_here(
        self,
        call: Callable[[T], None],
        tasks: Sequence[T],
        cost: Callable[[T], int],
        took: Callable[[T, float, str], None],
        progress: Callable[[int], None],
    ) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            for task in tasks:
                began = time.monotonic()
                call(task)
                took(task, time.monotonic() - began, _worker())
                progress(cost(task))
        finally:
            torch.set_num_threads(before)


class _Clock:
    """How long tasks take for their cost, how much of it is done, and which one takes much longer."""

    def __init__(
        self,
        cost: Callable[[int], int],
        slow: Callable[[int, float, float], None],
        progress: Callable[[int], None],
    ) -> None:
        self._cost = cost
        self._slow = slow
        self._progress = progress
        self._finished = self._credited = 0
        self._began: dict[int, float] = {}
        self._rates: list[float] = []
        self._told: set[int] = set()
        self._looked = time.monotonic()

    def start(self, index: int) -> None:
        """A task begins, perhaps once more."""
        self._began[index] = time.monotonic()

    def lose(self, index: int) -> None:
        """A task runs no more, and is not done."""
        del self._began[index]

    def stop(self, index: int) -> None:
        """A task is done."""
        self._rates.append((time.monotonic() - self._began.pop(index)) / self._cost(index))
        self._finished += self._cost(index)
        self._credit(time.monotonic())

    def look(self) -> None:
        """Tells of what is under way and of each slow task once, and looks from time to time only."""
        now = time.monotonic()
        if now < self._looked + LOOK:
            return
        self._looked = now
        self._credit(now)
        if len(self._rates) < ENOUGH:
            return
        rate = statistics.median(self._rates)
        for index in self._began.keys() - self._told:
            seconds, expected = now - self._began[index], rate * self._cost(index)
            if seconds > max(LONG, SLOW * expected):
                self._told.add(index)
                self._slow(index, seconds, expected)

    def _credit(self, now: float) -> None:
        """Tells the cost that was done since the last time; less than nothing, after a loss, is nothing."""
        done = self._finished
        rate = statistics.median(self._rates) if self._rates else 0.0
        if rate > 0:
            for index, began in self._began.items():
                done += int(min((now - began) / rate, ALMOST * self._cost(index)))
        if done > self._credited:
            self._progress(done - self._credited)
            self._credited = done


def _check_tries(tries: int, error: BaseException | None) -> None:
    """Refuses to begin a task once more that has lost so many workers."""
    if tries < TRIES:
        return
    if isinstance(error, LostGPUError):
        raise InputError(
            f"a task lost its GPU {TRIES} times ({error}); what was finished is kept: the same command goes on where "
            "there is a GPU that works"
        ) from error
    raise InputError(
        f"a task lost its worker process {TRIES} times, as happens where memory is short; what was finished is kept: "
        "the same command with fewer --workers goes on from there"
    ) from error


def _warn_of_loss(error: BaseException | None, lost: int) -> None:
    """Tells of a lost worker once, whatever the number of tasks that were lost with it."""
    tasks = "its task is" if lost == 1 else f"its task and {lost - 1} beside it are"
    if isinstance(error, LostGPUError):
        words = f"a worker process lost its GPU ({error}); {tasks} begun again on another, {TRIES} times at most"
        warnings.warn(InputWarning(words, event="lost GPU"), stacklevel=3)
        return
    words = (
        "a worker process was lost, as happens where memory is short, a GPU fails or a machine is taken away; "
        f"{tasks} begun again, {TRIES} times at most"
    )
    warnings.warn(InputWarning(words, event="lost worker"), stacklevel=3)


def _call(threads: int, call: Callable[[T], None], task: T) -> Ended:
    """Calls in a worker."""
    began = time.monotonic()
    torch.set_num_threads(threads)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        try:
            call(task)
        except Exception as error:
            words = lost_gpu(error)
            if words is None:
                raise
            lost = LostGPUError(f"{_worker()}: {words}")
            raise lost from error
    told = [(_sendable(one.message, one.category), one.filename, one.lineno) for one in caught]
    return Ended(_worker(), time.monotonic() - began, told)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _sendable(warning: Warning | str, category: type[Warning]) -> Warning:
    """A warning of a category that every process knows: those of a checkpoint's own code cannot be sent."""
    if type(warning) is InputWarning:
        return warning
    kind: type[Warning] = next(
        kind for kind in category.__mro__ if kind is InputWarning or kind.__module__ == "builtins"
    )
    return kind(str(warning))


def _prepare() -> None:
    """Prepares a worker of this machine: it ends with its parent, which alone hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
