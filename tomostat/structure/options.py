"""Options of the structure stage."""

from __future__ import annotations

from dataclasses import dataclass

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class StructureOptions(StageOptions):
    """What is found of the structure of a field.

    Attributes
    ----------
    tortuosity
        Solve for the tortuosity of pores and of solid with TauFactor (`pip install tomostat[tortuosity]`); it takes
        minutes.
    tortuosity_voxels
        Most voxels for which it is solved: a lower resolution of the field is taken where it has more.
    """

    tortuosity: bool = False
    tortuosity_voxels: int = 2**22

    def __post_init__(self) -> None:
        check(self.tortuosity_voxels >= 1000, "tortuosity_voxels", self.tortuosity_voxels, "1000 or more")
