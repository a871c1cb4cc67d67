from .given import describe_phases
from .options import PhasesOptions
from .segment import segment_phases

__all__ = ["PhasesOptions", "describe_phases", "segment_phases"]
