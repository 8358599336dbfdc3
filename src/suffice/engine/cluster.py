"""A cluster of machines, by Ray Core (``suffice[ray]``), which nothing else of suffice imports."""

import importlib.metadata
import logging
import math
import os
import platform
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from suffice.engine.processes import LostGPUError, LostWorkerError
from suffice.errors import InputError, reason
from suffice.software import DECIDING

STORE = 100_000_000
"""Bytes of shared memory for a cluster that is begun here; tasks and results go through the disk."""

PATIENCE = 5.0
"""Seconds in which a machine must answer."""

SOFTWARE = (*DECIDING, "scikit-learn")
"""Packages whose versions decide the numbers."""


SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""For Ray, in the environment: it sends nothing to anybody, and writes no logs of its machines on standard output."""

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


@dataclass(frozen=True)
class RayCluster:
    """Runs tasks on a cluster of Ray.

    A task's result goes to the run's folder, which all machines must see under the same path, as they must see the
    model and the data. A worker process loads the model once, from its folder.

    Args:
        address: "HOST:PORT" of a running cluster; None takes that of the environment variable ``RAY_ADDRESS``, or
            begins a cluster on this machine that ends with the run.
        gpus_per_task: share of a GPU that a task takes, as 0.25 for four tasks on each.

    Source: Moritz et al. 2018, "Ray: a distributed framework for emerging AI applications".

    Example:
        >>> RayCluster("10.0.0.7:6379", gpus_per_task=0.25).gpus_per_task
        0.25
    """

    address: str | None = None
    gpus_per_task: float = 0.0

    def __post_init__(self) -> None:
        share = self.gpus_per_task
        if not (0 <= share <= 1 or (share > 1 and share % 1 == 0)):
            raise InputError(f"gpus_per_task = {share}: give a share such as 0.25, or a whole number of GPUs")

    def capacity(self, threads: int) -> int:
        """How many tasks run at a time.

        Args:
            threads: cores that a task takes.

        Raises:
            InputError: Ray is not installed, does not answer, is of another version, or no machine has what a task
                takes.
        """
        ray = self._connect()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fits = [min(node.get("CPU", 0) // threads, self._gpu_slots(node.get("GPU", 0))) for node in nodes]
        if not any(fits):
            raise InputError(
                f"no machine of the Ray cluster has {threads} cores and {self.gpus_per_task:g} GPUs, which a task "
                f"takes (it has {_count(nodes, 'CPU')} cores and {_count(nodes, 'GPU')} GPUs in all): give fewer "
                "--threads or a smaller --gpus-per-task"
            )
        return int(sum(fits))

    def executor(self, threads: int) -> Executor:
        """What runs the tasks, each with so many cores."""
        return _RayExecutor(self._connect(), threads, self.gpus_per_task)

    def _gpu_slots(self, gpus: float) -> float:
        share = self.gpus_per_task
        if share == 0:
            return float("inf")
        return gpus // share if share >= 1 else gpus * math.floor(1 / share + 1e-9)

    def _connect(self) -> Any:
        """The module, connected."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray  # noqa: PLC0415
        except ImportError as error:
            raise InputError("--engine ray: Ray is not installed: pip install 'suffice[ray]'") from error
        if ray.is_initialized():
            return ray
        address = os.environ.get("RAY_ADDRESS") if self.address is None else self.address
        if address is not None:
            _reach(address)
        with _own_signals():
            if address is None:
                # "local", as no address at all means any cluster that this machine knows of, also one that has ended
                own: dict[str, Any] = {
                    "include_dashboard": False,
                    "object_store_memory": STORE,
                    "_node_ip_address": "127.0.0.1",
                }
                ray.init("local", **own, **QUIET)
                return ray
            try:
                ray.init(address, **QUIET)
            except Exception as error:
                raise InputError(
                    f"--address {address}: Ray does not take this process into its cluster ({reason(error)}); the same "
                    "versions of Ray and Python are needed on all machines"
                ) from error
        return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """Puts back what a request to terminate does: Ray takes it for itself when it connects."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


class _RayExecutor(Executor):
    """Calls in worker processes of a cluster; what is lost is not tried again here but by `Workers`."""

    def __init__(self, ray: Any, threads: int, gpus_per_task: float) -> None:
        self._ray = ray
        self._here = (os.getcwd(), software())
        self._call = ray.remote(num_cpus=threads, num_gpus=gpus_per_task, max_retries=0)(run_there)

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        there = self._call.remote(*self._here, call, arguments, named).future()
        there.add_done_callback(lambda finished: self._settle(future, finished.exception(), finished))
        return future

    def _settle(self, future: "Future[Any]", error: BaseException | None, finished: "Future[Any]") -> None:
        errors = self._ray.exceptions
        if error is None:
            future.set_result(finished.result())
        elif isinstance(error, errors.RayTaskError):
            future.set_exception(_cause(error))
        else:  # of the worker, its machine or its memory
            lost = LostWorkerError(reason(error))
            future.set_exception(lost)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._ray.shutdown()


def run_there(
    folder: str, versions: dict[str, str], call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """Calls in a worker of the cluster, where paths and versions are those of the driver.

    Args:
        folder: where the driver runs, from which its paths count.
        versions: of the driver's packages.
        call: what to call with the other arguments.
        arguments: by position.
        named: by name.

    Raises:
        InputError: the worker does not see the folder, or has other versions.
    """
    host = socket.gethostname()
    differing = [
        f"{name} {other}, here {versions[name]}" for name, other in software().items() if other != versions[name]
    ]
    if differing:
        raise InputError(f"the Ray worker on {host} has {'; '.join(differing)}: install the same versions there")
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"the Ray worker on {host} does not see {folder} ({error.strerror}): run from a folder that all machines "
            "share"
        ) from error
    try:
        return call(*arguments, **named)
    except LostGPUError:
        os._exit(1)  # the cluster would give this process other tasks


def software() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in SOFTWARE}


def _cause(error: Any) -> BaseException:
    """What a call raised, without Ray's trace around it."""
    absent = re.search(r"No module named '([\w.]+)'", str(error))
    if absent:
        return InputError(f"a Ray worker has no module {absent[1]!r}: install what this machine has on all machines")
    return error.cause if isinstance(error.cause, BaseException) else error


def _reach(address: str) -> None:
    """Finds out whether somebody listens, as Ray itself waits for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InputError(f"--address {address!r}: give HOST:PORT, as `ray start --head` prints it")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except OSError as error:
        raise InputError(
            f"--address {address}: nobody answers there ({error}): start one with `ray start --head --port={port}`"
        ) from error


def _count(nodes: list[dict[str, float]], resource: str) -> int:
    return int(sum(node.get(resource, 0) for node in nodes))
