"""How the loss surface settles as samples are added."""

from suffice.landscape.bound import Bound
from suffice.landscape.convergence import Convergence, root_mean_square
from suffice.landscape.expansion import Expansion, Shares, expansion
from suffice.landscape.gaussian import GaussianMoments, gaussian_moments
from suffice.landscape.ledger import Ledger, record, record_shard
from suffice.landscape.plane import Plane
from suffice.landscape.probes import Probes
from suffice.landscape.rate import LogSlope, log_slope, moving_average
from suffice.landscape.spread import Spread
from suffice.landscape.surface import Surface, surface

__all__ = [
    "Bound",
    "Convergence",
    "Expansion",
    "GaussianMoments",
    "Ledger",
    "LogSlope",
    "Plane",
    "Probes",
    "Shares",
    "Spread",
    "Surface",
    "expansion",
    "gaussian_moments",
    "log_slope",
    "moving_average",
    "record",
    "record_shard",
    "root_mean_square",
    "surface",
]
