"""The particle table of one field: one pass over blocks for what adds up, then particle boxes in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.execution import Execution
from tomostat.measure.batches import Batch, level_samples, make_batches, read_boxes
from tomostat.measure.contact.classify import BINS, Groups, field_groups
from tomostat.measure.contact.layers import TOLERANCES, TOUCH
from tomostat.measure.contact.neighbours import contact_pairs, touched_areas, touching
from tomostat.measure.contact.profiles import Levels
from tomostat.measure.contact_table import contact_table, write_contacts
from tomostat.measure.field import FieldParticles, refuse_undeclared
from tomostat.measure.maps import block_size, points_folder, remove_maps, write_maps, write_points
from tomostat.measure.measures import MeasureSet, Value, chosen_measures
from tomostat.measure.options import MeasureOptions
from tomostat.measure.particle import PAD, Box, Particle
from tomostat.measure.sampling.border import field_window
from tomostat.measure.shape.moments import FixedPoint, Moments, block_moments, merge_moments
from tomostat.measure.shape.points import SurfacePoints
from tomostat.measure.table import make_table
from tomostat.options import as_dict
from tomostat.phase import PhaseFit
from tomostat.volume import VolumeInfo, describe, read_box, read_fit, read_flat

CONDUCTION_BYTES = 350_000_000
"""Memory of solving for the conduction in a large particle."""


def measure_particles(
    path: str | Path,
    *,
    options: MeasureOptions | None = None,
    field: str | None = None,
    sample: str = "",
    condition: str = "unknown",
    contacts: Path | None = None,
    execution: Execution | None = None,
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
        Parquet file for the contacts between particles (`tomostat.measure.contact_table`); not written when not given.
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.
    block
        Voxels (z, y, x) of a block of the first pass; one shard when not given. The table does not depend on it.

    Returns
    -------
    xarray.Dataset
        Dim `particle`, ordered by label, with the columns that `tomostat.measure.chosen_measures` declares.

    Raises
    ------
    FileNotFoundError, ValueError
        When the store, its phases or its particles are missing, their shapes differ, or a measure of another package
        fails; the message names it and the particle.
    """
    path, options = Path(path), options or MeasureOptions()
    info, fit = _check(path)
    measures = chosen_measures(options)
    execution = (execution or Execution()).named("measure")
    if not (options.maps and execution.started("maps")):
        remove_maps(path)
    moments = _sum_up(path, fit, block or info.shards, execution)
    batches, found = _measure_batches(path, info, fit, moments, options, execution)
    if options.maps:
        write_maps(info, points_folder(path, execution), batches, execution, {"measure": as_dict(options)})
    rows = {int(label): row for part in found.values() for label, row in part.items()}
    touched = {label: row.pop("touched") for label, row in rows.items()}
    pairs = contact_pairs(touched, {label for label, row in rows.items() if row})
    window = field_window(moments, info.shape, info.spacing, fit.circle)
    particles = FieldParticles(measures, moments, rows, pairs, info, fit, window, options)
    name = field or path.stem
    if contacts is not None:
        write_contacts(contacts, [contact_table(name, pairs)])
    about = {"measure": str(as_dict(options)), "window": asdict(window), "plugins": _told(measures)}
    keys: dict[str, NDArray[Any] | str] = {
        "label": moments.label,
        "field": name,
        "sample": sample,
        "condition": condition,
    }
    return make_table(measures, keys, particles.table(), about)


def _told(measures: MeasureSet) -> list[str]:
    """Measures of other packages with their versions."""
    return [" ".join(filter(None, plugin.identity)) for plugin in measures.plugins]


def _check(path: Path) -> tuple[VolumeInfo, PhaseFit]:
    """Metadata of the volume and the fit of its phases."""
    info, phases, particles = describe(path), describe(path, "phases"), describe(path, "particles")
    if not info.shape == phases.shape == particles.shape:
        raise ValueError(
            f"{path}: grey, phases and particles have shapes {info.shape}, {phases.shape}, {particles.shape}"
        )
    return info, read_fit(path)


def _sum_up(path: Path, fit: PhaseFit, core: Shape, execution: Execution) -> Moments:
    """Sums over the voxels of every particle."""
    fixed = FixedPoint.of_range(*fit.percentiles)
    parts = execution.run("sums", sums_tasks(path, fixed, core), need=40 * math.prod(core))
    return merge_moments([_moments(part) for part in parts.values()])


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
class MeasureTask:
    """What tasks of one field share.

    Attributes
    ----------
    path, info
        The volume.
    levels
        Its grey levels.
    expected
        Void and carbon-binder beyond the edges of its particles, by tolerance; None before they are known, and where
        the image has no carbon-binder.
    options
        How to measure; they name the measures of other packages.
    points
        Folder for the surface points of the maps; None without maps.
    """

    path: Path
    info: VolumeInfo
    levels: Levels
    expected: tuple[Groups, ...] | None
    options: MeasureOptions
    points: Path | None = None

    def particles(self, batch: Batch) -> Iterable[Particle]:
        """Particles of a batch, one by one."""
        for box in read_boxes(self.path, batch, self.info.spacing):
            yield Particle(box, self.levels, self.expected, self.options)


