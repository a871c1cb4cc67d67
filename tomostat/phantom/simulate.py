"""Synthetic electrodes as OME-Zarr volumes with their ground truth, written block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import dask
from dask.delayed import Delayed

from tomostat.blocks import Block, block_grid
from tomostat.execution import Execution
from tomostat.options import as_dict
from tomostat.phantom.options import PhantomOptions
from tomostat.phantom.rendering import density_calibration, render
from tomostat.phantom.scene import Scene, make_scene
from tomostat.phantom.truth import truth_table
from tomostat.volume import create_volume, describe, pyramid_tasks, write_box

TRUTH_PARTICLES, TRUTH_PHASES, TRUTH_TABLE = "truth_particles", "truth_phases", "truth.parquet"
"""Names of the label images and the table of the ground truth."""
BATCH = 1 << 24
"""Voxels that one task renders at least, where the volume has them."""


def simulate_volume(
    path: str | Path,
    options: PhantomOptions,
    *,
    execution: Execution | None = None,
) -> Path:
    """Write a synthetic electrode with its ground truth.

    Parameters
    ----------
    path
        Path of the volume, ``NAME.zarr``; an existing volume is replaced. It receives the grey values, the label images
        ``truth_particles`` and ``truth_phases``, and ``truth.parquet`` with one row per particle (see `truth_table`).
        Its attributes hold `density_scale` and `density_offset` (delta = grey * scale + offset) and the options.
    options
        Properties of the electrode and the image.
    execution
        Where tasks run, where finished ones are marked, and who listens; threads of this process when not given.

    Returns
    -------
    Path
        Path of the volume.

    Raises
    ------
    ValueError
        When `path` exists and is not a volume.
    """
    execution = (execution or Execution()).for_stage("simulate")
    if not execution.has_finished_tasks("blocks"):
        _create(Path(path), options)
    execution.run("blocks", _block_tasks(options, Path(path)))
    for label in (None, TRUTH_PARTICLES, TRUTH_PHASES):
        execution.run_levels(pyramid_tasks(path, label), step=label or "grey")
    return Path(path)


def _create(path: Path, options: PhantomOptions) -> None:
    """Create the empty images."""
    scale, offset = density_calibration(options)
    attributes = {"density_scale": scale, "density_offset": offset, "phantom": as_dict(options)}
    shape, spacing = options.shape, options.spacing
    create_volume(path, shape=shape, dtype=options.dtype, spacing=spacing, attributes=attributes)
    create_volume(path, shape=shape, dtype="uint32", spacing=spacing, label=TRUTH_PARTICLES)
    create_volume(path, shape=shape, dtype="uint8", spacing=spacing, label=TRUTH_PHASES)


@lru_cache(maxsize=2)
def _scene(options: PhantomOptions) -> Scene:
    """Scene of a process: making it again in each process is cheaper than sending it with every task."""
    return make_scene(options)


def _block_tasks(options: PhantomOptions, path: Path) -> dict[str, Delayed]:
    """Tasks that render whole shards, and write their three images.

    Each is worth the scene that it needs, so that of a small volume there is one.
    """
    write = dask.delayed(_write_blocks, pure=False)
    shards = describe(path).shards
    blocks = block_grid(options.shape, shards)
    many = max(BATCH // math.prod(shards), 1)
    return {blocks[i].key: write(options, path, blocks[i : i + many]) for i in range(0, len(blocks), many)}


def _write_blocks(options: PhantomOptions, path: Path, blocks: Sequence[Block]) -> None:
    """Render blocks and write them; the first of the volume brings the table of the truth."""
    scene = _scene(options)
    if blocks[0].start == (0, 0, 0):
        truth_table(scene).to_parquet(path / TRUTH_TABLE, index=False)
    for block in blocks:
        rendered = render(scene, block.start, [s.stop - s.start for s in block.core])
        write_box(path, block.start, rendered.grey)
        write_box(path, block.start, rendered.labels, TRUTH_PARTICLES)
        write_box(path, block.start, rendered.phases, TRUTH_PHASES)
