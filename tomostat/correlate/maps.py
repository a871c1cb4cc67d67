"""Maps to correlate: files with one image, and projections of volumes and of single particles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label

from tomostat.kernels.arrays import Doubles, Mask

AXES = "zyx"
LEAST_PIXELS = 50
"""Fewest pixels that a map must have inside its mask."""


@dataclass(frozen=True)
class PlaneMap:
    """One value for each pixel of a plane.

    Attributes
    ----------
    values
        (h, w) float64; NaN where there is none.
    pixel
        Pixel size in micrometers along both axes; None where it is unknown.
    name
        What it is, for axes and titles.
    """

    values: Doubles
    pixel: float | None
    name: str

    def mask(self, kind: str, rim: float = 0.0) -> Mask:
        """Pixels that belong to the object.

        Parameters
        ----------
        kind
            ``values``: finite and not 0; ``otsu``: the largest region brighter than Otsu's threshold.
        rim
            Pixels at its rim that are left out.

        Raises
        ------
        ValueError
            When there are too few of them, or all have the same value.
        """
        known = np.isfinite(self.values) & (self.values != 0)
        if kind == "otsu" and known.any() and np.ptp(self.values[known]) > 0:
            regions = label(known & (self.values > threshold_otsu(self.values[known])), connectivity=1)
            known = regions == np.argmax(np.bincount(regions.ravel())[1:]) + 1
        if rim > 0:
            known = ndimage.distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1] > rim
        if known.sum() < LEAST_PIXELS or np.ptp(self.values[known]) == 0:
            raise ValueError(
                f"{self.name} has {known.sum()} pixels with different values inside its mask; expected {LEAST_PIXELS} "
                "or more that are not all the same; give another mask (values, otsu) or a narrower rim"
            )
        return known


def read_map(path: str | Path, *, pixel: float | None = None, axis: str = "z") -> PlaneMap:
    """Read a map from a file: an image, or a volume that is projected along an axis.

    Parameters
    ----------
    path
        TIFF, npy, HDF5, or anything else that `tomostat ingest` reads; the dataset inside a file may follow a colon.
    pixel
        Pixel size in micrometers; that of the file when not given.
    axis
        Axis along which a volume is averaged: z, y or x.

    Raises
    ------
    FileNotFoundError, ValueError
        When the file is missing or damaged, or its pixels are no squares.
    """
    from tomostat.ingest import probe

    source = probe(path, need_spacing=False)
    values, name = source.read_all().astype(np.float64), source.path.stem
    if source.shape[0] == 1:
        _, high, wide = source.spacing or (None, None, None)
        return PlaneMap(values[0], _square(high, wide, name) if pixel is None else pixel, name)
    return project_volume(values, source.spacing if pixel is None else (pixel,) * 3, axis=axis, name=name)


def project_volume(
    values: NDArray[np.generic],
    spacing: tuple[float, float, float] | None,
    *,
    axis: str = "z",
    mask: Mask | None = None,
    name: str = "projection",
) -> PlaneMap:
    """Mean of a volume along an axis.

    Parameters
    ----------
    values
        (z, y, x).
    spacing
        Voxel size in micrometers; None where it is unknown.
    axis
        Axis to average along: z, y or x.
    mask
        (z, y, x) voxels that count; those that are finite when not given.
    name
        What it is.

    Returns
    -------
    PlaneMap
        NaN where no voxel counts.

    Raises
    ------
    ValueError
        When the axis is unknown or the pixels of the projection are no squares.
    """
    if axis not in AXES or len(axis) != 1:
        raise ValueError(f"axis is {axis!r}; expected z, y or x")
    along = AXES.index(axis)
    counted = np.isfinite(values) if mask is None else mask & np.isfinite(values)
    count = counted.sum(axis=along)
    total = np.where(counted, values, 0).sum(axis=along, dtype=np.float64)
    found = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    height, width = (None if spacing is None else spacing[i] for i in range(3) if i != along)
    return PlaneMap(found, _square(height, width, name), name)


def project_particle(out: str | Path, field: str, number: int, *, axis: str = "z", margin: int = 2) -> PlaneMap:
    """Mean density of one particle of a study along an axis: its active material, without shading.

    Parameters
    ----------
    out
        Output folder of the study.
    field, number
        Field of view, and label of the particle in the particle table.
    axis
        Axis to average along: z, y or x.
    margin
        Pixels around the particle.

    Returns
    -------
    PlaneMap
        Grey values above those of pores, in proportion to the density; NaN outside the particle.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such field or particle.
    """
    from tomostat.datasets import open_particles
    from tomostat.layout import Layout
    from tomostat.phase import Phase
    from tomostat.volume import open_volume, read_box, read_fit, read_flat

    layout = Layout(Path(out))
    particles = open_particles(layout.table(field))
    rows = np.flatnonzero(particles["label"].to_numpy() == number)
    if not rows.size:
        raise ValueError(f"{field} has no particle {number}; its labels are in {layout.table(field)}")
    volume = layout.volume(field)
    grey = open_volume(volume)
    low, high = particles["bbox"].to_numpy()[rows[0]]
    z, y, x = (
        slice(max(int(a) - margin, 0), min(int(b) + margin, n)) for a, b, n in zip(low, high, grey.shape, strict=True)
    )
    box = (z, y, x)
    inside = (read_box(volume, box, "particles") == number) & (read_box(volume, box, "phases") == Phase.ACTIVE)
    pore = read_fit(volume).levels.pore
    values = read_flat(volume, box) - np.float32(0.0 if pore is None else pore)
    return project_volume(
        values, grey.attrs["spacing"], axis=axis, mask=inside, name=f"{field}, particle {number}, along {axis}"
    )


def _square(height: float | None, width: float | None, name: str) -> float | None:
    """Side of square pixels."""
    if height is None or width is None:
        return None
    if abs(height - width) > 1e-3 * max(height, width):
        raise ValueError(
            f"{name} has pixels of {height:g} x {width:g} micrometers; expected squares: give another axis"
        )
    return float(height)
