"""Surface points sorted into blocks, against one voxel after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tomostat.measure.maps as maps
from tomostat.measure.shape.points import SurfacePoints, blocks_of_boxes, fill_block, split_by_block


def test_points_by_block(tmp_path: Path) -> None:
    """Against one voxel after the other."""
    rng = np.random.default_rng(3)
    image = np.full((20, 30, 25), np.nan, np.float32)
    voxel = np.unique(rng.integers(0, image.shape, (500, 3)), axis=0)
    rng.shuffle(voxel)
    value = rng.random(len(voxel), np.float32)
    image[tuple(voxel.T)] = value
    size = (8, 16, 16)
    parts = split_by_block(voxel, size)
    assert list(parts) == sorted(parts)
    maps.write_points(tmp_path / "p.parquet", SurfacePoints(voxel, value, -value), size)
    padded = np.pad(image, [(0, -n % s) for n, s in zip(image.shape, size, strict=True)], constant_values=np.nan)
    for index, (rows, place) in parts.items():
        box = tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, size, strict=True))
        np.testing.assert_array_equal(fill_block(size, place, value[rows]), padded[box])
        table = maps.read_points(tmp_path / "p.parquet", index)
        np.testing.assert_array_equal(table["contact"].to_numpy(), -value[rows])
    assert len(maps.read_points(tmp_path / "p.parquet", (9, 9, 9))) == 0
    boxes = np.array([[[0, 0, 0], [8, 16, 17]], [[9, 20, 3], [10, 21, 4]]])
    assert blocks_of_boxes(boxes, size) == {(0, 0, 0), (0, 0, 1), (1, 1, 0)}
