"""From a result to what people look at: figures, ``report.html`` and ``report.md``. Needs no torch and no model."""

from suffice.report.writing import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
