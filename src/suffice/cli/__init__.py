"""The command line: ``suffice demo | analyze | report``."""

from suffice.cli.main import app

__all__ = ["app"]
