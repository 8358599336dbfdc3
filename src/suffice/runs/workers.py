"""The processes of a run: as many as were asked for, here or on a cluster."""

import functools
from contextlib import AbstractContextManager, nullcontext

import torch

from suffice.addresses import split_url
from suffice.engine import RayCluster, Workers
from suffice.errors import InputError

ALONE: AbstractContextManager[Workers | None] = nullcontext()
"""No other processes."""


def workers_of(
    count: int | None, cluster: RayCluster | None, store: str | None
) -> AbstractContextManager[Workers | None]:
    """Workers of as many threads as this process has, as a context; none where it does everything itself.

    Args:
        count: number of processes; by default this one, or as many as the cluster has room for.
        cluster: where they run; on this machine by default.
        store: where they write.

    Raises:
        InputError: fewer than one, a store that they do not reach, or what `RayCluster.capacity` raises.

    Example:
        >>> with workers_of(None, None, None) as workers:
        ...     print(workers)
        None
    """
    if count is not None and count < 1:
        raise InputError(f"workers = {count}: must be at least 1")
    threads = torch.get_num_threads()
    room = 1 if cluster is None else cluster.capacity(threads)
    check_reached(store, count or room, cluster)
    begin = None if cluster is None else functools.partial(cluster.executor, threads)
    if cluster is None and (count or room) == 1:
        return ALONE
    return Workers(count or room, threads, begin)


def check_reached(store: str | None, count: int, cluster: RayCluster | None) -> None:
    """Whether all processes of a run write to one store.

    Args:
        store: as of `ModelConfig.store`.
        count: number of processes.
        cluster: where they run; with one of this machine, there is no other process.

    Raises:
        InputError: a store in memory, and other processes.

    Example:
        >>> check_reached("memory://runs", 1, None)
        >>> check_reached("memory://runs", 2, None)
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: memory://runs is in the memory of one process, and this run has 2: give --workers ...
    """
    if store is None or split_url(store)[0] != "memory":
        return
    if cluster is not None:
        raise InputError(f"{store} is in the memory of one process, and the workers are others: give another --store")
    if count > 1:
        raise InputError(
            f"{store} is in the memory of one process, and this run has {count}: give --workers 1, or another --store"
        )
