"""Where independent work runs: in this process or in several."""

from suffice.engine.processes import run_all

__all__ = ["run_all"]
