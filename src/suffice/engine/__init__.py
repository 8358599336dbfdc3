"""Where work runs: on which device, in this process, in several, or on a cluster."""

from suffice.engine.cluster import RayCluster
from suffice.engine.device import choose_device, lost_gpu
from suffice.engine.processes import Workers
from suffice.engine.ranks import Ranks

__all__ = ["Ranks", "RayCluster", "Workers", "choose_device", "lost_gpu"]
