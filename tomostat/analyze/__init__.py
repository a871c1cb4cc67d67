"""Tables become statistics: distributions of detachment, differences between conditions, relations, with intervals."""

from tomostat.analyze.distributions import analyze_particles
from tomostat.analyze.store import open_analysis, write_analysis

__all__ = ["analyze_particles", "open_analysis", "write_analysis"]
