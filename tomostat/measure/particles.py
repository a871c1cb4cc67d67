"""The particle table of one field: sums over blocks of voxels, then the particles one by one, in batches."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tomostat.blocks import Shape
from tomostat.execution import Execution
from tomostat.measure.batches import Batch, calibration_particles, make_batches
from tomostat.measure.contact.layers import TOLERANCES
from tomostat.measure.contact.mixture import Mixture
from tomostat.measure.contact.neighbours import contact_pairs
from tomostat.measure.contact.profiles import GreyLevels
from tomostat.measure.contact_table import contact_table, write_contacts
from tomostat.measure.field import FieldParticles
from tomostat.measure.interior.density import Curve
from tomostat.measure.maps import points_folder, remove_maps, write_maps
from tomostat.measure.measures import MeasureSet, chosen_measures
from tomostat.measure.options import MeasureOptions
from tomostat.measure.particle import PAD
from tomostat.measure.sampling.border import field_window
from tomostat.measure.sampling.window import Window
from tomostat.measure.shape.moments import COUNT, FixedPoint, Moments, merge_moments
from tomostat.measure.table import make_table
from tomostat.measure.tasks import (
    MeasuredParticle,
    MeasurePlan,
    layer_count_tasks,
    mixtures_of,
    parse_moments,
    particle_tasks,
    sums_tasks,
)
from tomostat.options import as_dict
from tomostat.phase import PhaseFit
from tomostat.volume import VolumeInfo, describe, read_fit

logger = logging.getLogger(__name__)

SEPARATION = "contact_separation"
"""Attribute of the table: distance of void and carbon-binder beside the particles, in standard deviations."""

LISTED = 10
"""Most labels that a warning lists."""

SUMS_BYTES_PER_VOXEL = 40
"""Bytes of memory per voxel of a block whose particles are summed up."""

CONDUCTION_BYTES = 350_000_000
"""Bytes of memory of solving for the conduction in a large particle."""


def measure_particles(
    path: str | Path,
    *,
    options: MeasureOptions | None = None,
    field: str | None = None,
    sample: str = "",
    condition: str = "unknown",
    contacts: Path | None = None,
    graph: Path | None = None,
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
    graph
        Folder of the merge graph, which says how likely each particle is right; their confidence is missing when not
        given.
    execution
        Where tasks run, who receives their events, and where their results are kept; threads of this process when not
        given.
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
    measures = check_options(options)
    info, fit = _check(path)
    execution = (execution or Execution()).for_stage("measure")
    if not (options.maps and execution.has_finished_tasks("maps")):
        remove_maps(path)
    moments = _sum_up(path, fit, block or info.shards, execution)
    batches, measured, mixture = _measure_batches(path, info, fit, moments, options, execution)
    if options.maps:
        write_maps(info, points_folder(path, execution), batches, execution, {"measure": as_dict(options)})
    volumes = moments.sums[:, COUNT] * math.prod(info.spacing)
    pairs = contact_pairs(
        {particle.label: particle.near for particle in measured},
        {particle.label for particle in measured if particle.values},
        dict(zip(moments.label.tolist(), volumes.tolist(), strict=True)),
        info.spacing,
    )
    values = {particle.label: particle.values for particle in measured}
    window = field_window(moments, info.shape, info.spacing, fit.circle)
    particles = FieldParticles(
        measures, moments, values, pairs, info, fit, window, options, _original_ids(path), _confidence(graph)
    )
    name = field or path.stem
    _report_odd_labels(name, particles)
    if contacts is not None:
        write_contacts(contacts, [contact_table(name, pairs)])
    keys: dict[str, NDArray[Any] | str] = {"label": moments.label, "field": name}
    keys |= {"sample": sample, "condition": condition}
    return make_table(measures, keys, particles.table(), _attributes(options, measures, window, mixture))


def _attributes(
    options: MeasureOptions, measures: MeasureSet, window: Window, mixture: Mixture | None
) -> dict[str, Any]:
    """Attributes of the table of a field."""
    known = {} if mixture is None else {SEPARATION: mixture.separation}
    plugins = [" ".join(filter(None, plugin.identity)) for plugin in measures.plugins]
    return {"measure": str(as_dict(options)), "window": asdict(window), "plugins": plugins, **known}


def check_options(options: MeasureOptions) -> MeasureSet:
    """Refuse measures that are not there and a file that is not a density curve; gives all that is measured.

    Raises
    ------
    FileNotFoundError, ValueError
        See `chosen_measures` and `tomostat.measure.interior.density.Curve.read`.
    """
    if options.curve:
        Curve.read(options.curve)
    return chosen_measures(options)


def _check(path: Path) -> tuple[VolumeInfo, PhaseFit]:
    """Metadata of the volume and the fit of its phases."""
    info, phases, particles = describe(path), describe(path, "phases"), describe(path, "particles")
    if not info.shape == phases.shape == particles.shape:
        raise ValueError(
            f"{path}: grey, phases and particles have shapes {info.shape}, {phases.shape}, {particles.shape}"
        )
    return info, read_fit(path)


def _original_ids(path: Path) -> NDArray[np.int64] | None:
    """Numbers of the particles in the labels of another program."""
    ids = describe(path, "particles").attributes.get("original_ids")
    return None if ids is None else np.array(ids, np.int64)


def _confidence(graph: Path | None) -> pd.Series | None:
    """Probability that each particle is right, by its number."""
    return None if graph is None else pd.read_parquet(graph / "particles.parquet")["confidence"]


def _report_odd_labels(field: str, particles: FieldParticles) -> None:
    """Warn of given labels that are in several pieces or reach outside the field of view."""
    if particles.original_ids is None:
        return
    for odd, what in (
        (particles["pieces"] > 1, "in several pieces that do not touch (column pieces)"),
        (particles["outside_field"] > 0, "partly outside the field of view (column outside_field)"),
    ):
        if odd.any():
            ids = ", ".join(map(str, particles["original_id"][odd][:LISTED]))
            more = ", ..." if odd.sum() > LISTED else ""
            logger.warning("%s: %d of %d labels are %s: %s%s", field, odd.sum(), len(odd), what, ids, more)


def _sum_up(path: Path, fit: PhaseFit, core: Shape, execution: Execution) -> Moments:
    """Sums over the voxels of every particle."""
    fixed = FixedPoint.of_range(*fit.percentiles)
    parts = execution.run("sums", sums_tasks(path, fixed, core), need=SUMS_BYTES_PER_VOXEL * math.prod(core))
    return merge_moments([parse_moments(part) for part in parts.values()])


def _measure_batches(
    path: Path, info: VolumeInfo, fit: PhaseFit, moments: Moments, options: MeasureOptions, execution: Execution
) -> tuple[list[Batch], list[MeasuredParticle], Mixture | None]:
    """Batches of all particles, what was measured of each particle, and what lies beyond their edges in the field."""
    pad = [max(PAD, math.ceil(options.shell / size) + 1) for size in info.spacing]
    levels = grey_levels(fit)
    points = points_folder(path, execution) if options.maps else None
    plan = MeasurePlan(path, info, levels, None, options, points)
    if levels.cbd is not None and not info.rendered:
        chosen = make_batches(moments, info, calibration_particles(moments), pad)
        counts = execution.run("layers", layer_count_tasks(plan, chosen), need=_need(chosen))
        plan = replace(plan, mixtures=mixtures_of(counts.values()))
    batches = make_batches(moments, info, np.arange(len(moments)), pad)
    need = _need(batches) + CONDUCTION_BYTES * options.conduction
    found = execution.run("particles", particle_tasks(plan, batches), need=need)
    mixture = plan.mixtures[TOLERANCES.index(options.tolerance)] if plan.mixtures else None
    return batches, [MeasuredParticle.parse(record) for part in found.values() for record in part], mixture


def _need(batches: Sequence[Batch]) -> int:
    """Bytes that a task of one batch takes."""
    return max((batch.need for batch in batches), default=0)


def grey_levels(fit: PhaseFit) -> GreyLevels:
    """Grey levels of a field; no carbon-binder where levels are missing or out of order: contact is then unknown."""
    pore, cbd, active = fit.levels.pore, fit.levels.cbd, fit.levels.active
    known = pore is not None and cbd is not None and active is not None and pore < cbd < active
    return GreyLevels(
        pore=pore if known and pore is not None else 0.0,
        cbd=cbd if known else None,
        active=active if known and active is not None else 1.0,
        collector=fit.levels.collector,
        blur=fit.edge_blur,
        noise=fit.noise,
    )
