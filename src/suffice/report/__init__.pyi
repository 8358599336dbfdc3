from .pages import write_report as write_report
