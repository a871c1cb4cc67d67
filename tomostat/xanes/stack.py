"""From a stack of images on disk to a map of edge energy and valence, a band of rows at a time."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray

from tomostat.datasets import write_dataset
from tomostat.files import atomic
from tomostat.kernels.arrays import Doubles
from tomostat.xanes.kernels.drift import drift, shifted
from tomostat.xanes.kernels.spectra import half_step_energy, normalise, prepare, white_line_energy
from tomostat.xanes.options import XanesOptions

logger = logging.getLogger(__name__)


EDGES = {"half": half_step_energy, "white_line": white_line_energy}
BAND = 64
"""Rows of pixels that are computed at a time."""
STRONGEST = 0.99
"""Quantile of the steps to which the least step is relative."""


def valence_map(
    stack: NDArray[np.generic] | da.Array,
    energy: Sequence[float] | Doubles,
    *,
    standards: Sequence[tuple[float, float]] = (),
    options: XanesOptions | None = None,
) -> xr.Dataset:
    """Edge energy, and valence, of every pixel of a spectro-microscopy stack.

    Parameters
    ----------
    stack
        (n, y, x) absorption (optical density) at n energies; a memory map or dask array is read a band at a time.
    energy
        (n,) energies in eV, ascending.
    standards
        Edge energy in eV and valence of two or more standards; a line through them gives the valence.
    options
        Ranges, method, mask.

    Returns
    -------
    xarray.Dataset
        Dims ``y`` and ``x``: ``edge_energy`` (eV), ``step``, ``valence`` where standards are given; NaN in pixels whose
        step is too small. ``shift`` (energy, axis), by which the images were moved.

    Raises
    ------
    ValueError
        When energies are no eV, unsorted or too few, the standards are no line, or no pixel has an edge.
    """
    options = options or XanesOptions()
    energies = _checked(np.asarray(energy, np.float64), stack.shape, options)
    slope, offset = _calibration(standards)
    fit = prepare(energies, options.edge, options.pre, options.post, options.order)
    with tempfile.TemporaryDirectory() as folder:
        shifts = drift(np.asarray(image, np.float64) for image in stack) if options.align else np.zeros((len(stack), 2))
        if shifts.any():
            aligned = np.lib.format.open_memmap(Path(folder) / "aligned.npy", "w+", np.float32, stack.shape)
            for index, shift in enumerate(shifts):
                aligned[index] = shifted(np.asarray(stack[index], np.float64), shift)
            stack = aligned
        blocks = da.asarray(stack).rechunk((len(energies), BAND, -1))
        found = da.map_blocks(
            _edges, blocks, energies, fit, options, dtype=np.float64, chunks=((2,), *blocks.chunks[1:])
        ).compute(scheduler="threads")
    step, edge = found
    strong = np.nanquantile(step, STRONGEST) if np.isfinite(step).any() else np.nan
    edge = np.where(step >= max(options.least_step * strong, 1e-12), edge, np.nan) if strong > 0 else edge * np.nan
    if not np.isfinite(edge).any():
        raise ValueError(
            f"no pixel has an edge near {options.edge:g} eV; is the stack absorption (not transmission), and the edge "
            "that of its element?"
        )
    logger.info("%d of %d pixels have an edge", int(np.isfinite(edge).sum()), edge.size)
    names = {"edge_energy": (edge, "eV", "energy of the absorption edge"), "step": (step, "1", "step at the edge")}
    if standards:
        names["valence"] = (slope * edge + offset, "1", "valence, by a line through the standards")
    variables = {
        name: (("y", "x"), values, {"units": units, "long_name": long_name})
        for name, (values, units, long_name) in names.items()
    }
    drifted = (("energy", "axis"), shifts, {"units": "pixel", "long_name": "shift that aligned the image"})
    coordinates = {"energy": ("energy", energies, {"units": "eV", "long_name": "photon energy"}), "axis": ["y", "x"]}
    return xr.Dataset({**variables, "shift": drifted}, coordinates)


def _edges(block: Doubles, energy: Doubles, fit: object, options: XanesOptions) -> Doubles:
    """Step and edge energy (2, rows, columns) of a block of spectra (n, rows, columns)."""
    spectra, step = normalise(block.reshape(len(block), -1).astype(np.float64), fit)  # type: ignore[arg-type]
    edge = EDGES[options.method](energy, spectra, options.edge)
    return np.stack([step, edge]).reshape(2, *block.shape[1:])


def _checked(energy: Doubles, shape: tuple[int, ...], options: XanesOptions) -> Doubles:
    """Energies that are what they must be."""
    if len(shape) != 3 or energy.shape != shape[:1]:
        raise ValueError(f"stack has shape {shape}, energy {energy.shape}; expected (n, y, x) and (n,)")
    if not np.isfinite(energy).all() or (np.diff(energy) <= 0).any():
        raise ValueError("energy is not ascending; sort the images and their energies, and take each energy once")
    if energy.max() < 200 and options.edge > 1000:
        raise ValueError(f"energy is {energy[0]:g} to {energy[-1]:g}; expected eV: it looks like keV, multiply by 1000")
    if not energy[0] < options.edge < energy[-1]:
        raise ValueError(
            f"the edge at {options.edge:g} eV lies outside the energies {energy[0]:g} to {energy[-1]:g} eV"
        )
    return energy


def _calibration(standards: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and offset of the line from edge energy to valence."""
    if not standards:
        return np.nan, np.nan
    energy, valence = np.array(standards, np.float64).T
    if len(np.unique(energy)) < 2:
        raise ValueError(f"standards are {list(standards)}; expected two or more with different edge energies")
    slope, offset = np.polyfit(energy, valence, 1)
    return float(slope), float(offset)


def write_valence_map(folder: str | Path, found: xr.Dataset) -> None:
    """Write what `valence_map` gave, whole or not at all: ``xanes.zarr``, and a TIFF for every map."""
    with atomic(folder) as part:
        part.mkdir()
        write_dataset(part / "xanes.zarr", found)
        for name, values in found.data_vars.items():
            if values.dims == ("y", "x"):
                tifffile.imwrite(part / f"{name}.tif", values.to_numpy().astype(np.float32))


def open_stack(path: str | Path) -> da.Array:
    """Images of a file or folder as a lazy array (n, y, x), read an image at a time.

    Raises
    ------
    FileNotFoundError, ValueError
        As `tomostat.ingest.probe`.
    """
    from tomostat.ingest import probe

    source = probe(path, need_spacing=False)
    depth, height, width = source.shape
    read = dask.delayed(lambda index: source.read((slice(index, index + 1), slice(0, height), slice(0, width))))
    images = [da.from_delayed(read(index), (1, height, width), source.dtype) for index in range(depth)]
    return da.concatenate(images)


def read_energies(path: str | Path) -> Doubles:
    """Energies from a text file, one a line.

    Raises
    ------
    FileNotFoundError, ValueError
        When the file is missing, or holds something else.
    """
    try:
        return np.loadtxt(path, ndmin=1, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path} holds no energies, one a line: {error}") from None
