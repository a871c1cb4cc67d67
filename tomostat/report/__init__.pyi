from .options import ReportOptions
from .page import write_report

__all__ = ["ReportOptions", "write_report"]
