"""Options of every stage: one frozen, keyword-only dataclass each, which validates itself.

The command line builds its flags and help from these classes, a study file holds the same fields, and every output
carries the options that made it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

Options = TypeVar("Options")


def check(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse an option.

    Raises
    ------
    ValueError
        When `holds` is false; the message names the option, what came and what was expected.
    """
    if not holds:
        raise ValueError(f"{name} is {value!r}; expected {expected}")


def as_dict(options: Any) -> dict[str, Any]:
    """Options as plain JSON-able values, for provenance and hashes."""
    return dataclasses.asdict(options)


def from_dict(cls: type[Options], values: Mapping[str, Any], where: str) -> Options:
    """Options from a mapping as read from YAML; unknown keys are refused with `where` in the message."""
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(names))}")
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    hints = get_type_hints(cls)
    for key, value in frozen.items():
        if not _fits(value, hints[key]):
            wanted = str(hints[key]).replace("typing.", "").removeprefix("<class '").removesuffix("'>")
            raise ValueError(f"{where}: {key} is {value!r}; expected {wanted}")
    try:
        return cls(**frozen)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value as read from YAML is of the type that a field declares."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner and type(value) in map(type, inner)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        each = inner[:1] * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(each) and all(map(_fits, value, each))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint


class StageOptions:
    """Base of all options: knows which fields were given, so that a flag overrides a study file, a default does not."""

    given: frozenset[str]

    def __new__(cls, **given: Any) -> Self:
        """Note the names of the fields that the caller gives."""
        options = super().__new__(cls)
        object.__setattr__(options, "given", frozenset(given))
        return options

    def over(self, base: Self) -> Self:
        """`base` with the fields that were given here."""
        values = {field.name: getattr(base, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return type(self)(**values | {name: getattr(self, name) for name in self.given})


@dataclass(frozen=True, kw_only=True)
class PhantomOptions(StageOptions):
    """A synthetic electrode with known truth.

    Attributes
    ----------
    shape
        Voxels (z, y, x).
    spacing
        Voxel size (z, y, x) in micrometers.
    seed
        Number from which all randomness comes; same number, same electrode.
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
        Mean degree of detachment by gaps; contact with other particles and their gaps adds a little.
    detachment_spread
        Standard deviation of the degree of detachment for particles of 11 micrometers; smaller ones more.
    gap_width
        Smallest and largest width, in micrometers, of the gaps between particle and carbon-binder domain.
    film_thickness
        Thickness in micrometers of the carbon-binder film on particles where there is no gap.
    web_scale
        Size in micrometers of the pores and struts in the carbon-binder domain.
    hollow
        Share of particles with a dark core.
    cracked
        Share of particles with radial cracks.
    fragmented
        Share of particles split into pieces.
    crumbled
        Share of particles crumbling into grains.
    grain_size
        Width in micrometers of the primary grains.
    texture
        Strength of the grain and carbon-binder texture in the grey values; 1 looks like real images.
    collector
        Thickness in micrometers of an aluminium current collector at the low end of `depth_axis`; 0 for none.
    headspace
        Thickness in micrometers of empty space at the high end of `depth_axis`.
    depth_axis
        Axis (0 z, 1 y, 2 x) along the electrode's depth.
    contrast
        dry (pores are empty) or wet (pores hold electrolyte; the carbon-binder domain nearly vanishes).
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
        Radius of the field of view as a fraction of half the shorter slice side, outside which the grey value is
        constant; 0 for none.
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
        self._check_field()
        self._check_electrode()
        self._check_image()

    def _check_field(self) -> None:
        whole = len(self.shape) == 3 and all(isinstance(n, int) and n > 0 for n in self.shape)
        check(whole, "shape", self.shape, "three positive integers z y x")
        positive = len(self.spacing) == 3 and all(0 < s < math.inf for s in self.spacing)
        check(positive, "spacing", self.spacing, "three positive numbers z y x in micrometers")
        check(0 <= self.seed < 2**32, "seed", self.seed, "an integer from 0 to 2^32 - 1")
        check(self.depth_axis in (0, 1, 2), "depth_axis", self.depth_axis, "0, 1 or 2")
        room = self.shape[self.depth_axis] * self.spacing[self.depth_axis]
        for name in ("collector", "headspace"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "0 or more micrometers")
        slabs = self.collector + self.headspace
        held = self.collector > 0 and self.headspace > 0  # particles must fit between the two
        most = room - (self.diameters[-1] if held else 0)
        check(slabs < most, "collector and headspace", slabs, f"less than {most:g}, to leave room for particles")

    def _check_electrode(self) -> None:
        low, high = self.diameters
        check(0 < low <= high, "diameters", self.diameters, "two rising positive numbers in micrometers")
        least = 4 * max(self.spacing)
        check(low >= least, "diameters", self.diameters, f"at least 4 voxels, {least:g} micrometers")
        named = self.distribution in ("uniform", "lognormal")
        check(named, "distribution", self.distribution, "uniform or lognormal")
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
        probe = 1.5 * min(self.spacing)
        least, widest = self.gap_width
        check(probe <= least <= widest, "gap_width", self.gap_width, f"two rising numbers from {probe:g}")
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
        check(0 <= pore < active <= 1, "grey_levels", self.grey_levels, "two rising fractions from 0 to 1")
        check(0 <= self.blur <= 8, "blur", self.blur, "0 to 8 voxels")
        check(0 <= self.noise_correlation <= 4, "noise_correlation", self.noise_correlation, "0 to 4 voxels")
        check(0 <= self.streaks <= 1, "streaks", self.streaks, "a share from 0 to 1")
        for name in ("texture", "fringe", "noise", "rings", "shading"):
            check(0 <= getattr(self, name) <= 4, name, getattr(self, name), "a number from 0 to 4")
        check(0 <= self.circle <= 2, "circle", self.circle, "a fraction from 0 (none) to 2")


@dataclass(frozen=True, kw_only=True)
class IngestOptions(StageOptions):
    """How a volume is read in.

    Attributes
    ----------
    dataset
        Path of the dataset inside an HDF5, NeXus or zarr file; needed only when the file holds several 3D datasets.
    shape
        Shape (z, y, x) of a raw binary file.
    dtype
        Voxel type of a raw binary file, such as uint8 or ">u2".
    """

    dataset: str | None = None
    shape: tuple[int, int, int] | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        if self.shape is not None:
            check(len(self.shape) == 3 and min(self.shape) > 0, "shape", self.shape, "three positive integers z y x")


@dataclass(frozen=True, kw_only=True)
class PhasesOptions(StageOptions):
    """How grey values become pore, carbon-binder and active material.

    Attributes
    ----------
    phases
        Number of phases: 3 (pore, carbon-binder domain, active material) or 2 (pore, solid).
    thresholds
        Grey thresholds between the phases, ascending, without shading; found by multi-Otsu on the whole volume when not
        given.
    collector
        Look for a current collector, a fourth grey level between carbon-binder and active material.
    shading
        Remove a slow additive shading field before thresholding.
    shading_scale
        Length in micrometers over which shading may vary; 0 takes a quarter of the field along each axis.
    smoothing
        Gaussian sigma, in voxels, applied before thresholding; half as much again between pore and carbon-binder.
    """

    phases: Literal[2, 3] = 3
    thresholds: tuple[float, ...] | None = None
    collector: bool = False
    shading: bool = True
    shading_scale: float = 0.0
    smoothing: float = 0.7

    def __post_init__(self) -> None:
        check(self.phases in (2, 3), "phases", self.phases, "2 or 3")
        check(self.smoothing >= 0, "smoothing", self.smoothing, "0 or more voxels")
        check(self.shading_scale >= 0, "shading_scale", self.shading_scale, "0 or more micrometers")
        if self.thresholds is not None:
            count = self.phases - 1 + self.collector
            rising = all(a < b for a, b in zip(self.thresholds, self.thresholds[1:], strict=False))
            check(len(self.thresholds) == count and rising, "thresholds", self.thresholds, f"{count} rising values")


@dataclass(frozen=True, kw_only=True)
class DetectOptions(StageOptions):
    """How particles are found in slices.

    Attributes
    ----------
    detector
        maskrcnn (the network) or watershed (the conventional baseline).
    weights
        Weights of the network: shipped (the fast one), accurate (twice its time), or the path of a checkpoint.
    score
        Smallest confidence of a detection that is kept.
    tile
        Largest side of the tiles, in pixels, that the network sees; larger slices are cut into equal tiles.
    overlap
        Overlap of neighbouring tiles in pixels; a particle smaller than this is seen whole by one tile.
    batch
        Tiles that go through the network together on a GPU; on a CPU they go one by one.
    device
        auto, cpu or cuda; cuda where there is none is an error.
    threads
        CPU threads of the network; results repeat bit for bit at a fixed number.
    slices
        Slices in one block of work.
    """

    detector: Literal["maskrcnn", "watershed"] = "maskrcnn"
    weights: str = "shipped"
    score: float = 0.5
    tile: int = 1024
    overlap: int = 192
    batch: int = 4
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1
    slices: int = 32

    def __post_init__(self) -> None:
        check(self.detector in ("maskrcnn", "watershed"), "detector", self.detector, "maskrcnn or watershed")
        check(0 <= self.score <= 1, "score", self.score, "a number from 0 to 1")
        check(self.tile >= 64, "tile", self.tile, "64 pixels or more")
        check(0 <= self.overlap < self.tile, "overlap", self.overlap, "0 to less than the tile")
        check(self.batch >= 1, "batch", self.batch, "1 or more")
        check(self.threads >= 1, "threads", self.threads, "1 or more")
        check(self.slices >= 1, "slices", self.slices, "1 or more")
        check(self.device in ("auto", "cpu", "cuda"), "device", self.device, "auto, cpu or cuda")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(StageOptions):
    """How the network is trained; the defaults adapt it to a few annotated crops.

    Attributes
    ----------
    network
        Architecture, where the weights to start from are random, imagenet or coco; a checkpoint brings its own.
    slices
        Slices that the network sees, likewise: 1, or 3 with the neighbours z - 1 and z + 1.
    steps
        Steps of descent.
    batch
        Crops per step.
    crop
        Side of the square crops in pixels.
    rate
        Largest learning rate; it rises over `warmup` steps and falls to zero along half a cosine.
    warmup
        Steps over which the rate rises.
    weight_decay
        Pull of the weights to zero (norms and biases are free of it).
    average
        Decay of the running average of the weights, which is what is saved.
    zoom
        Smallest and largest magnification of the crops.
    outline
        Weight of the errors of boxes and masks beside those of finding and classifying.
    seed
        Seed of everything random.
    checkpoint_every
        Steps between checkpoints (and validations).
    threads
        CPU threads.
    workers
        Processes that draw crops: 1, or 0 to draw them in this process.
    device
        cpu or cuda.
    precision
        single, or half for the feature extractor (bfloat16).
    """

    network: Literal[
        "resnet10", "resnet18", "mobilenet_v3", "efficientnet_lite0", "resnet50", "resnet50_v2", "resnet101"
    ] = "resnet18"
    slices: Literal[1, 3] = 1
    steps: int = 300
    batch: int = 2
    crop: int = 256
    rate: float = 1e-4
    warmup: int = 20
    weight_decay: float = 0.02
    average: float = 0.98
    zoom: tuple[float, float] = (0.8, 1.25)
    outline: float = 1.0
    seed: int = 0
    checkpoint_every: int = 100
    threads: int = 2
    workers: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["single", "half"] = "single"

    def __post_init__(self) -> None:
        networks = get_args(get_type_hints(TrainOptions)["network"])
        check(self.network in networks, "network", self.network, f"one of {', '.join(networks)}")
        check(self.slices in (1, 3), "slices", self.slices, "1 or 3")
        for name in ("steps", "batch", "warmup", "checkpoint_every", "threads"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check(self.crop >= 64, "crop", self.crop, "64 pixels or more")
        check(self.rate > 0, "rate", self.rate, "a positive number")
        check(self.outline > 0, "outline", self.outline, "a positive number")
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        check(0 <= self.average < 1, "average", self.average, "a number from 0 to below 1")
        check(
            len(self.zoom) == 2 and 0 < self.zoom[0] <= self.zoom[1], "zoom", self.zoom, "two positive rising numbers"
        )
        check(self.workers in (0, 1), "workers", self.workers, "0 or 1")
        check(self.device in ("cpu", "cuda"), "device", self.device, "cpu or cuda")
        check(self.precision in ("single", "half"), "precision", self.precision, "single or half")


@dataclass(frozen=True, kw_only=True)
class StitchOptions(StageOptions):
    """How detections in slices become particles.

    Attributes
    ----------
    min_iou
        Smallest overlap (intersection over union) that links two instances of neighbouring slices.
    min_containment
        Smallest intersection over the smaller of the two that links them as well.
    max_gap
        Largest number of missing slices that a track is carried across.
    min_slices
        Particles seen in fewer slices are dropped.
    margin
        Voxels within which the boundary follows the phases rather than the detector's mask.
    """

    min_iou: float = 0.2
    min_containment: float = 0.6
    max_gap: int = 2
    min_slices: int = 2
    margin: int = 3

    def __post_init__(self) -> None:
        check(0 < self.min_iou <= 1, "min_iou", self.min_iou, "a number above 0, up to 1")
        check(0 < self.min_containment <= 1, "min_containment", self.min_containment, "a number above 0, up to 1")
        check(self.max_gap >= 0, "max_gap", self.max_gap, "0 or more slices")
        check(self.min_slices >= 1, "min_slices", self.min_slices, "1 or more")
        check(0 <= self.margin <= 20, "margin", self.margin, "0 to 20 voxels")


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
        Table of state of charge and electron density that replaces the shipped one, tomostat/measure/nmc811.csv.
    shell
        Thickness in micrometers of the shell around a particle in which its neighbours are counted.
    conduction
        Solve for the electrical conduction in the solid of every particle as well, as a third model of its resistance.
    maps
        Write resistance and contact over the surfaces of all particles as images beside the labels.
    """

    depth_axis: Literal["z", "y", "x"] = "z"
    tolerance: Literal[1, 2, 3] = 2
    exclude_particle_contact: bool = False
    path: Literal["surface", "solid"] = "surface"
    energy: float = 17.0
    branch: Literal["charged", "discharged"] | None = None
    curve: str | None = None
    shell: float = 1.0
    conduction: bool = False
    maps: bool = True

    def __post_init__(self) -> None:
        check(self.branch in (None, "charged", "discharged"), "branch", self.branch, "charged or discharged")
        check(self.shell > 0, "shell", self.shell, "a thickness above 0 micrometers")
        check(self.depth_axis in ("z", "y", "x"), "depth_axis", self.depth_axis, "z, y or x")
        check(self.tolerance in (1, 2, 3), "tolerance", self.tolerance, "1, 2 or 3 voxels")
        check(self.path in ("surface", "solid"), "path", self.path, "surface or solid")
        check(self.energy > 0, "energy", self.energy, "a photon energy above 0 keV")


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(StageOptions):
    """How tables become statistics.

    Attributes
    ----------
    size_split
        Diameter in micrometers that parts small from big particles.
    confidence
        Level of the confidence intervals.
    resamples
        Number of bootstrap resamples.
    seed
        Seed of the resampling.
    border
        Particles cut by the field's border: weighted (left out, the others weighted by 1 / P(inside)), kept or
        excluded.
    """

    size_split: float = 11.0
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0
    border: Literal["weighted", "kept", "excluded"] = "weighted"

    def __post_init__(self) -> None:
        check(self.size_split > 0, "size_split", self.size_split, "a diameter above 0 micrometers")
        check(0 < self.confidence < 1, "confidence", self.confidence, "a number between 0 and 1")
        check(self.resamples >= 100, "resamples", self.resamples, "100 or more")
        check(self.border in ("weighted", "kept", "excluded"), "border", self.border, "weighted, kept or excluded")


@dataclass(frozen=True, kw_only=True)
class ReportOptions(StageOptions):
    """What the report shows.

    Attributes
    ----------
    title
        Heading of the page; the study's name when not given.
    table_rows
        Rows of the particle table on the page; the file beside it holds all.
    pictured_fields
        Largest number of fields shown in slices, taken in turn from the conditions.
    gallery
        Single particles shown of each kind: least, typically and most detached.
    """

    title: str | None = None
    table_rows: int = 500
    pictured_fields: int = 8
    gallery: int = 4

    def __post_init__(self) -> None:
        check(self.table_rows >= 0, "table_rows", self.table_rows, "0 or more rows")
        check(self.pictured_fields >= 0, "pictured_fields", self.pictured_fields, "0 or more fields")
        check(self.gallery >= 0, "gallery", self.gallery, "0 or more particles")
