"""The detect stage: runs a detector over the slices of a volume, one task per block of slices.

A detector is any callable ``detector(grey, phases, first) -> Instances``: grey (n, ny, nx) float32 scaled so that the
volume's percentiles 0.5 and 99.5 are 0 and 1, phases (n, ny, nx) uint8, and the index of the first slice. An attribute
``halo`` (default 0) asks for that many neighbouring slices on either side; detections in them are ignored. A method
``memory(shape)`` tells the bytes that it takes beside a block of slices of that shape.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat import __version__
from tomostat.blocks import Block, block_grid
from tomostat.detect.checkpoint import file_hash, load_checkpoint, weights_path
from tomostat.detect.predict import NetworkDetector, choose_device
from tomostat.detect.watershed import WatershedDetector
from tomostat.instances import Instances, write_instances
from tomostat.options import DetectOptions, as_dict
from tomostat.runner import Progress, execute
from tomostat.volume import describe, read_box, read_flat

if TYPE_CHECKING:
    from distributed import Client

Detector = Callable[[NDArray[np.float32], NDArray[np.uint8], int], Instances]

BYTES_PER_VOXEL = 12
"""Memory of a voxel of a block: grey while it is scaled, phases."""


def check_detector(options: DetectOptions) -> str:
    """Refuse options that cannot work before any work; what the result depends on besides them.

    Returns
    -------
    str
        "watershed", or the SHA-256 of the weights.

    Raises
    ------
    ValueError, FileNotFoundError
        When the weights are none, or a GPU is asked for and absent.
    """
    if options.detector == "watershed":
        return options.detector
    choose_device(options.device)
    path = weights_path(options.weights)
    load_checkpoint(path)
    return file_hash(path)


def make_detector(options: DetectOptions) -> Detector:
    """The detector that the options name.

    Raises
    ------
    ValueError, FileNotFoundError
        When the weights are none, or a GPU is asked for and absent: found here, before any work.
    """
    if options.detector == "watershed":
        return WatershedDetector()
    path = weights_path(options.weights)
    network, _ = load_checkpoint(path)
    return NetworkDetector(
        weights=str(path.resolve()),
        digest=file_hash(path),
        halo=(network.config.slices - 1) // 2,
        score=options.score,
        tile=options.tile,
        overlap=options.overlap,
        batch=options.batch,
        device=choose_device(options.device),
        threads=options.threads,
    )


def detect_instances(
    path: str | Path,
    folder: str | Path,
    *,
    options: DetectOptions | None = None,
    detector: Detector | None = None,
    markers: Path | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
) -> int:
    """Find particles in every slice of a volume.

    Parameters
    ----------
    path
        Volume with ``labels/phases``.
    folder
        Receives one Parquet file of instances per block of slices.
    options
        Detector, weights, tiles, device.
    detector
        Any detector; made from the options when not given.
    markers
        Folder of block markers: finished blocks are not run again.
    client
        Where to run; threads of this process when not given.
    progress
        Called as blocks end.

    Returns
    -------
    int
        Number of instances.

    Raises
    ------
    ValueError, FileNotFoundError
        When the volume has no phases, the weights are none, or a GPU is asked for and absent.
    """
    options = options or DetectOptions()
    detector = detector or make_detector(options)
    tasks = detect_tasks(path, folder, detector, options)
    gpu = {"GPU": 1.0} if client is not None and options.device == "cuda" else None
    shape = describe(path).shape
    beside = getattr(detector, "memory", lambda shape: 0)((shape[1], shape[2]))
    block = (min(options.slices, shape[0]) + 2 * getattr(detector, "halo", 0)) * shape[1] * shape[2]
    counts = execute(
        tasks, label="detect", markers=markers, client=client, progress=progress, resources=gpu,
        need=BYTES_PER_VOXEL * block + beside,
    )  # fmt: skip
    return sum(counts.values())


def detect_tasks(
    path: str | Path, folder: str | Path, detector: Detector, options: DetectOptions
) -> dict[str, Delayed]:
    """One lazy task per block of slices, which writes ``folder/<block>.parquet`` and returns how many it found."""
    shape = describe(path).shape
    percentiles = describe(path, "phases").attributes.get("percentiles")
    if percentiles is None or not percentiles[1] > percentiles[0]:
        raise ValueError(f"{path}: labels/phases tells no grey percentiles ({percentiles}); run the phases stage first")
    blocks = block_grid(shape, (options.slices, *shape[1:]), (getattr(detector, "halo", 0), 0, 0))
    known = as_dict(options)
    run = dask.delayed(_detect_block, pure=False)
    return {
        block.key: run(str(path), str(folder), block, (percentiles[0], percentiles[1]), detector, known)
        for block in blocks
    }


def _detect_block(
    path: str,
    folder: str,
    block: Block,
    percentiles: tuple[float, float],
    detector: Detector,
    options: dict[str, Any],
) -> int:
    """Read a block of slices, detect, write its table."""
    low, high = percentiles
    grey = (read_flat(path, block.outer) - np.float32(low)) / np.float32(high - low)
    phases = read_box(path, block.outer, "phases")
    found = detector(grey, phases, block.outer[0].start)
    core = block.core[0]
    found = found.take((found.slice >= core.start) & (found.slice < core.stop))
    about = {"slices": [core.start, core.stop], "options": options, "tomostat": __version__}
    write_instances(Path(folder) / f"{block.key}.parquet", found, about)
    return len(found)
