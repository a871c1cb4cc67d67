"""The particle table of one field: one pass over blocks for what adds up, then particle boxes in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.measure.contact import Levels
from tomostat.measure.contacts import contact_table, write_contacts
from tomostat.measure.decide import BINS, Groups, field_groups
from tomostat.measure.density import NMC811, Curve
from tomostat.measure.maps import Run, block_size, points_folder, remove_maps, started, write_maps, write_points
from tomostat.measure.moments import (
    BORDER,
    COUNT,
    FACES,
    KINDS,
    FixedPoint,
    Moments,
    block_moments,
    merge_moments,
)
from tomostat.measure.neighbours import contact_pairs, count_contacts
from tomostat.measure.points import SurfacePoints
from tomostat.measure.rows import PAD, Box, count_layers, measure_box
from tomostat.measure.shape import density_columns, field_window, shape_columns, sphericity
from tomostat.measure.table import AXES, COLUMNS, Column, make_table
from tomostat.measure.touch import TOLERANCES
from tomostat.measure.window import Window
from tomostat.options import MeasureOptions, as_dict
from tomostat.runner import Progress, execute
from tomostat.volume import Spacing, VolumeInfo, describe, read_box, read_flat

if TYPE_CHECKING:
    from distributed import Client

BATCH_VOXELS = 4_000_000
"""Voxels in the boxes of one batch, and in the box around them, where no single particle has more."""

READ_BYTES, BYTES_PER_VOXEL = 16, 60
"""Memory of a voxel that is read, and of a voxel in the box of the particle that is measured."""

CONDUCTION_BYTES = 350_000_000
"""Memory of solving for the conduction in a large particle."""

SAMPLES, SAMPLE_VOXELS = 32, 500
"""Particles that tell a field's levels, and the least number of their voxels."""


def measure_particles(
    path: str | Path,
    *,
    options: MeasureOptions | None = None,
    field: str | None = None,
    sample: str = "",
    condition: str = "unknown",
    contacts: Path | None = None,
    markers: Path | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
    block: Shape | None = None,
) -> xr.Dataset:
    """Measure every particle of a field.

    Maps of resistance and contact over the particles' surfaces are written beside the labels, as ``maps/resistance``
    and ``maps/contact``; those of an earlier measurement are replaced.

    Parameters
    ----------
    path
        Field store with ``labels/phases`` and ``labels/particles``.
    options
        What is measured and how.
    field, sample, condition
        Where the particles come from; the field is named after the store when not given.
    contacts
        Parquet file for the contacts between particles (`tomostat.measure.contacts`); not written when not given.
    markers
        Folder of marker files, for resuming.
    client
        Where to run; threads of this process when not given.
    progress
        Called as tasks end.
    block
        Voxels (z, y, x) of a block of the first pass; one shard when not given. The table does not depend on it.

    Returns
    -------
    xarray.Dataset
        Dim `particle`, ordered by label, with the variables of `tomostat.measure.table.COLUMNS`.

    Raises
    ------
    FileNotFoundError, ValueError
        When the store, its phases or its particles are missing, their shapes differ, or the density curve is none.
    """
    path, options = Path(path), options or MeasureOptions()
    info, fit = _check(path)
    curve = Curve.read(options.curve) if options.curve else NMC811
    run = partial(execute, client=client, progress=progress)
    if not (options.maps and started(markers)):
        remove_maps(path)
    fixed = FixedPoint.of_range(*fit["percentiles"])
    sums = run(
        sums_tasks(path, fixed, block or info.shards), label="sums", markers=markers and markers / "sums",
        need=40 * math.prod(block or info.shards),
    )  # fmt: skip
    moments = merge_moments([_moments(part) for part in sums.values()])
    levels = _levels(fit)
    pad = [max(PAD, math.ceil(options.shell / size) + 1) for size in info.spacing]
    chosen = make_batches(moments, info, samples(moments), pad)
    seen = _run_batches(run, "levels", chosen, level_tasks(path, chosen, levels, options), markers)
    batches = make_batches(moments, info, np.arange(len(moments)), pad)
    points = points_folder(path, markers) if options.maps else None
    tasks = surface_tasks(path, batches, levels, _groups(seen.values(), levels), options, points)
    found = _run_batches(run, "particles", batches, tasks, markers, beside=CONDUCTION_BYTES * options.conduction)
    if points is not None:
        boxes = {_points_file(i): batch.boxes for i, batch in enumerate(batches)}
        write_maps(info, points, boxes, markers=markers, run=run, attributes={"measure": as_dict(options)})
    rows = {int(label): row for part in found.values() for label, row in part.items()}
    pairs = _contact_pairs(rows)
    window = field_window(moments, info.shape, info.spacing, fit.get("circle"))
    columns = _columns(moments, rows, info, fit, window, options, curve)
    columns["neighbours"] = count_contacts(moments.label, *pairs[:2])
    names = {"field": field or path.stem, "sample": sample, "condition": condition}
    columns |= {name: np.full(len(moments), value) for name, value in names.items()}
    if contacts is not None:
        write_contacts(contacts, [contact_table(names["field"], *pairs)])
    return make_table(columns, len(moments), {"measure": str(as_dict(options)), "window": asdict(window)})


