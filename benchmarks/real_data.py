"""Real volumes from file to report: ``python -m benchmarks.real_data DATA OUT`` prints what `docs/real-data.md` states.

DATA is the folder with ``sand_ct.tif``, ``sand_ct_truth.tif`` and ``nmc_fullres.tif``. Only pictures of the sand are
written (its licence allows that), into ``docs/images``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure
from skimage.filters import threshold_otsu
from skimage.segmentation import find_boundaries

import tomostat as ts
from tomostat.cluster import open_client
from tomostat.manifest import Layout
from tomostat.options import PhasesOptions
from tomostat.study import study_of_volume

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def run(source: Path, out: Path, spacing: float, **options: object) -> Layout:
    """From file to report."""
    study = study_of_volume(source, out, spacing=spacing).with_options(**options)
    with open_client() as client:
        return ts.run(study, client=client)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks, 2 |a and b| / (|a| + |b|)."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def sand(data: Path, out: Path) -> None:
    """Casting sand: solid phase against the hand-drawn one, and three planes as a picture."""
    layout = run(data / "sand_ct.tif", out / "sand", 1.0, phases=PhasesOptions(phases=2))
    grey = tifffile.imread(data / "sand_ct.tif")
    drawn = tifffile.imread(data / "sand_ct_truth.tif") > 0
    inside = ts.open_volume(layout.volume("sand_ct"), "phases")[:3].values
    solid, seen = inside == ts.Phase.ACTIVE, inside != ts.Phase.OUTSIDE
    plain = grey[:3] > threshold_otsu(grey[grey > 0])
    particles = ts.open_particles(layout.particles)
    print(f"sand: Dice of the solid phase {dice(solid & seen, drawn & seen):.3f}, plain Otsu {dice(plain, drawn):.3f}")
    whole = ~particles["touches_border"].values
    print(f"sand: {len(whole)} grains, {whole.sum()} whole, median diameter "
          f"{np.median(particles['equivalent_diameter'].values[whole]):.1f} voxels")  # fmt: skip
    picture(grey, ts.open_volume(layout.volume("sand_ct"), "particles").values, IMAGES / "sand.png")


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
    fit = ts.describe(layout.volume("nmc_fullres"), "phases").attributes
    labels = ts.open_volume(layout.volume("nmc_fullres"), "particles").values
    picture_path = out / "nmc_fullres.png"
    shown = np.repeat(tifffile.imread(data / "nmc_fullres.tif")[..., None], 3, axis=2)
    shown[find_boundaries(labels[0], mode="inner")] = (255, 150, 0)
    tifffile.imwrite(picture_path.with_suffix(".tif"), shown, photometric="rgb")
    print(f"nmc_fullres: {len(whole)} particles, {whole.sum()} whole, levels {fit['levels']}, circle {fit['circle']}")
    print(f"nmc_fullres: median diameter {np.median(particles['equivalent_diameter'].values[whole]):.2f} micrometer, "
          f"median crack fraction {np.median(particles['crack_fraction'].values[whole]):.3f}")  # fmt: skip


def main() -> None:
    """Run both."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    sand(data, out)
    slice_of_nmc(data, out)


if __name__ == "__main__":
    main()
