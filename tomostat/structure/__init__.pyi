from .field import measure_structure
from .options import StructureOptions

__all__ = ["StructureOptions", "measure_structure"]
