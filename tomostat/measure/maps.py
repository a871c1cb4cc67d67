"""Maps of resistance and contact over the surfaces of all particles, as images beside the labels of a field.

Batches of particles write their surface points, sorted by block; then every block of whole shards is assembled from the
batches that reach into it. A voxel's value depends on its particle alone, so neither blocks nor batches nor workers
change a map.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.execution import Execution
from tomostat.files import atomic, remove
from tomostat.measure.batches import Batch
from tomostat.measure.shape.points import SurfacePoints, blocks_of_boxes, fill_block, split_by_block
from tomostat.volume import VolumeInfo, create_volume, pyramid_tasks, remove_map, storage_layout, write_box

MAPS = {
    "resistance": ("1", "detour to the nearest contact over the equivalent radius"),
    "contact": ("1", "contact with carbon-binder, from 0 (void) over 1/2 (the border between them) to 1"),
}
"""Units and meaning of the maps; each lies at ``maps/NAME``, NaN off the surface and where the value is unknown."""

SCHEMA = pa.schema([("place", pa.int64()), *((name, pa.float32()) for name in MAPS)])
"""Surface points of a batch: position in the block and values."""

BYTES_PER_VOXEL = 32
"""Memory per voxel of assembling a block: two images, the points and compression."""


def points_folder(path: Path, execution: Execution) -> Path:
    """Folder of the batches' points until the maps are complete: with the markers, else beside the volume."""
    markers = execution.markers
    return markers / "points" if markers else path.with_name(f".{path.stem}.points")


def block_size(info: VolumeInfo) -> Shape:
    """Voxels (z, y, x) of a block of the maps: one of their shards."""
    return storage_layout(info.shape)[1]


def remove_maps(path: Path) -> None:
    """Remove the maps of an earlier measurement."""
    for name in MAPS:
        remove_map(path, f"maps/{name}")


def write_points(path: Path, points: SurfacePoints, size: Shape) -> int:
    """Write the points of a batch, whole or not at all, one row group per block; returns how many there are."""
    parts = split_by_block(points.voxel, size)
    groups = {_key(index): number for number, index in enumerate(parts)}
    schema = SCHEMA.with_metadata({"groups": json.dumps(groups)})
    how = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    with atomic(path) as part_file, pq.ParquetWriter(part_file, schema, **how) as file:
        for chosen, place in parts.values():
            part = points.take(chosen)
            file.write_table(pa.table([place, part.resistance, part.contact], schema=schema), len(chosen))
    return len(points)


def read_points(path: Path, index: Shape) -> pa.Table:
    """Points of a batch that lie in one block."""
    with pq.ParquetFile(path) as file:
        groups: dict[str, int] = json.loads(file.schema_arrow.metadata[b"groups"])
        number = groups.get(_key(index))
        return SCHEMA.empty_table() if number is None else file.read_row_group(number)


def _key(index: Shape) -> str:
    return "-".join(map(str, index))


def write_maps(
    info: VolumeInfo, folder: Path, batches: Sequence[Batch], execution: Execution, attributes: Mapping[str, Any]
) -> None:
    """Make the maps of a field from the points of its batches.

    Parameters
    ----------
    info
        The field's volume.
    folder
        Files of points as `write_points` leaves them, one per batch; removed at the end.
    batches
        All particles of the field.
    execution
        Where tasks run and are marked.
    attributes
        Further attributes of the maps.
    """
    if not execution.has_finished_tasks("maps"):
        for name, (units, meaning) in MAPS.items():
            create_volume(
                info.path, shape=info.shape, dtype=np.float32, spacing=info.spacing, label=f"maps/{name}",
                attributes={"units": units, "long_name": meaning, **attributes},
            )  # fmt: skip
    need = BYTES_PER_VOXEL * math.prod(block_size(info))
    execution.run("maps", map_tasks(info, folder, {batch.file: batch.boxes for batch in batches}), need=need)
    for name in MAPS:
        execution.run_levels(pyramid_tasks(info.path, f"maps/{name}"), step=name)
    remove(folder)


def map_tasks(info: VolumeInfo, folder: Path, boxes: Mapping[str, NDArray[np.int64]]) -> dict[str, Delayed]:
    """One task per block of one shard that particles reach into."""
    files: dict[Shape, list[Path]] = {}
    size = block_size(info)
    for name in sorted(boxes):
        for index in blocks_of_boxes(boxes[name], size):
            files.setdefault(index, []).append(folder / name)
    task = dask.delayed(_write_block, pure=False)
    chosen = [block for block in block_grid(info.shape, size) if block.index in files]
    return {block.key: task(info.path, block, size, files[block.index]) for block in chosen}


def _write_block(path: Path, block: Block, size: Shape, files: list[Path]) -> int:
    """Write one block of the maps; a block without points stays empty. Returns how many points it has."""
    points = pa.concat_tables([read_points(file, block.index) for file in files])
    in_volume = tuple(slice(0, s.stop - s.start) for s in block.core)
    for name in MAPS if len(points) else ():
        image = fill_block(size, points["place"].to_numpy(), points[name].to_numpy())
        write_box(path, block.start, image[in_volume], f"maps/{name}")
    return len(points)