def _run_batches(
    run: Run, label: str, batches: Sequence[Batch], tasks: Mapping[str, Delayed], markers: Path | None, beside: int = 0
) -> dict[str, Any]:
    """Run one task per batch, `beside` bytes needed beside its own."""
    need = max((batch.need for batch in batches), default=0) + beside
    return run(tasks, label=label, markers=markers and markers / label, need=need)


def _check(path: Path) -> tuple[VolumeInfo, dict[str, Any]]:
    """Metadata of the volume and the fit of its phases."""
    info, phases, particles = describe(path), describe(path, "phases"), describe(path, "particles")
    if not info.shape == phases.shape == particles.shape:
        raise ValueError(
            f"{path}: grey, phases and particles have shapes {info.shape}, {phases.shape}, {particles.shape}"
        )
    if "levels" not in phases.attributes:
        raise ValueError(f"{path}: labels/phases carries no fitted grey levels; run `tomostat phases`")
    return info, phases.attributes


def sums_tasks(path: Path, fixed: FixedPoint, core: Shape) -> dict[str, Delayed]:
    """One task per block that sums up its particles."""
    info = describe(path, "particles")
    task = dask.delayed(_sum_block, pure=False)
    return {block.key: task(path, block, fixed) for block in block_grid(info.shape, core, (1, 1, 1))}


def _sum_block(path: Path, block: Block, fixed: FixedPoint) -> dict[str, Any]:
    labels = read_box(path, block.outer, "particles")
    if not labels.any():
        return {name: value.tolist() for name, value in asdict(merge_moments([])).items()}
    grey, phases = read_flat(path, block.outer), read_box(path, block.outer, "phases")
    origin = [s.start for s in block.outer]
    found = block_moments(labels, grey, phases, origin=origin, core=block.inner, fixed=fixed)
    return {name: value.tolist() for name, value in asdict(found).items()}


def _moments(part: Mapping[str, Any]) -> Moments:
    """Sums as they stand in a marker."""
    none = merge_moments([])
    return Moments(
        **{name: np.array(part[name], value.dtype).reshape(-1, *value.shape[1:]) for name, value in vars(none).items()}
    )


@dataclass(frozen=True)
class Batch:
    """Particles that one task measures.

    Attributes
    ----------
    members
        Label, and first and last voxel + 1 of its padded box (2, 3), for each particle.
    whole
        Box around all, read once; None where reading each on its own costs less.
    need
        Bytes of memory.
    """

    members: list[tuple[int, NDArray[np.int64]]]
    whole: NDArray[np.int64] | None
    need: int

    @property
    def boxes(self) -> NDArray[np.int64]:
        """Padded boxes of the particles, (n, 2, 3)."""
        return np.array([box for _, box in self.members])

    @classmethod
    def of(cls, members: list[tuple[int, NDArray[np.int64]]]) -> Batch:
        """Decide how a batch is read."""
        boxes = np.array([box for _, box in members])
        whole = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
        sizes = np.prod(boxes[:, 1] - boxes[:, 0], axis=1)
        voxels = int(np.prod(whole[1] - whole[0]))
        once = voxels <= max(BATCH_VOXELS, 2 * int(sizes.max()))
        need = BYTES_PER_VOXEL * int(sizes.max()) + (READ_BYTES * voxels if once else 0)
        return cls(members, whole if once else None, need)


