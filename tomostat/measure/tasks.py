"""The tasks of the measure stage: sums over blocks, layer values of some particles, all measures of all particles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.measure.batches import Batch, read_boxes
from tomostat.measure.contact.layers import CONTACT_DISTANCE, TOLERANCES
from tomostat.measure.contact.mixture import BINS, Mixture, field_mixture
from tomostat.measure.contact.neighbours import NearParticle, near_particles, near_without_surface
from tomostat.measure.contact.profiles import GreyLevels
from tomostat.measure.field import refuse_undeclared
from tomostat.measure.maps import block_size, write_points
from tomostat.measure.measures import MeasureSet, ParticleGroup, Value, Values, chosen_measures
from tomostat.measure.options import MeasureOptions
from tomostat.measure.particle import Particle
from tomostat.measure.shape.moments import FixedPoint, Moments, block_moments, merge_moments
from tomostat.measure.shape.points import SurfacePoints
from tomostat.plugins import Plugin
from tomostat.volume import VolumeInfo, describe, read_box, read_flat


@dataclass(frozen=True)
class MeasurePlan:
    """What the tasks of one field share.

    Attributes
    ----------
    path, info
        The volume.
    levels
        Its grey levels.
    mixtures
        Void and carbon-binder beyond the edges of its particles, by tolerance; None before they are known, where the
        image has no carbon-binder, and where there are phases in place of grey values.
    options
        What is measured and how; they name the measures of other packages.
    points
        Folder for the surface points of the maps; None without maps.
    """

    path: Path
    info: VolumeInfo
    levels: GreyLevels
    mixtures: tuple[Mixture, ...] | None
    options: MeasureOptions
    points: Path | None

    def particles(self, batch: Batch) -> Iterator[Particle]:
        """Read the particles of a batch one by one."""
        for box in read_boxes(self.path, batch, self.info.spacing):
            yield Particle(box, self.levels, self.mixtures, self.options, self.info.rendered)


@dataclass(frozen=True)
class MeasuredParticle:
    """What a task found about one particle.

    Attributes
    ----------
    label
        Number of the particle.
    values
        Values by column, of those that it has; empty for a particle too small for a surface.
    near
        Particles that it touches or comes close to.
    """

    label: int
    values: Values
    near: Sequence[NearParticle]

    def record(self) -> Mapping[str, Any]:
        """The particle as JSON-able values."""
        return {"label": self.label, "values": dict(self.values), "near": [list(one) for one in self.near]}

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Self:
        """Read a particle back from what `record` gave."""
        near = [NearParticle(label, area, joined, tuple(close)) for label, area, joined, close in record["near"]]
        return cls(record["label"], record["values"], near)


def sums_tasks(path: Path, fixed: FixedPoint, core: Shape) -> dict[str, Delayed]:
    """One task per block that sums over the voxels of its particles; `parse_moments` reads what it returns."""
    info = describe(path, "particles")
    task = dask.delayed(_sum_block, pure=False)
    return {block.key: task(path, block, fixed) for block in block_grid(info.shape, core, (1, 1, 1))}


def _sum_block(path: Path, block: Block, fixed: FixedPoint) -> dict[str, Any]:
    labels = read_box(path, block.outer, "particles")
    found = merge_moments([])
    if labels.any():
        grey, phases = read_flat(path, block.outer), read_box(path, block.outer, "phases")
        origin = [s.start for s in block.outer]
        found = block_moments(labels, grey, phases, origin=origin, core=block.inner, fixed=fixed)
    return {name: value.tolist() for name, value in asdict(found).items()}


def parse_moments(record: Mapping[str, Any]) -> Moments:
    """Sums of a block as arrays, from the value of its task."""
    empty = vars(merge_moments([])).items()  # names, dtypes and shapes of all sums
    return Moments(**{name: np.array(record[name], value.dtype).reshape(-1, *value.shape[1:]) for name, value in empty})


def layer_count_tasks(plan: MeasurePlan, batches: Sequence[Batch]) -> dict[str, Delayed]:
    """One task per batch that counts the layer values of its particles; `mixtures_of` takes what they return."""
    count = dask.delayed(_layer_histograms, pure=False)
    return {batch.key: count(plan, batch) for batch in batches}


def _layer_histograms(plan: MeasurePlan, batch: Batch) -> list[Any]:
    counts = sum(particle.layer_counts() for particle in plan.particles(batch))
    return np.asarray(counts).tolist()


def mixtures_of(parts: Iterable[Any]) -> tuple[Mixture, ...]:
    """Void and carbon-binder of the field by tolerance, from the values of the tasks."""
    zero: NDArray[np.int64] = np.zeros((len(TOLERANCES), len(BINS) - 1), np.int64)
    return tuple(field_mixture(counts) for counts in sum((np.array(part, np.int64) for part in parts), zero))


def particle_tasks(plan: MeasurePlan, batches: Sequence[Batch]) -> dict[str, Delayed]:
    """One task per batch that measures its particles and writes their surface points for the maps.

    Each returns the records of its particles, see `MeasuredParticle`.
    """
    measure = dask.delayed(_measure_batch, pure=False)
    return {batch.key: measure(plan, batch) for batch in batches}


def _measure_batch(plan: MeasurePlan, batch: Batch) -> list[Mapping[str, Any]]:
    measures = chosen_measures(plan.options)
    measured, points = [], []
    for particle in plan.particles(batch):
        measured.append(measure_particle(particle, measures).record())
        if plan.points is not None and not particle.too_small:
            points.append(particle.points())
    if plan.points is not None:
        write_points(plan.points / batch.file, SurfacePoints.join(points), block_size(plan.info))
    return measured


def measure_particle(particle: Particle, measures: MeasureSet) -> MeasuredParticle:
    """Measure one particle.

    A particle too small for a surface has no values, and touches others over an unknown area.

    Raises
    ------
    PluginError
        When a measure of another package fails, or any computes a column that it does not declare; the message names
        it, and in the first case the particle.
    """
    if particle.too_small:
        return MeasuredParticle(particle.label, {}, near_without_surface(particle.box.labels, particle.label))
    values: dict[str, Value] = {}
    for plugin, group in measures.particle_groups():
        found = _plugin_values(plugin, group, particle) if plugin in measures.plugins else group(particle)
        refuse_undeclared(plugin, group.measures, found)
        values |= found
    return MeasuredParticle(particle.label, values, _near(particle))


def _plugin_values(plugin: Plugin[Any], group: ParticleGroup, particle: Particle) -> Values:
    """What a measure of another package computes, as JSON-able values of the declared shapes and dtypes."""
    declared = {measure.name: measure for measure in group.measures}
    with plugin.blame(f"particle {particle.label}"):
        found = {name: np.asarray(value) for name, value in group(particle).items()}
        for name in found.keys() & declared.keys():
            if found[name].shape != declared[name].shape:
                raise ValueError(f"{name} has shape {found[name].shape}; expected {declared[name].shape}")
            found[name] = declared[name].cast(found[name])
    return {name: value.tolist() for name, value in found.items()}


def _near(particle: Particle) -> list[NearParticle]:
    """Particles near one; over what area they touch is unknown in a single slice."""
    if particle.is_section:
        return near_without_surface(particle.box.labels, particle.label)
    surface, box, touches = particle.surface, particle.box, particle.contact.particle
    return near_particles(surface, box.labels, particle.label, touches, CONTACT_DISTANCE)
