"""The processes of a run: as many as were asked for, here or on a cluster."""

import functools
from contextlib import AbstractContextManager, nullcontext

import torch

from suffice.engine import RayCluster, Workers
from suffice.errors import InputError

ALONE: AbstractContextManager[Workers | None] = nullcontext()
"""No other processes."""


def workers_of(count: int | None, cluster: RayCluster | None) -> AbstractContextManager[Workers | None]:
    """Workers of as many threads as this process has, as a context; none where it does everything itself.

    Args:
        count: number of processes; by default this one, or as many as the cluster has room for.
        cluster: where they run; on this machine by default.

    Raises:
        InputError: fewer than one, or what `RayCluster.capacity` raises.

    Example:
        >>> with workers_of(None, None) as workers:
        ...     print(workers)
        None
    """
    if count is not None and count < 1:
        raise InputError(f"workers = {count}: must be at least 1")
    threads = torch.get_num_threads()
    room = 1 if cluster is None else cluster.capacity(threads)
    begin = None if cluster is None else functools.partial(cluster.executor, threads)
    if cluster is None and (count or room) == 1:
        return ALONE
    return Workers(count or room, threads, begin)