def make_batches(moments: Moments, info: VolumeInfo, chosen: NDArray[np.intp], pad: Sequence[int]) -> list[Batch]:
    """Batch the chosen particles by place, so that neighbours are read together; their boxes are widened by `pad`."""
    low = np.maximum(moments.low[chosen] - np.asarray(pad), 0)
    high = np.minimum(moments.high[chosen] + np.asarray(pad), info.shape)
    place = (low + high) // 2 // np.array(info.shards)
    sizes = np.prod(high - low, axis=1)
    groups: list[list[tuple[int, NDArray[np.int64]]]] = []
    total, cell = 0, None
    for i in np.lexsort((moments.label[chosen], *place.T[::-1])):
        here = tuple(place[i])
        if here != cell or total + sizes[i] > BATCH_VOXELS:
            groups.append([])
            total, cell = 0, here
        total += int(sizes[i])
        groups[-1].append((int(moments.label[chosen[i]]), np.stack([low[i], high[i]])))
    return [Batch.of(members) for members in groups]


def samples(moments: Moments) -> NDArray[np.intp]:
    """Particles that tell a field's levels: not cut, not tiny, evenly spread over the labels."""
    whole = moments.sums[:, FACES:].reshape(-1, 3, KINDS)[:, 1:, [BORDER]].sum(axis=(1, 2)) == 0
    fit = np.flatnonzero(whole & (moments.sums[:, COUNT] >= SAMPLE_VOXELS))
    return fit[np.unique(np.linspace(0, len(fit) - 1, min(SAMPLES, len(fit))).round().astype(np.intp))]


def level_tasks(path: Path, batches: Sequence[Batch], levels: Levels, options: MeasureOptions) -> dict[str, Delayed]:
    """Tasks that look beyond the edges of some particles; none where the image has no carbon-binder."""
    if levels.cbd is None:
        return {}
    task = dask.delayed(_count_batch, pure=False)
    spacing = describe(path).spacing
    return {f"{i:06d}": task(path, batch, spacing, levels, options) for i, batch in enumerate(batches)}


def surface_tasks(
    path: Path,
    batches: Sequence[Batch],
    levels: Levels,
    expected: tuple[Groups, ...] | None,
    options: MeasureOptions,
    points: Path | None = None,
) -> dict[str, Delayed]:
    """One task per batch of particles that measures their surfaces, and leaves its points in the folder `points`."""
    task = dask.delayed(_measure_batch, pure=False)
    info = describe(path)
    return {
        f"{i:06d}": task(path, batch, info, levels, expected, options, points and points / _points_file(i))
        for i, batch in enumerate(batches)
    }


def _points_file(number: int) -> str:
    """Name of the file with a batch's surface points."""
    return f"{number:06d}.parquet"


def _levels(fit: Mapping[str, Any]) -> Levels:
    """Grey levels as the kernels want them; where pore or active material is missing there is no contact to tell."""
    known = fit["levels"]
    pore, cbd, active = known["pore"], known.get("cbd"), known["active"]
    told = None not in (pore, cbd, active) and pore < cbd < active
    return Levels(
        pore=pore if told else 0.0,
        cbd=cbd if told else None,
        active=active if told else 1.0,
        collector=known.get("collector"),
        blur=fit["blur"] or 1.0,
        noise=fit["noise"],
    )


def _groups(parts: Iterable[Any], levels: Levels) -> tuple[Groups, ...] | None:
    """Void and carbon-binder of the field by tolerance."""
    if levels.cbd is None:
        return None
    none = np.zeros((len(TOLERANCES), len(BINS) - 1), np.int64)
    return tuple(field_groups(counts) for counts in sum((np.array(part, np.int64) for part in parts), none))