def _measure_batches(
    path: Path, info: VolumeInfo, fit: PhaseFit, moments: Moments, options: MeasureOptions, execution: Execution
) -> tuple[list[Batch], dict[str, Any]]:
    """Batches of all particles, and what was measured of each by label."""
    pad = [max(PAD, math.ceil(options.shell / size) + 1) for size in info.spacing]
    levels = grey_levels(fit)
    points = points_folder(path, execution) if options.maps else None
    task = MeasureTask(path, info, levels, None, options, points)
    chosen = make_batches(moments, info, level_samples(moments), pad) if levels.cbd is not None else []
    counts = execution.run("levels", level_tasks(task, chosen), need=_need(chosen))
    task = MeasureTask(path, info, levels, _groups(counts.values(), levels), options, points)
    batches = make_batches(moments, info, np.arange(len(moments)), pad)
    need = _need(batches) + CONDUCTION_BYTES * options.conduction
    return batches, execution.run("particles", particle_tasks(task, batches), need=need)


def _need(batches: Sequence[Batch]) -> int:
    """Bytes that a task of one batch takes."""
    return max((batch.need for batch in batches), default=0)


def grey_levels(fit: PhaseFit) -> Levels:
    """Grey levels as kernels want them; where pore or active material is missing no contact can be decided."""
    pore, cbd, active = fit.levels.pore, fit.levels.cbd, fit.levels.active
    known = pore is not None and cbd is not None and active is not None and pore < cbd < active
    return Levels(
        pore=pore if known and pore is not None else 0.0,
        cbd=cbd if known else None,
        active=active if known and active is not None else 1.0,
        collector=fit.levels.collector,
        blur=fit.edge_blur,
        noise=fit.noise,
    )


def level_tasks(task: MeasureTask, batches: Sequence[Batch]) -> dict[str, Delayed]:
    """Tasks that look beyond the edges of some particles."""
    count = dask.delayed(_count_batch, pure=False)
    return {f"{i:06d}": count(task, batch) for i, batch in enumerate(batches)}


def _count_batch(task: MeasureTask, batch: Batch) -> list[Any]:
    counts = sum(particle.layer_counts() for particle in task.particles(batch))
    return np.asarray(counts).tolist()


def _groups(parts: Iterable[Any], levels: Levels) -> tuple[Groups, ...] | None:
    """Void and carbon-binder of the field by tolerance."""
    if levels.cbd is None:
        return None
    none = np.zeros((len(TOLERANCES), len(BINS) - 1), np.int64)
    return tuple(field_groups(counts) for counts in sum((np.array(part, np.int64) for part in parts), none))


def particle_tasks(task: MeasureTask, batches: Sequence[Batch]) -> dict[str, Delayed]:
    """One task per batch that measures its particles, and leaves their surface points for the maps."""
    measure = dask.delayed(_measure_batch, pure=False)
    return {f"{i:06d}": measure(task, batch) for i, batch in enumerate(batches)}


def _measure_batch(task: MeasureTask, batch: Batch) -> dict[str, dict[str, Any]]:
    measures = chosen_measures(task.options)
    rows, points = {}, []
    for particle in task.particles(batch):
        rows[str(particle.label)] = measure_particle(particle, measures)
        if task.points is not None and not particle.too_small:
            points.append(particle.points())
    if task.points is not None:
        write_points(task.points / batch.file, SurfacePoints.join(points), block_size(task.info))
    return rows


def measure_particle(particle: Particle, measures: MeasureSet) -> dict[str, Any]:
    """What is measured of one particle: a value for every column that it has, and ``touched``, the particles it touches.

    Of a particle too small for a surface nothing is measured, and the areas that it touches are unknown.
    """
    if particle.too_small:
        return {"touched": _touched_faces(particle.box)}
    row: dict[str, Any] = {"touched": _touched(particle)}
    for plugin, group in measures.particle_groups():
        if plugin in measures.plugins:
            with plugin.blame(f"particle {particle.label}"):
                found = {name: _plain(value) for name, value in group(particle).items()}
        else:
            found = dict(group(particle))
        refuse_undeclared(plugin, group.measures, found)
        known = {measure.name: measure for measure in group.measures}
        row |= {name: value for name, value in found.items() if not (particle.is_section and known[name].needs_volume)}
    return row


def _plain(value: Any) -> Value:
    """A value as JSON knows it."""
    plain: Value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return plain


def _touched(particle: Particle) -> list[tuple[int, float]]:
    """Particles that one touches, and over what area in micrometer^2; unknown in a single slice."""
    if particle.is_section:
        return _touched_faces(particle.box)
    return touched_areas(particle.surface, particle.box.labels, particle.label, particle.contact.particle, TOUCH)


def _touched_faces(box: Box) -> list[tuple[int, float]]:
    """Particles that share a voxel face with one that has no surface, of unknown area."""
    return [(int(other), math.nan) for other in touching(box.labels, box.label)]
