"""Options of a synthetic electrode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class PhantomOptions(StageOptions):
    """A synthetic electrode with known ground truth.

    Attributes
    ----------
    shape
        Voxels (z, y, x).
    spacing
        Voxel size (z, y, x) in micrometers.
    seed
        Seed of all random numbers; the same seed gives the same electrode.
    diameters
        Smallest and largest particle diameter in micrometers.
    distribution
        Diameters by number: uniform, or lognormal with the range as its 95 % interval.
    active_fraction
        Volume fraction of the particles, their cracks and cores included, in the electrode.
    cbd_fraction
        Volume fraction of the carbon-binder domain, its fine pores included, in the electrode.
    elongation
        Largest excess of a particle's long axis over its short one: 0 gives balls.
    bumpiness
        Standard deviation of the particle radius, relative, over wide bumps.
    roughness
        Standard deviation of the particle radius, in micrometers, from its primary grains.
    touching
        Share of close particle pairs that touch in a neck.
    detachment_mean
        Mean degree of detachment by gaps; contact with other particles, and their gaps, add a little.
    detachment_spread
        Standard deviation of the degree of detachment of particles of 11 micrometers; larger for smaller particles.
    detachment_spread_power
        Power of the diameter with which that standard deviation falls; 0 for one that is the same for all.
    gap_width
        Smallest and largest width, in micrometers, of the gaps between particle and carbon-binder domain.
    film_thickness
        Thickness in micrometers of the carbon-binder film on particles where there is no gap.
    web_scale
        Size in micrometers of the pores and struts in the carbon-binder domain.
    hollow
        Share of particles with a hollow core.
    cracked
        Share of particles with radial cracks.
    fragmented
        Share of particles split into pieces.
    crumbled
        Share of particles crumbling into grains.
    grain_size
        Width in micrometers of the primary grains.
    texture
        Strength of the texture of grains and carbon-binder domain in the grey values; 1 resembles real images.
    collector
        Thickness in micrometers of an aluminium current collector at the low end of `depth_axis`; 0 for none.
    headspace
        Thickness in micrometers of empty space at the high end of `depth_axis`.
    depth_axis
        Axis (0 z, 1 y, 2 x) along the electrode's depth.
    contrast
        dry (pores are empty) or wet (pores hold electrolyte, so that the carbon-binder domain has little contrast).
    cbd_porosity
        Volume fraction of unresolved pores in the carbon-binder domain; sets its grey level.
    density_spread
        Standard deviation of the relative density between particles.
    dtype
        uint8 or uint16.
    grey_levels
        Grey value of pores and of active material, as fractions of the largest value of `dtype`.
    blur
        Gaussian sigma of the image in voxels.
    fringe
        Strength of edge fringes from phase contrast; 0 for none.
    noise
        Standard deviation of the noise as a fraction of the contrast between pore and active material.
    noise_correlation
        Gaussian sigma of the noise in voxels; 0 gives white noise.
    streaks
        Share of the noise's standard deviation that runs as streaks along x.
    rings
        Standard deviation of ring artefacts as a fraction of the contrast.
    shading
        Peak of the slow shading as a fraction of the contrast.
    circle
        Radius of a round field of view as a fraction of half the shorter side of a slice; the grey value is constant
        outside. 0 for none.
    """

    shape: tuple[int, int, int] = (64, 256, 256)
    spacing: tuple[float, float, float] = (0.2, 0.2, 0.2)
    seed: int = 0
    diameters: tuple[float, float] = (5.0, 18.0)
    distribution: Literal["uniform", "lognormal"] = "uniform"
    active_fraction: float = 0.42
    cbd_fraction: float = 0.24
    elongation: float = 0.3
    bumpiness: float = 0.035
    roughness: float = 0.06
    touching: float = 0.2
    detachment_mean: float = 0.3
    detachment_spread: float = 0.15
    detachment_spread_power: float = 0.5
    gap_width: tuple[float, float] = (0.5, 1.0)
    film_thickness: float = 0.6
    web_scale: float = 3.0
    hollow: float = 0.5
    cracked: float = 0.4
    fragmented: float = 0.1
    crumbled: float = 0.03
    grain_size: float = 0.45
    texture: float = 1.0
    collector: float = 0.0
    headspace: float = 0.0
    depth_axis: int = 1
    contrast: Literal["dry", "wet"] = "dry"
    cbd_porosity: float = 0.4
    density_spread: float = 0.02
    dtype: Literal["uint8", "uint16"] = "uint8"
    grey_levels: tuple[float, float] = (0.2, 0.72)
    blur: float = 1.0
    fringe: float = 0.0
    noise: float = 0.08
    noise_correlation: float = 0.0
    streaks: float = 0.0
    rings: float = 0.0
    shading: float = 0.0
    circle: float = 0.0

    def __post_init__(self) -> None:
        self._check_field_of_view()
        self._check_electrode()
        self._check_image()

    def _check_field_of_view(self) -> None:
        valid = len(self.shape) == 3 and all(isinstance(n, int) and n > 0 for n in self.shape)
        check(valid, "shape", self.shape, "three positive integers z y x")
        valid = len(self.spacing) == 3 and all(0 < s < math.inf for s in self.spacing)
        check(valid, "spacing", self.spacing, "three positive numbers z y x in micrometers")
        check(0 <= self.seed < 2**32, "seed", self.seed, "an integer from 0 to 2^32 - 1")
        check(self.depth_axis in (0, 1, 2), "depth_axis", self.depth_axis, "0, 1 or 2")
        depth = self.shape[self.depth_axis] * self.spacing[self.depth_axis]
        for name in ("collector", "headspace"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "0 or more micrometers")
        thickness = self.collector + self.headspace
        bounded = self.collector > 0 and self.headspace > 0  # particles must fit between the two
        most = depth - (self.diameters[-1] if bounded else 0)
        check(thickness < most, "collector and headspace", thickness, f"less than {most:g}, so that particles fit in")

    def _check_electrode(self) -> None:
        low, high = self.diameters
        check(0 < low <= high, "diameters", self.diameters, "two ascending positive numbers in micrometers")
        least = 4 * max(self.spacing)
        check(low >= least, "diameters", self.diameters, f"at least 4 voxels, {least:g} micrometers")
        known = self.distribution in ("uniform", "lognormal")
        check(known, "distribution", self.distribution, "uniform or lognormal")
        active = self.active_fraction
        check(0 <= active <= 0.5, "active_fraction", active, "a number from 0 to 0.5")
        cbd = self.cbd_fraction
        check(0 <= cbd <= 1 - active, "cbd_fraction", cbd, f"a number from 0 to {1 - active:g}")
        check(0 <= self.elongation <= 1, "elongation", self.elongation, "a number from 0 to 1")
        check(0 <= self.bumpiness <= 0.1, "bumpiness", self.bumpiness, "a number from 0 to 0.1")
        check(0 <= self.roughness <= low / 20, "roughness", self.roughness, f"0 to {low / 20:g} micrometers")
        for name in ("touching", "hollow", "cracked", "fragmented", "crumbled"):
            check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share from 0 to 1")
        check(0 <= self.detachment_mean <= 1, "detachment_mean", self.detachment_mean, "a number from 0 to 1")
        spread = self.detachment_spread
        check(0 <= spread <= 0.5, "detachment_spread", spread, "a number from 0 to 0.5")
        power = self.detachment_spread_power
        check(0 <= power <= 3, "detachment_spread_power", power, "a number from 0 to 3")
        probe = 1.5 * min(self.spacing)
        least, widest = self.gap_width
        check(probe <= least <= widest, "gap_width", self.gap_width, f"two ascending numbers from {probe:g}")
        film = self.film_thickness
        check(film >= probe, "film_thickness", film, f"at least 1.5 voxels, {probe:g} micrometers")
        for name in ("web_scale", "grain_size"):
            check(getattr(self, name) > 0, name, getattr(self, name), "a positive length in micrometers")

    def _check_image(self) -> None:
        check(self.contrast in ("dry", "wet"), "contrast", self.contrast, "dry or wet")
        check(self.dtype in ("uint8", "uint16"), "dtype", self.dtype, "uint8 or uint16")
        porosity, spread = self.cbd_porosity, self.density_spread
        check(0 <= porosity < 1, "cbd_porosity", porosity, "a number from 0 to below 1")
        check(0 <= spread <= 0.2, "density_spread", spread, "a number from 0 to 0.2")
        pore, active = self.grey_levels
        check(0 <= pore < active <= 1, "grey_levels", self.grey_levels, "two ascending fractions from 0 to 1")
        check(0 <= self.blur <= 8, "blur", self.blur, "0 to 8 voxels")
        check(0 <= self.noise_correlation <= 4, "noise_correlation", self.noise_correlation, "0 to 4 voxels")
        check(0 <= self.streaks <= 1, "streaks", self.streaks, "a share from 0 to 1")
        for name in ("texture", "fringe", "noise", "rings", "shading"):
            check(0 <= getattr(self, name) <= 4, name, getattr(self, name), "a number from 0 to 4")
        check(0 <= self.circle <= 2, "circle", self.circle, "a fraction from 0 (none) to 2")
