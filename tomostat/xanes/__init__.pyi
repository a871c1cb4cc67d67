from .options import XanesOptions
from .stack import valence_map, write_valence_map

__all__ = ["XanesOptions", "valence_map", "write_valence_map"]