def _boxes(path: Path, batch: Batch, spacing: Spacing) -> Iterator[Box]:
    """Read a batch's particles one by one, in the order of its members."""
    whole = None if batch.whole is None else _read(path, batch.whole)
    for label, corners in batch.members:
        if whole is None or batch.whole is None:
            labels, grey, phases = _read(path, corners)
        else:
            inner = tuple(slice(int(a), int(b)) for a, b in (corners - batch.whole[0]).T)
            labels, grey, phases = (np.ascontiguousarray(image[inner]) for image in whole)
        z, y, x = corners[0].tolist()
        yield Box(labels, grey, phases, label, spacing, (z, y, x))


def _read(path: Path, corners: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    box: Any = tuple(slice(int(a), int(b)) for a, b in corners.T)
    return read_box(path, box, "particles"), read_flat(path, box), read_box(path, box, "phases")


def _count_batch(path: Path, batch: Batch, spacing: Spacing, levels: Levels, options: MeasureOptions) -> list[Any]:
    counts = sum(count_layers(box, levels, options.tolerance) for box in _boxes(path, batch, spacing))
    return np.asarray(counts).tolist()


def _measure_batch(
    path: Path,
    batch: Batch,
    info: VolumeInfo,
    levels: Levels,
    expected: tuple[Groups, ...] | None,
    options: MeasureOptions,
    points: Path | None,
) -> dict[str, dict[str, Any]]:
    found = {box.label: measure_box(box, levels, expected, options) for box in _boxes(path, batch, info.spacing)}
    if points is not None:
        write_points(points, SurfacePoints.join([surface for _, surface in found.values()]), block_size(info))
    return {str(label): row for label, (row, _) in found.items()}


def _contact_pairs(
    rows: Mapping[int, dict[str, Any]],
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float64]]:
    """Pairs of touching particles and their areas."""
    touched = {label: row["touched"] for label, row in rows.items()}
    return contact_pairs(touched, {label for label, row in rows.items() if not row["too_small"]})


def _columns(
    moments: Moments,
    rows: Mapping[int, dict[str, Any]],
    info: VolumeInfo,
    fit: Mapping[str, Any],
    window: Window,
    options: MeasureOptions,
    curve: Curve,
) -> dict[str, NDArray[Any]]:
    """All columns of the table."""
    columns = shape_columns(
        moments, window=window, fixed=FixedPoint.of_range(*fit["percentiles"]), pore=fit["levels"]["pore"],
        depth_axis="zyx".index(options.depth_axis),
    )  # fmt: skip
    names = sorted({name for row in rows.values() for name in row} - {"touched"})
    columns |= {name: _gather(name, moments, rows) for name in names}
    if "surface_area" in columns:
        whole = ~columns["touches_border"]
        columns["sphericity"] = np.where(whole, sphericity(columns["volume"], columns["surface_area"]), np.nan)
    if "inner_grey" in columns:
        columns |= density_columns(
            columns, info.attributes, energy=options.energy, blur=fit["blur"] or 1.0, branch=options.branch, curve=curve
        )
    return {name: values for name, values in columns.items() if name in COLUMNS}


def _gather(name: str, moments: Moments, rows: Mapping[int, dict[str, Any]]) -> NDArray[Any]:
    """One column from the particles' rows; what a particle lacks is NaN, 0 or false."""
    known = COLUMNS.get(name, HELPERS.get(name))
    if known is None:
        raise ValueError(f"column {name!r} is not known; known columns are {', '.join(COLUMNS)}")
    shape = tuple(len(AXES[dim]) for dim in known.dims)
    empty: Any = np.full(shape, np.nan) if known.dtype == "f8" else np.zeros(shape, known.dtype)
    values = [rows.get(int(label), {}).get(name, empty) for label in moments.label]
    return np.array(values, known.dtype).reshape(len(moments), *shape)


HELPERS = {"inner_std": Column("f8", "1", ""), "inner_count": Column("i8", "1", "")}
"""What rows tell beside the table's columns."""
