"""The command line: parse, set up logging and progress, call what does the work."""

from tomostat.cli.main import entry, main

__all__ = ["entry", "main"]
