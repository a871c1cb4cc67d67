"""Real volumes from file to report.

``python -m benchmarks.real_data DATA OUT`` prints the numbers of `docs/real-data.md`. DATA is the folder with
``sand_ct.tif``, ``sand_ct_truth.tif``, ``nmc_fullres.tif`` and ``nmc_phases.tif``; names after OUT choose some: sand,
alone, axes, slice, phases. Only pictures of the sand and of the phases are written to ``docs/images``: their licences
allow that.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import find_boundaries

import tomostat as ts
from benchmarks.report import Result, print_results
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


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks, 2 |a and b| / (|a| + |b|)."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def sand(data: Path, out: Path) -> None:
    """Casting sand by slices along three axes: solid phase beside the hand-drawn one, and three planes as a picture."""
    layout = run(
        data / "sand_ct.tif", out / "sand", 1.0, phases=PhasesOptions(phases=2), detect=DetectOptions(views=VIEWS)
    )
    grey = tifffile.imread(data / "sand_ct.tif")
    drawn = tifffile.imread(data / "sand_ct_truth.tif") > 0
    found = ts.open_volume(layout.volume("sand_ct"), "phases")[:3].values
    solid, field = found == ts.Phase.ACTIVE, found != ts.Phase.OUTSIDE
    plain = grey[:3] > threshold_otsu(grey[:3][field])
    particles = ts.open_particles(layout.particles)
    ours, otsu = (dice(mask & field, drawn & field) for mask in (solid, plain))
    print(f"sand: Dice of the solid phase {ours:.3f}, plain Otsu {otsu:.3f}")
    print(f"sand: round field of view, centre and radius {read_fit(layout.volume('sand_ct')).circle}")
    whole = ~particles["touches_border"].values
    print(f"sand: {len(whole)} grains, {whole.sum()} whole, median diameter "
          f"{np.median(particles['equivalent_diameter'].values[whole]):.1f} voxels")  # fmt: skip
    picture(grey, ts.open_volume(layout.volume("sand_ct"), "particles").values, IMAGES / "sand.png")


def alone(data: Path, out: Path) -> None:
    """The same by slices along z alone."""
    layout = run(data / "sand_ct.tif", out / "sand-alone", 1.0, PARTICLES, phases=PhasesOptions(phases=2))
    labels = ts.open_volume(layout.volume("sand_ct"), "particles").values
    print(f"sand, slices along z alone: {len(np.unique(labels)) - 1} grains")
    picture(tifffile.imread(data / "sand_ct.tif"), labels, IMAGES / "sand-alone.png")


def axes(data: Path, out: Path) -> None:
    """Casting sand by watershed: as many grains whichever axis the slices are taken along."""
    grey = tifffile.imread(data / "sand_ct.tif")
    counts = {}
    for axis, name in enumerate("zyx"):
        folder = out / f"sand-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / "sand_ct.tif", np.ascontiguousarray(np.moveaxis(grey, axis, 0)))
        layout = run(
            folder / "sand_ct.tif", folder / "results", 1.0, PARTICLES,
            phases=PhasesOptions(phases=2), detect=DetectOptions(detector="watershed"),
        )  # fmt: skip
        labels = np.moveaxis(ts.open_volume(layout.volume("sand_ct"), "particles").values, 0, axis)
        voxels = np.bincount(labels.ravel())[1:]
        counts[name] = int(np.count_nonzero(voxels))
        print(f"sand, slices along {name}: {counts[name]} grains, median {np.median(voxels[voxels > 0]):.0f} voxels")
        picture(grey, labels, IMAGES / "sand-watershed.png" if name == "z" else folder / "sand-watershed.png")
    spread = max(counts.values()) / min(counts.values()) - 1
    print_results("casting sand by watershed", [Result("grains by axis: most over fewest, less 1", spread, 0.2, "<=")])


def phases(data: Path, out: Path) -> None:
    """A segmented electrode (pore, NMC, carbon-binder) with its phases as grey values: by watershed and by network."""
    known = tifffile.imread(data / "nmc_phases.tif")
    folder = out / "nmc_phases"
    folder.mkdir(parents=True, exist_ok=True)
    grey = ndimage.gaussian_filter(np.array([60, 180, 100], np.float32)[known], 0.8)
    grey += np.random.default_rng(0).normal(0, 4, grey.shape)
    tifffile.imwrite(folder / "nmc_phases.tif", np.clip(grey, 0, 255).astype(np.uint8))
    beyond, faces = pores_beside_solid(known)
    print(f"nmc_phases: {beyond:.3f} of what lies a voxel beyond the active material is pore; {faces:.3f} of its faces")
    for detector in ("watershed", "maskrcnn"):
        layout = run(
            folder / "nmc_phases.tif", folder / detector, 0.4,
            phases=PhasesOptions(thresholds=(80.0, 140.0)), detect=DetectOptions(detector=detector),
        )  # fmt: skip
        found = ts.open_volume(layout.volume("nmc_phases"), "phases").values
        particles = ts.open_particles(layout.particles)
        inner = particles.isel(particle=~particles["touches_border"].values & ~particles["too_small"].values)
        right = np.mean(found == np.array([0, 2, 1])[known])
        print(f"nmc_phases, {detector}: {right:.3f} of the voxels in their phase, "
              f"{particles.sizes['particle']} particles, {inner.sizes['particle']} whole")  # fmt: skip
        for name in ("equivalent_diameter", "sphericity", "detachment", "resistance_mean", "neighbours"):
            print(f"nmc_phases, {detector}: median {name} {np.nanmedian(inner[name]):.3f}")
        labels = ts.open_volume(layout.volume("nmc_phases"), "particles").values
        picture(grey.clip(0, 255).astype(np.uint8), labels, IMAGES / f"nmc-phases-{detector}.png")


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


def slice_of_nmc(data: Path, out: Path) -> None:
    """A single slice of a real electrode."""
    layout = run(data / "nmc_fullres.tif", out / "nmc", 0.05)
    particles = ts.open_particles(layout.particles)
    whole = ~particles["touches_border"].values
    fit = read_fit(layout.volume("nmc_fullres"))
    labels = ts.open_volume(layout.volume("nmc_fullres"), "particles").values
    picture_path = out / "nmc_fullres.png"
    shown = np.repeat(tifffile.imread(data / "nmc_fullres.tif")[..., None], 3, axis=2)
    shown[find_boundaries(labels[0], mode="inner")] = (255, 150, 0)
    tifffile.imwrite(picture_path.with_suffix(".tif"), shown, photometric="rgb")
    print(f"nmc_fullres: {len(whole)} particles, {whole.sum()} whole, {fit.levels}, circle {fit.circle}")
    print(f"nmc_fullres: median diameter {np.median(particles['equivalent_diameter'].values[whole]):.2f} micrometer, "
          f"median crack fraction {np.median(particles['crack_fraction'].values[whole]):.3f}")  # fmt: skip


def main() -> None:
    """Run the cases that are named, or all."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    cases = {"sand": sand, "alone": alone, "axes": axes, "slice": slice_of_nmc, "phases": phases}
    for name in sys.argv[3:] or cases:
        cases[name](data, out)


if __name__ == "__main__":
    main()
