"""From a result to what people look at: figures, and ``report.html``. Needs no torch and no model."""

from suffice.report.pages import write_report

__all__ = ["write_report"]
