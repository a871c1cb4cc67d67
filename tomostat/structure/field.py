"""The structure of a field: one pass that counts, then what follows for the whole and for parts of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.execution import Execution
from tomostat.phase import Phase
from tomostat.structure.kernels.counts import (
    CellCounts,
    cell_numbers,
    count_block,
    divisions,
    fractions,
    mean_of_known,
    merge_cells,
    specific_surfaces,
    spread_of_known,
)
from tomostat.structure.kernels.tortuosity import check_solver, tortuosity
from tomostat.structure.options import StructureOptions
from tomostat.volume import VolumeInfo, describe, read_box

LABEL = "phases"
BYTES_PER_VOXEL = 4
NETWORKS = {"pore": (Phase.PORE,), "solid": (Phase.CBD, Phase.ACTIVE, Phase.COLLECTOR)}
"""Phases that conduct together."""


def measure_structure(
    path: str | Path,
    *,
    options: StructureOptions | None = None,
    execution: Execution | None = None,
    block: Shape | None = None,
) -> xr.Dataset:
    """Measure the structure of a field, of the whole and of ever smaller parts.

    Parameters
    ----------
    path
        Volume with ``labels/phases``.
    options
        What is found.
    execution
        Where tasks run, who receives their events, and where they are marked; threads of this process when not given.
    block
        Voxels (z, y, x) of a block; one shard when not given. The result does not depend on it.

    Returns
    -------
    xarray.Dataset
        For each ``division`` of the volume into equal parts, the first of which is the whole: `parts`, `part_length`
        (cube root of a part's volume, micrometers), `fraction` and `specific_surface` (division, phase), the mean over
        the parts, and `fraction_std` and `specific_surface_std`, their standard deviation; with tortuosity
        `tortuosity` (division, network, axis), the mean over the parts that conduct, `tortuosity_std` and `conducting`,
        the number of those.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no volume or no phases, or TauFactor is asked for and not installed.
    """
    options = options or StructureOptions()
    info = describe(path, LABEL)
    execution = (execution or Execution()).for_stage("structure")
    cells = cell_numbers(info.shape)
    counts = _count_cells(info, cells, block or info.shards, execution)
    parts = divisions(cells)
    found = _of_counts(counts, parts, info)
    if options.tortuosity:
        check_solver()
        found |= _of_solver(info, parts, options, execution)
    coordinates = {
        "phase": [phase.name.lower() for phase in Phase if phase != Phase.OUTSIDE],
        "network": list(NETWORKS),
        "axis": ["z", "y", "x"],
    }
    used = {dim for dims, *_ in found.values() for dim in dims}
    return xr.Dataset(found, {name: values for name, values in coordinates.items() if name in used})


Variables = dict[str, tuple[tuple[str, ...], NDArray[Any], dict[str, str]]]


def _count_cells(info: VolumeInfo, cells: Shape, core: Shape, execution: Execution) -> CellCounts:
    """Counts of all cells of the volume."""
    count = dask.delayed(_count_block, pure=False)
    tasks = {b.key: count(info.path, b, info.shape, cells) for b in block_grid(info.shape, core, (1, 1, 1))}
    total = CellCounts.empty(cells)
    for first, voxels, crossings in execution.run("counts", tasks, need=BYTES_PER_VOXEL * math.prod(core)).values():
        for whole, part in ((total.voxels, np.array(voxels)), (total.crossings, np.array(crossings))):
            whole[tuple(slice(a, a + n) for a, n in zip(first, part.shape[:3], strict=True))] += part
    return total


def _count_block(path: Path, block: Block, shape: Shape, cells: Shape) -> list[Any]:
    first, counts = count_block(read_box(path, block.outer, LABEL), block, shape, cells)
    return [first.tolist(), counts.voxels.tolist(), counts.crossings.tolist()]


def _of_counts(counts: CellCounts, parts: list[Shape], info: VolumeInfo) -> Variables:
    """Fractions and surfaces of every division."""
    voxels = [merge_cells(counts.voxels, part) for part in parts]
    shares = [fractions(one) for one in voxels]
    surfaces = [
        specific_surfaces(one, merge_cells(counts.crossings, part), info.spacing)
        for one, part in zip(voxels, parts, strict=True)
    ]
    number = np.array([math.prod(part) for part in parts])
    volume = math.prod(info.shape) * math.prod(info.spacing)
    dims, divided = ("division", "phase"), ("division",)
    return {
        "parts": (divided, number, _about("1", "parts of the volume")),
        "part_length": (divided, np.cbrt(volume / number), _about("micrometer", "cube root of the volume of a part")),
        "fraction": (dims, _means(shares), _about("1", "volume fraction in the field of view, mean over the parts")),
        "fraction_std": (dims, _spreads(shares), _about("1", "spread of the volume fraction between the parts")),
        "specific_surface": (
            dims, _means(surfaces), _about("micrometer^-1", "surface of a phase over the volume of all, by Crofton"),
        ),
        "specific_surface_std": (
            dims, _spreads(surfaces), _about("micrometer^-1", "spread of the specific surface between the parts"),
        ),
    }  # fmt: skip


def _about(units: str, long_name: str) -> dict[str, str]:
    return {"units": units, "long_name": long_name}


def _means(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Means over the parts of every division, those without a value left out."""
    return np.stack([mean_of_known(one) for one in values])


def _spreads(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Standard deviations over the parts of every division; NaN where fewer than two have a value."""
    return np.stack([spread_of_known(one) for one in values])


def _of_solver(info: VolumeInfo, parts: list[Shape], options: StructureOptions, execution: Execution) -> Variables:
    """Tortuosities of every division, at the finest resolution of few enough voxels."""
    level = next(
        (k for k, shape in enumerate(info.levels) if math.prod(shape) <= options.tortuosity_voxels),
        len(info.levels) - 1,
    )
    places = [
        (division, number, index, row, axis)
        for division, part in enumerate(parts)
        for number, index in enumerate(np.ndindex(part))
        for row, axis in np.ndindex(len(NETWORKS), 3)
    ]
    solve, names = dask.delayed(_solve_part, pure=False), list(NETWORKS)
    tasks = {
        f"{division}-{'-'.join(map(str, index))}-{names[row]}-{axis}": solve(
            info, level, parts[division], index, names[row], axis
        )
        for division, _, index, row, axis in places
    }
    solved = execution.run("tortuosity", tasks).values()
    values = [np.full((math.prod(part), len(NETWORKS), 3), np.nan) for part in parts]
    for (division, number, _, row, axis), value in zip(places, solved, strict=True):
        values[division][number, row, axis] = np.nan if value is None else value
    dims = ("division", "network", "axis")
    conducting = np.stack([np.isfinite(one).sum(axis=0) for one in values])
    return {
        "tortuosity": (dims, _means(values), _about("1", "tortuosity factor, mean over the parts that conduct")),
        "tortuosity_std": (dims, _spreads(values), _about("1", "spread of the tortuosity factor between the parts")),
        "conducting": (dims, conducting, _about("1", "parts that conduct")),
    }


def _solve_part(info: VolumeInfo, level: int, part: Shape, index: Shape, network: str, axis: int) -> float | None:
    """Tortuosity of one part; None where nothing conducts through it."""
    shape = info.levels[level]
    box = tuple(slice(n * i // p, n * (i + 1) // p) for n, i, p in zip(shape, index, part, strict=True))
    phases = read_box(info.path, box, LABEL, level)  # type: ignore[arg-type]
    spacing = [size * n / m for size, n, m in zip(info.spacing, info.shape, shape, strict=True)]
    value = tortuosity(np.isin(phases, NETWORKS[network]), axis, (spacing[0], spacing[1], spacing[2]))
    return value if math.isfinite(value) else None
