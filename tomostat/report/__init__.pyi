from .options import ReportOptions
from .page import write_report
from .provenance import Provenance

__all__ = ["Provenance", "ReportOptions", "write_report"]
