"""Running a detector over the slices of a volume, one task per block of slices."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.detect.detector import Detector, FindParticles, as_detector, detector_name, device_of, make_detector
from tomostat.detect.kernels.material import follow_material
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.instances import Instances, write_instances
from tomostat.options import as_dict
from tomostat.phase import Phase, PhaseFit
from tomostat.views import View, check_views
from tomostat.volume import describe, read_box, read_fit, read_flat
from tomostat.workers import GPU

logger = logging.getLogger(__name__)

ONE_GPU = {GPU: 1.0}
"""Worker resources of a task on a GPU."""

BYTES_PER_VOXEL = 12
"""Memory of a voxel of a block: its grey value while it is scaled, and its phase."""


def detect_instances(
    path: str | Path,
    folder: str | Path,
    *,
    options: DetectOptions | None = None,
    detector: Detector | FindParticles | None = None,
    execution: Execution | None = None,
) -> int:
    """Find particles in every slice of a volume.

    Parameters
    ----------
    path
        Volume with ``labels/phases``.
    folder
        Receives one Parquet file of instances per block of slices; other Parquet files there are removed. Instances of
        the views y and x go into folders of these names in it.
    options
        Detector, weights, tiles, device.
    detector
        Any detector, or a function with the parameters of `Detector.__call__`; it is recorded under its own name. The
        detector that the options name when not given.
    execution
        Where to run; threads of this process when not given.

    Returns
    -------
    int
        Number of instances.

    Raises
    ------
    ValueError, FileNotFoundError
        When the volume has no phases or is too thin for the views, there are no such weights or no such detector, or a
        GPU is requested and there is none.
    PluginError
        When a detector of another package fails; the message names it and the slices.
    """
    options = options or DetectOptions()
    name = options.detector if detector is None else detector_name(detector)
    detector = make_detector(options) if detector is None else as_detector(detector)
    execution = (execution or Execution()).for_stage("detect")
    check_gpu(options, execution)
    wanted = options.device == "cuda" or (options.device == "auto" and device_of(detector) != "cpu")
    resources = ONE_GPU if wanted and execution.offers(ONE_GPU) else None
    info, views = describe(path), [View(view) for view in options.views]
    check_views(options.views, info.shape, info.spacing)
    need = max(_memory(view.turned(info.shape), detector, options) for view in views)
    tasks = detect_tasks(path, folder, detector, name, options)
    known = {table for _, _, table in _tables(folder, info.shape, options, detector)}
    for table in Path(folder).rglob("*.parquet"):  # of an earlier run with other blocks or views
        if table not in known:
            table.unlink()
    counts = execution.run("slices", tasks, resources=resources, need=need).values()
    kept, discarded = sum(count[0] for count in counts), sum(count[1] for count in counts)
    if discarded > kept:
        logger.warning(
            "%s: %d of %d detections have no active material under them and are discarded; look whether the phases are "
            "right, or keep all by follow_material: false", path, discarded, discarded + kept,
        )  # fmt: skip
    return int(kept)


def _memory(shape: Shape, detector: Detector, options: DetectOptions) -> int:
    """Bytes that a task takes in a view whose slices come first in `shape`."""
    block = (min(options.slices, shape[0]) + 2 * detector.halo) * shape[1] * shape[2]
    return BYTES_PER_VOXEL * block + detector.memory(shape[1:])


def check_gpu(options: DetectOptions, execution: Execution) -> None:
    """Refuse to look for particles on a GPU where there is none.

    Raises
    ------
    ValueError
        When the options ask for a GPU, and neither this process nor a worker has one or is to have one.
    """
    if options.device != "cuda":
        return
    if execution.client is None:
        from tomostat.detect.predict import choose_device

        choose_device(options.device)
    execution.refuse_missing("detect with device 'cuda'", ONE_GPU)


def detect_tasks(
    path: str | Path, folder: str | Path, detector: Detector, name: str, options: DetectOptions
) -> dict[str, Delayed]:
    """One lazy task per block of slices of every view; it writes its table and returns two numbers.

    They are the instances, and the detections that were discarded for want of active material.

    Parameters
    ----------
    path, folder, options
        As in `detect_instances`.
    detector
        The detector.
    name
        Its name, for provenance.

    Returns
    -------
    dict
        Tasks by the key of their block.
    """
    shape, fit = describe(path).shape, read_fit(path)
    provenance = {**as_dict(options), "detector": name}
    run = dask.delayed(_detect_block, pure=False)
    return {
        "-".join(filter(None, (view.folder, block.key))): run(
            str(path), str(table), view, block, fit, detector, options.follow_material, provenance
        )
        for view, block, table in _tables(folder, shape, options, detector)
    }


def _tables(
    folder: str | Path, shape: Shape, options: DetectOptions, detector: Detector
) -> Iterator[tuple[View, Block, Path]]:
    """View, block and instance table of every task."""
    for view in map(View, options.views):
        turned = view.turned(shape)
        for block in block_grid(turned, (options.slices, *turned[1:]), (detector.halo, 0, 0)):
            yield view, block, Path(folder) / view.folder / f"{block.key}.parquet"


def _detect_block(
    path: str,
    table: str,
    view: View,
    block: Block,
    fit: PhaseFit,
    detector: Detector,
    follow: bool,
    options: Mapping[str, Any],
) -> tuple[int, int]:
    """Read a block of slices of a view, find its particles, write its table."""
    box = view.in_volume(block.outer)
    phases = view.turn(read_box(path, box, "phases"))
    grey = _scaled(view.turn(read_flat(path, box)), phases, fit)
    found, core = detector(grey, phases, block.outer[0].start), block.core[0]
    found, discarded = found.take((found.slice >= core.start) & (found.slice < core.stop)), 0
    if follow:
        found, discarded = _follow_material(found, phases == Phase.ACTIVE, block.outer[0].start)
    write_instances(table, found, range(core.start, core.stop), options)
    return len(found), discarded


def _scaled(grey: NDArray[np.float32], phases: NDArray[np.uint8], fit: PhaseFit) -> NDArray[np.float32]:
    """Grey values as `Detector.__call__` takes them.

    What lies outside a round field of view looks like pores: beside black, all of the field would look like one bright
    particle.
    """
    low, high = (np.float32(value) for value in fit.percentiles)
    darkest = min((level for level in vars(fit.levels).values() if level is not None), default=low)
    grey[phases == Phase.OUTSIDE] = darkest
    scaled: NDArray[np.float32] = (grey - low) / (high - low)
    return scaled


def _follow_material(found: Instances, active: NDArray[np.bool_], first: int) -> tuple[Instances, int]:
    """Instances with those discarded that have no active material, and heaps split; and the number of those discarded.

    `active` is (n, ny, nx), its first slice has index `first`.
    """
    parts, discarded = [Instances.empty(found.shape)], 0
    for z in np.unique(found.slice):
        detected = found.of_slice(z)
        labels, source = follow_material(found.labels(z), active[z - first])
        parts.append(Instances.from_labels(labels, z, np.concatenate([[0], detected.score])[source]))
        discarded += len(detected) + 1 - len(np.unique(source))
    return Instances.concatenate(parts), discarded
