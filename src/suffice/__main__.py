"""``python -m suffice``."""

from suffice.cli import app

app()
