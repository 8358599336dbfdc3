"""The command line: ``suffice demo | analyze | hessian | study | forecast | report``. Its help imports no torch."""

from suffice.cli.main import app

__all__ = ["app"]
