"""Where work runs: on which device, in this process or in several."""

from suffice.engine.device import choose_device
from suffice.engine.processes import Workers

__all__ = ["Workers", "choose_device"]
