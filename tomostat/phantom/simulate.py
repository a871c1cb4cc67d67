"""Electrodes as OME-Zarr volumes with their truth, written block by block."""

from __future__ import annotations

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

PARTICLES, PHASES, TABLE = "truth_particles", "truth_phases", "truth.parquet"


def simulate_volume(
    path: str | Path,
    options: PhantomOptions,
    *,
    execution: Execution | None = None,
) -> Path:
    """Write an electrode with its truth.

    Parameters
    ----------
    path
        The store, ``NAME.zarr``; a volume that is there is replaced. It receives the grey values, the label images
        ``truth_particles`` and ``truth_phases``, and ``truth.parquet`` with one row per particle (see `truth_table`).
        Its attributes hold `density_scale` and `density_offset` (delta = grey * scale + offset) and the options.
    options
        What to make.
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    Path
        The store.

    Raises
    ------
    ValueError
        When something that is no volume stands at `path`.
    """
    scene = _scene(options)
    _create(Path(path), options)
    truth_table(scene).to_parquet(Path(path) / TABLE, index=False)
    execution = (execution or Execution()).named("simulate")
    execution.run("blocks", _block_tasks(options, Path(path)))
    for label in (None, PARTICLES, PHASES):
        for level, tasks in enumerate(pyramid_tasks(path, label), 1):
            execution.run(f"{label or 'grey'} level {level}", tasks)
    return Path(path)


def _create(path: Path, options: PhantomOptions) -> None:
    """Make the empty images."""
    scale, offset = density_calibration(options)
    notes = {"density_scale": scale, "density_offset": offset, "phantom": as_dict(options)}
    shape, spacing = options.shape, options.spacing
    create_volume(path, shape=shape, dtype=options.dtype, spacing=spacing, attributes=notes)
    create_volume(path, shape=shape, dtype="uint32", spacing=spacing, label=PARTICLES)
    create_volume(path, shape=shape, dtype="uint8", spacing=spacing, label=PHASES)


@lru_cache(maxsize=2)
def _scene(options: PhantomOptions) -> Scene:
    """Scene of a process: making it anew is cheaper than sending it along with every task."""
    return make_scene(options)


def _block_tasks(options: PhantomOptions, path: Path) -> dict[str, Delayed]:
    """One task per shard: render it and write its three images."""
    write = dask.delayed(_write_block, pure=False)
    blocks = block_grid(options.shape, describe(path).shards)
    return {block.key: write(options, path, block) for block in blocks}


def _write_block(options: PhantomOptions, path: Path, block: Block) -> None:
    """Render one block and write it."""
    drawn = render(_scene(options), block.start, [s.stop - s.start for s in block.core])
    write_box(path, block.start, drawn.grey)
    write_box(path, block.start, drawn.labels, PARTICLES)
    write_box(path, block.start, drawn.phases, PHASES)
