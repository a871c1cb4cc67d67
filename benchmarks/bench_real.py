"""Real volumes from file to report, by the same calls that `tomostat run` makes.

``python -m benchmarks.bench_real [sand] [alone] [watershed] [slice] [phases]`` prints tables; without a name, all.
Volumes are read from ``../shared/data``. Pictures, only of the sand and of the phases, are written to ``docs/images``:
their licences allow that.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tifffile
import xarray as xr
from matplotlib.figure import Figure
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import find_boundaries

import tomostat as ts
from benchmarks import DATA
from benchmarks.report import Result, print_tables
from tomostat.cluster import open_cluster
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.layout import Layout
from tomostat.measure.contact.profiles import sample_profiles
from tomostat.measure.shape.surface import extract_surface
from tomostat.options import StageOptions
from tomostat.phases.options import PhasesOptions
from tomostat.study import study_of_volume
from tomostat.views import VIEWS
from tomostat.volume import read_fit

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PARTICLES = ("ingest", "phases", "detect", "stitch")
"""Stages that find particles."""


def run(
    source: Path, out: Path, spacing: float, stages: Sequence[str] | None = None, **options: StageOptions
) -> Layout:
    """From file to report, or through some stages."""
    study = study_of_volume(source, out, spacing=spacing).with_options(**options)
    with open_cluster() as client:
        return ts.run(study, stages=stages, execution=Execution(client=client))


def whole_particles(layout: Layout) -> xr.Dataset:
    """Measured particles that lie within the field and are not too small."""
    particles = ts.open_particles(layout.particles)
    return particles.isel(particle=~particles["touches_border"].values & ~particles["too_small"].values)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks, 2 |a and b| / (|a| + |b|)."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def sand(out: Path) -> Iterator[Result]:
    """Casting sand by slices along three axes: solid phase beside the hand-drawn one, and three planes as a picture."""
    source = DATA / "sand_ct.tif"
    layout = run(source, out, 1.0, phases=PhasesOptions(phases=2), detect=DetectOptions(views=VIEWS))
    grey = tifffile.imread(source)
    drawn = tifffile.imread(DATA / "sand_ct_truth.tif") > 0
    found = ts.open_volume(layout.volume("sand_ct"), "phases")[:3].values
    solid, field = found == ts.Phase.ACTIVE, found != ts.Phase.OUTSIDE
    plain = grey[:3] > threshold_otsu(grey[:3][field])
    circle = read_fit(layout.volume("sand_ct")).circle
    radius = circle[2] if circle else np.nan
    yield Result("Dice of the solid phase with the hand-drawn one, three slices", dice(solid & field, drawn & field))
    yield Result("the same of a plain Otsu inside the field", dice(plain & field, drawn & field))
    yield Result("radius of the round field of view (256)", radius, unit="voxels")
    yield Result("grains", ts.open_particles(layout.particles).sizes["particle"])
    whole = whole_particles(layout)
    yield Result("whole grains", whole.sizes["particle"])
    yield Result("median diameter of whole grains", float(whole["equivalent_diameter"].median()), unit="voxels")
    picture(grey, ts.open_volume(layout.volume("sand_ct"), "particles").values, IMAGES / "sand.png")


def alone(out: Path) -> Iterator[Result]:
    """The same by slices along z alone."""
    source = DATA / "sand_ct.tif"
    layout = run(source, out, 1.0, PARTICLES, phases=PhasesOptions(phases=2))
    labels = ts.open_volume(layout.volume("sand_ct"), "particles").values
    yield Result("grains", len(np.unique(labels)) - 1)
    picture(tifffile.imread(source), labels, IMAGES / "sand-alone.png")


def watershed(out: Path) -> Iterator[Result]:
    """Casting sand by watershed: as many grains whichever axis the slices are taken along."""
    grey = tifffile.imread(DATA / "sand_ct.tif")
    counts = []
    for axis, name in enumerate("zyx"):
        folder = out / name
        folder.mkdir()
        tifffile.imwrite(folder / "sand_ct.tif", np.ascontiguousarray(np.moveaxis(grey, axis, 0)))
        layout = run(
            folder / "sand_ct.tif", folder / "results", 1.0, PARTICLES,
            phases=PhasesOptions(phases=2), detect=DetectOptions(detector="watershed"),
        )  # fmt: skip
        labels = np.moveaxis(ts.open_volume(layout.volume("sand_ct"), "particles").values, 0, axis)
        voxels = np.bincount(labels.ravel())[1:]
        counts.append(np.count_nonzero(voxels))
        yield Result(f"slices along {name}: grains", float(counts[-1]))
        yield Result(f"slices along {name}: median", float(np.median(voxels[voxels > 0])), unit="voxels")
        if axis == 0:
            picture(grey, labels, IMAGES / "sand-watershed.png")
    yield Result("most grains over fewest, less 1", max(counts) / min(counts) - 1, 0.2, "<=")


def phases(out: Path) -> Iterator[Result]:
    """A segmented electrode (pore, NMC, carbon-binder) with its phases as grey values: by watershed and by network."""
    known = tifffile.imread(DATA / "nmc_phases.tif")
    source = out / "nmc_phases.tif"
    grey = ndimage.gaussian_filter(np.array([60, 180, 100], np.float32)[known], 0.8)
    grey += np.random.default_rng(0).normal(0, 4, grey.shape)
    image = np.clip(grey, 0, 255).astype(np.uint8)
    tifffile.imwrite(source, image)
    for detector, name in (("maskrcnn", "network"), ("watershed", "watershed")):
        layout = run(
            source, out / detector, 0.4,
            phases=PhasesOptions(thresholds=(80.0, 140.0)), detect=DetectOptions(detector=detector),
        )  # fmt: skip
        volume = layout.volume("nmc_phases")
        whole = whole_particles(layout)
        yield Result(f"{name}: whole particles", whole.sizes["particle"])
        for column, (quantity, unit) in MEDIANS.items():
            yield Result(f"{name}: {quantity}", float(whole[column].median()), unit=unit)
        right = ts.open_volume(volume, "phases").values == np.array([0, 2, 1])[known]
        yield Result(f"{name}: voxels in their phase", 100 * right.mean(), unit="%")
        picture(image, ts.open_volume(volume, "particles").values, IMAGES / f"nmc-phases-{detector}.png")
    beyond, faces = pores_beside_solid(known)
    yield Result("pores a voxel beyond the active material, along its normals, by area", 100 * beyond, unit="%")
    yield Result("pores beyond the faces of its voxels", 100 * faces, unit="%")


MEDIANS = {
    "equivalent_diameter": ("diameter", "micrometers"),
    "sphericity": ("sphericity", ""),
    "detachment": ("detachment", ""),
    "detachment_std": ("its uncertainty", ""),
    "resistance_mean": ("resistance", ""),
    "neighbours": ("neighbours", ""),
}
"""Medians of whole particles, by column: quantity and unit."""


def slice_of_nmc(out: Path) -> Iterator[Result]:
    """A single slice of a real electrode."""
    layout = run(DATA / "nmc_fullres.tif", out, 0.05)
    whole = whole_particles(layout)
    yield Result("particles", ts.open_particles(layout.particles).sizes["particle"])
    yield Result("whole particles", whole.sizes["particle"])
    yield Result("median diameter", float(whole["equivalent_diameter"].median()), unit="micrometers")
    yield Result("median crack fraction", float(whole["crack_fraction"].median()))
    for phase, level in asdict(read_fit(layout.volume("nmc_fullres")).levels).items():
        if level is not None:
            yield Result(f"grey level of {phase}", level)


def pores_beside_solid(known: np.ndarray) -> tuple[float, float]:
    """Share of pores beside active material (code 1), against pores (0) and carbon-binder (2) together.

    Returns
    -------
    float, float
        One voxel beyond its surface along the normals, by area; and of the faces of its voxels.
    """
    surface = extract_surface((known == 1).view(np.uint8), (1.0, 1.0, 1.0))
    everywhere = np.ones(known.shape, np.uint8)
    pore, binder = (
        float(surface.area @ sample_profiles(surface, (known == code).view(np.uint8), everywhere, np.ones(1))[0][:, 0])
        for code in (0, 2)
    )
    faces = Counter[int]()
    for axis in range(3):
        along = np.moveaxis(known, axis, 0)
        for here, there in ((along[1:], along[:-1]), (along[:-1], along[1:])):
            faces.update({code: int(np.count_nonzero((here == 1) & (there == code))) for code in (0, 2)})
    return pore / (pore + binder), faces[0] / faces.total()


def picture(grey: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Middle slices along z, y and x with the outlines of the particles."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes = figure.subplots(2, 2, gridspec_kw={"width_ratios": [1, 1.05]})
    grid = axes[0, 0].get_gridspec()
    for ax in axes[:, 0]:
        ax.remove()
    planes = [("z", 0, figure.add_subplot(grid[:, 0])), ("y", 1, axes[0, 1]), ("x", 2, axes[1, 1])]
    for name, axis, ax in planes:
        middle = grey.shape[axis] // 2
        image, found = grey.take(middle, axis), labels.take(middle, axis)
        shown = np.repeat(image[..., None], 3, axis=2)
        shown[find_boundaries(found, mode="inner")] = (255, 150, 0)
        ax.imshow(shown, interpolation="nearest")
        ax.set_title(f"{name} = {middle}")
        ax.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


TABLES = {
    "sand": (sand, ("sand_ct.tif", "sand_ct_truth.tif")),
    "alone": (alone, ("sand_ct.tif",)),
    "watershed": (watershed, ("sand_ct.tif",)),
    "slice": (slice_of_nmc, ("nmc_fullres.tif",)),
    "phases": (phases, ("nmc_phases.tif",)),
}
"""What measures a table, and the files that it reads."""


def main() -> None:
    """Print the tables whose files are there."""
    with tempfile.TemporaryDirectory(prefix="tomostat-bench-") as scratch:
        tables = {}
        for name, (measure, files) in TABLES.items():
            if all((DATA / file).exists() for file in files):
                tables[name] = functools.partial(measure, Path(scratch) / name)
                (Path(scratch) / name).mkdir()
        print_tables(tables, __doc__)


if __name__ == "__main__":
    main()
