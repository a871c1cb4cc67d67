"""Running a detector over the slices of a volume, one task per block of slices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
from dask.delayed import Delayed

from tomostat.blocks import Block, block_grid
from tomostat.detect.detector import Detector, FindParticles, as_detector, detector_name, make_detector
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.instances import write_instances
from tomostat.options import as_dict
from tomostat.volume import describe, read_box, read_fit, read_flat
from tomostat.workers import GPU

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
        Receives one Parquet file of instances per block of slices; other Parquet files there are removed.
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
        When the volume has no phases, there are no such weights or no such detector, or a GPU is requested and there is
        none.
    PluginError
        When a detector of another package fails; the message names it and the slices.
    """
    options = options or DetectOptions()
    name = options.detector if detector is None else detector_name(detector)
    detector = make_detector(options) if detector is None else as_detector(detector)
    execution = (execution or Execution()).named("detect")
    check_gpu(options, execution)
    wanted = options.device == "cuda" or (options.device == "auto" and detector.device != "cpu")
    resources = ONE_GPU if wanted and execution.offers(ONE_GPU) else None
    shape = describe(path).shape
    block = (min(options.slices, shape[0]) + 2 * detector.halo) * shape[1] * shape[2]
    need = BYTES_PER_VOXEL * block + detector.memory((shape[1], shape[2]))
    tasks = detect_tasks(path, folder, detector, name, options)
    for table in Path(folder).glob("*.parquet"):  # of an earlier run with other blocks
        if table.stem not in tasks:
            table.unlink()
    return sum(execution.run("slices", tasks, resources=resources, need=need).values())


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
    """One lazy task per block of slices; it writes ``folder/BLOCK.parquet`` and returns the number of instances.

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
    shape, percentiles = describe(path).shape, read_fit(path).percentiles
    blocks = block_grid(shape, (options.slices, *shape[1:]), (detector.halo, 0, 0))
    provenance = {**as_dict(options), "detector": name}
    run = dask.delayed(_detect_block, pure=False)
    return {block.key: run(str(path), str(folder), block, percentiles, detector, provenance) for block in blocks}


def _detect_block(
    path: str,
    folder: str,
    block: Block,
    percentiles: tuple[float, float],
    detector: Detector,
    options: Mapping[str, Any],
) -> int:
    """Read a block of slices, find its particles, write its table."""
    low, high = percentiles
    grey = (read_flat(path, block.outer) - np.float32(low)) / np.float32(high - low)
    phases = read_box(path, block.outer, "phases")
    found, core = detector(grey, phases, block.outer[0].start), block.core[0]
    found = found.take((found.slice >= core.start) & (found.slice < core.stop))
    write_instances(Path(folder) / f"{block.key}.parquet", found, range(core.start, core.stop), options)
    return len(found)
