"""Results become a page with figures that opens offline in any browser."""

from tomostat.report.page import write_report

__all__ = ["write_report"]
