from .distributions import analyze_particles
from .options import AnalyzeOptions
from .store import open_analysis, write_analysis, write_tables

__all__ = ["AnalyzeOptions", "analyze_particles", "open_analysis", "write_analysis", "write_tables"]
