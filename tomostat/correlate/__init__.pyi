from .maps import PlaneMap, project_particle, project_volume, read_map
from .options import CorrelateOptions
from .results import Correlation, correlate_maps, write_correlation

__all__ = [
    "CorrelateOptions",
    "Correlation",
    "PlaneMap",
    "correlate_maps",
    "project_particle",
    "project_volume",
    "read_map",
    "write_correlation",
]
