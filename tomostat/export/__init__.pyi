from .format import FORMATS, Format, Plan, Results
from .meshes import MeshFormat, Surface
from .write import write_formats

__all__ = [
    "FORMATS",
    "Format",
    "MeshFormat",
    "Plan",
    "Results",
    "Surface",
    "write_formats",
]
