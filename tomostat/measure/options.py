"""Options of the measure stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomostat.options import StageOptions, check, check_limits, file_name, plugin_name


@dataclass(frozen=True, kw_only=True)
class MeasureOptions(StageOptions):
    """What is measured of every particle, and how.

    Attributes
    ----------
    depth_axis
        Axis along which the depth through the electrode is counted: z, y or x.
    tolerance
        Distance in voxels beyond a particle's edge within which carbon-binder counts as contact: 1, 2 or 3.
    exclude_particle_contact
        Leave surface that touches another particle out of the detachment instead of counting it as detached.
    path
        Where electrons detour to the nearest contact: over the surface or through the solid.
    energy
        Photon energy in keV, for electron densities of calibrated volumes.
    branch
        Side of the turning point of the density curve on which states of charge lie: charged (beyond it) or discharged;
        without it no state of charge is given.
    curve
        Table of state of charge and electron density that replaces the shipped one, nmc811.csv in
        tomostat/measure/interior.
    shell
        Thickness in micrometers of the shell around a particle in which its neighbours are counted.
    layer
        Thickness in micrometers of the layers below the surface in which the column layer_grey averages; one voxel when
        not given.
    conduction
        Solve for the electrical conduction in the solid of every particle as well, as a third model of its resistance.
    maps
        Write resistance and contact over the surfaces of all particles as images beside the labels.
    plausible_diameter
        Smallest and largest median diameter in micrometers beyond which terminal and report warn.
    extra
        Measures of installed packages that are computed as well, by name; `tomostat info --measures` lists them.
    """

    depth_axis: Literal["z", "y", "x"] = "z"
    tolerance: Literal[1, 2, 3] = 2
    exclude_particle_contact: bool = False
    path: Literal["surface", "solid"] = "surface"
    energy: float = 17.0
    branch: Literal["charged", "discharged"] | None = None
    curve: str | None = file_name(None)
    shell: float = 1.0
    layer: float | None = None
    conduction: bool = False
    maps: bool = True
    plausible_diameter: tuple[float, float] = (0.05, 200.0)
    extra: tuple[str, ...] = plugin_name(())

    def __post_init__(self) -> None:
        self.make_files_absolute()
        check_limits("plausible_diameter", self.plausible_diameter)
        check(self.branch in (None, "charged", "discharged"), "branch", self.branch, "charged or discharged")
        check(self.shell > 0, "shell", self.shell, "a thickness above 0 micrometers")
        check(self.layer is None or self.layer > 0, "layer", self.layer, "a thickness above 0 micrometers")
        check(self.depth_axis in ("z", "y", "x"), "depth_axis", self.depth_axis, "z, y or x")
        check(self.tolerance in (1, 2, 3), "tolerance", self.tolerance, "1, 2 or 3 voxels")
        check(self.path in ("surface", "solid"), "path", self.path, "surface or solid")
        check(self.energy > 0, "energy", self.energy, "a photon energy above 0 keV")
