"""How the loss surface settles as samples are added."""

from suffice.landscape.bound import Bound
from suffice.landscape.convergence import Convergence, root_mean_square
from suffice.landscape.ledger import Ledger, record
from suffice.landscape.plane import Plane
from suffice.landscape.probes import Probes
from suffice.landscape.rate import LogSlope, log_slope, moving_average
from suffice.landscape.spread import Spread
from suffice.landscape.surface import Surface, surface

__all__ = [
    "Bound",
    "Convergence",
    "Ledger",
    "LogSlope",
    "Plane",
    "Probes",
    "Spread",
    "Surface",
    "log_slope",
    "moving_average",
    "record",
    "root_mean_square",
    "surface",
]
