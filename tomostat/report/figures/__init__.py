"""Sections of the page: every module declares one, or adds figures to one; see `tomostat.report.sections`."""
