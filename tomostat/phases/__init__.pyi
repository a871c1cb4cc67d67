from .options import PhasesOptions
from .segment import segment_phases

__all__ = ["PhasesOptions", "segment_phases"]
