"""``python -m tomostat.cli``."""

from tomostat.cli.main import entry

entry()
